package passthrough

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// MaxDepth and MaxValues bound what is shown to a schema: the nesting of lists and
// dicts, and how many values there are in all. A validator needs memory and stack
// in proportion to them, and they are a client's choice.
const (
	MaxDepth  = 128
	MaxValues = 100_000
)

// DefaultValues is how many values a payload may hold for a rule that doesn't say.
const DefaultValues = 4096

// Schema is a compiled JSON Schema (draft 4 to 2020-12; 2020-12 if it names none).
// Keywords format, contentEncoding and contentMediaType are asserted. It may be
// used concurrently.
type Schema struct {
	compiled *jsonschema.Schema
	// names are the keys that the schema's documents hold, which a refusal may
	// name: other keys were a client's.
	names map[string]bool
}

// LoadSchema compiles the schema in a file. It may refer ($ref) to other files by
// relative paths, never to anything on a network.
func LoadSchema(path string) (*Schema, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return compile(path, abs, doc, true)
}

// CompileSchema compiles the schema that doc holds. It may refer ($ref) to itself
// only. name stands for it in errors.
func CompileSchema(name string, doc []byte) (*Schema, error) {
	return compile(name, "memory:///schema.json", doc, false)
}

func compile(name, url string, doc []byte, files bool) (*Schema, error) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return nil, notJSON(name, doc, err)
	}
	s := &Schema{names: map[string]bool{"args": true, "kwargs": true}}
	collectNames(parsed, s.names)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	c.UseLoader(loader{names: s.names, files: files})
	if err = c.AddResource(url, parsed); err == nil {
		s.compiled, err = c.Compile(url)
	}
	if err != nil {
		return nil, problem(name, url, doc, err)
	}
	return s, nil
}

// loader fetches what a schema refers to.
type loader struct {
	names map[string]bool
	files bool
}

func (l loader) Load(url string) (any, error) {
	if !strings.HasPrefix(url, "file:") {
		return nil, errors.New("nothing is fetched from a network: keep the schema that it refers to in a file beside it, without $id")
	}
	if !l.files {
		return nil, errors.New("a schema without a file cannot refer to files")
	}
	doc, err := jsonschema.FileLoader{}.Load(url)
	if err == nil {
		collectNames(doc, l.names)
	}
	return doc, err
}

func collectNames(v any, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			names[key] = true
			collectNames(value, names)
		}
	case []any:
		for _, value := range v {
			collectNames(value, names)
		}
	}
}

// decode returns what schemas see of a clear payload of at most so many values.
func decode(p *wamp.Payload, values int) (map[string]any, *wamp.Refusal) {
	args, kwargs, err := p.DecodeWithin(wamp.ValueLimits{Nesting: MaxDepth, Elements: values})
	if errors.Is(err, wamp.ErrOpaque) {
		return nil, validationOpaque
	}
	if err != nil {
		var refusal *wamp.Refusal
		if errors.As(err, &refusal) {
			switch refusal.Limit {
			case wamp.LimitElements:
				return nil, tooMany
			case wamp.LimitNesting:
				return nil, tooDeep
			}
		}
		return nil, undecodable
	}
	if args == nil {
		args = []any{}
	}
	if kwargs == nil {
		kwargs = map[string]any{}
	}
	instance := map[string]any{"args": args, "kwargs": kwargs}
	if _, r := presentable(instance); r != nil {
		return nil, r
	}
	return instance, nil
}

// presentable makes v, in place, something that the validator copes with: it
// knows neither binaries nor numbers that JSON doesn't have.
func presentable(v any) (any, *wamp.Refusal) {
	switch v := v.(type) {
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, notANumber
		}
	case []any:
		for n := range v {
			item, r := presentable(v[n])
			if r != nil {
				return nil, r
			}
			v[n] = item
		}
	case map[string]any:
		for key := range v {
			item, r := presentable(v[key])
			if r != nil {
				return nil, r
			}
			v[key] = item
		}
	}
	return v, nil
}

var (
	undecodable = invalid("payload does not pass this URI's schema: it is not well-formed")
	tooMany     = overLimit(wamp.LimitElements, "payload does not pass this URI's schema: it holds more values than the rule has in \"elements\"")
	tooDeep     = overLimit(wamp.LimitNesting, "payload does not pass this URI's schema: it is nested more than "+strconv.Itoa(MaxDepth)+" deep")
	notANumber  = invalid("payload does not pass this URI's schema: it holds a number that JSON does not have (NaN or infinite)")
)

func invalid(text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonInvalid, URI: wamp.ErrValidationFailed, Text: text}
}

func overLimit(limit wamp.Limit, text string) *wamp.Refusal {
	r := invalid(text)
	r.Limit = limit
	return r
}

// check returns the refusal of an instance that fails.
func (s *Schema) check(instance map[string]any) *wamp.Refusal {
	err := s.compiled.Validate(instance)
	if err == nil {
		return nil
	}
	var failed *jsonschema.ValidationError
	if !errors.As(err, &failed) {
		return invalid("payload does not pass this URI's schema")
	}
	failed = leaf(failed)
	text := "payload does not pass this URI's schema: " + keyword(failed)
	switch failed.ErrorKind.(type) {
	case *kind.PropertyNames, *kind.ContentSchema:
		// Their location is a slice that the validator goes on writing to.
	default:
		text += " at " + s.pointer(instance, failed.InstanceLocation)
	}
	return invalid(text)
}

// keyword returns the keyword that a failure is about.
func keyword(e *jsonschema.ValidationError) string {
	if e.ErrorKind == nil {
		return "unknown"
	}
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		return path[0]
	}
	return "false" // the schema that nothing passes
}

// leaf follows the causes of a failure down to one that a sender can act on. Where
// alternatives failed there is no telling which one was meant, so they stay as
// they are. Of several causes it takes the first in the order of their places,
// because the validator's own order changes.
func leaf(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(e.Causes) > 0 {
		switch e.ErrorKind.(type) {
		case *kind.AnyOf, *kind.OneOf, *kind.Contains, *kind.MinContains, *kind.PropertyNames, *kind.ContentSchema:
			return e
		}
		first := e.Causes[0]
		for _, c := range e.Causes[1:] {
			if byPlace(c, first) < 0 {
				first = c
			}
		}
		e = first
	}
	return e
}

func byPlace(a, b *jsonschema.ValidationError) int {
	return cmp.Or(
		cmp.Compare(strings.Join(a.InstanceLocation, "/"), strings.Join(b.InstanceLocation, "/")),
		cmp.Compare(a.SchemaURL, b.SchemaURL),
		cmp.Compare(keyword(a), keyword(b)),
	)
}

// pointer returns a location as a JSON pointer (RFC 6901) with "*" for every key
// that only the sender knows.
func (s *Schema) pointer(instance any, location []string) string {
	var b strings.Builder
	for _, token := range location {
		b.WriteByte('/')
		switch v := instance.(type) {
		case []any:
			n, err := strconv.Atoi(token)
			if err != nil || n < 0 || n >= len(v) {
				return b.String() + "*"
			}
			b.WriteString(token)
			instance = v[n]
		case map[string]any:
			instance = v[token]
			if !s.names[token] {
				token = "*"
			}
			b.WriteString(pointerEscapes.Replace(token))
		}
	}
	if b.Len() == 0 {
		return "the top"
	}
	return b.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")
