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

// MaxDepth and MaxValues limit the payloads that a schema validates: the nesting of lists
// and dicts, and the number of all values. The validator needs stack and memory in
// proportion to them, and clients choose them.
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
	// names are the keys in the schema's documents. A refusal may contain these; other
	// keys come from clients.
	names map[string]bool
}

// LoadSchema compiles the schema in a file. It may refer ($ref) to other files by relative
// paths, but not to the network.
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

// CompileSchema compiles the schema in doc. It may refer ($ref) only to itself. Errors
// call it by name.
func CompileSchema(name string, doc []byte) (*Schema, error) {
	return compile(name, "memory:///schema.json", doc, false)
}

func compile(name, url string, doc []byte, files bool) (*Schema, error) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return nil, notJSONError(name, doc, err)
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
		return nil, schemaError(name, url, doc, err)
	}
	return s, nil
}

// loader loads the documents that a schema refers to.
type loader struct {
	names map[string]bool
	files bool
}

func (l loader) Load(url string) (any, error) {
	if !strings.HasPrefix(url, "file:") {
		return nil, errors.New("schemas are not loaded from the network: put the schema into a file in the same folder, without $id")
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

// decode returns the instance of a clear payload that schemas validate. The payload may
// have so many values.
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
	if _, r := toJSONValues(instance); r != nil {
		return nil, r
	}
	return instance, nil
}

// toJSONValues converts v, in place, to values that the validator supports: it has no
// binaries, and no numbers that JSON cannot represent.
func toJSONValues(v any) (any, *wamp.Refusal) {
	switch v := v.(type) {
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, notANumber
		}
	case []any:
		for n := range v {
			item, r := toJSONValues(v[n])
			if r != nil {
				return nil, r
			}
			v[n] = item
		}
	case map[string]any:
		for key := range v {
			item, r := toJSONValues(v[key])
			if r != nil {
				return nil, r
			}
			v[key] = item
		}
	}
	return v, nil
}

var (
	undecodable = invalid("payload does not match this URI's schema: it is not well-formed")
	tooMany     = overLimit(wamp.LimitElements, "payload does not match this URI's schema: it has more values than the rule's \"elements\"")
	tooDeep     = overLimit(wamp.LimitNesting, "payload does not match this URI's schema: it is nested more than "+strconv.Itoa(MaxDepth)+" deep")
	notANumber  = invalid("payload does not match this URI's schema: it contains a number that JSON cannot represent (NaN or infinite)")
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
		return invalid("payload does not match this URI's schema")
	}
	failed = leaf(failed)
	text := "payload does not match this URI's schema: " + keyword(failed)
	switch failed.ErrorKind.(type) {
	case *kind.PropertyNames, *kind.ContentSchema:
		// Their location is a slice that the validator overwrites later.
	default:
		text += " at " + s.pointer(instance, failed.InstanceLocation)
	}
	return invalid(text)
}

// keyword returns the keyword that failed.
func keyword(e *jsonschema.ValidationError) string {
	if e.ErrorKind == nil {
		return "unknown"
	}
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		return path[0]
	}
	return "false" // the schema that nothing matches
}

// leaf follows the causes of a failure down to one that the sender can act on. If all
// alternatives failed, it is unknown which one was meant, so it stops there. Of several
// causes it takes the first by location, because the validator's own order changes.
func leaf(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(e.Causes) > 0 {
		switch e.ErrorKind.(type) {
		case *kind.AnyOf, *kind.OneOf, *kind.Contains, *kind.MinContains, *kind.PropertyNames, *kind.ContentSchema:
			return e
		}
		first := e.Causes[0]
		for _, c := range e.Causes[1:] {
			if compareLocation(c, first) < 0 {
				first = c
			}
		}
		e = first
	}
	return e
}

func compareLocation(a, b *jsonschema.ValidationError) int {
	return cmp.Or(
		cmp.Compare(strings.Join(a.InstanceLocation, "/"), strings.Join(b.InstanceLocation, "/")),
		cmp.Compare(a.SchemaURL, b.SchemaURL),
		cmp.Compare(keyword(a), keyword(b)),
	)
}

// pointer returns a location as a JSON pointer (RFC 6901), with "*" for every key that
// comes from the sender.
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
