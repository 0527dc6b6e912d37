package passthrough

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// notJSONError returns the error of a document that is not JSON, with file, line and reason.
func notJSONError(name string, doc []byte, err error) error {
	at := len(doc)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		at = int(syntax.Offset)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("unexpected end")
	default: // there is something after the value
		d := json.NewDecoder(bytes.NewReader(doc))
		var value json.RawMessage
		_ = d.Decode(&value)
		at = len(doc) - len(bytes.TrimLeft(doc[d.InputOffset():], " \t\r\n"))
	}
	return fmt.Errorf("schema %s:%d: not JSON: %w", name, line(doc, at), err)
}

// schemaError returns the error of a schema in one line: file, line, key, and the first of
// the library's reasons, which can be dozens.
func schemaError(name, url string, doc []byte, err error) error {
	var invalid *jsonschema.SchemaValidationError
	var failed *jsonschema.ValidationError
	var lost *jsonschema.JSONPointerNotFoundError
	var anchor *jsonschema.AnchorNotFoundError
	var unread *jsonschema.LoadURLError
	switch {
	case errors.As(err, &invalid) && errors.As(invalid.Err, &failed):
		for failed = leaf(failed); len(failed.Causes) > 0; failed = leaf(failed) {
			failed = failed.Causes[0] // of alternatives: any of them says more than "no alternative matches"
		}
		_, reason, _ := strings.Cut(failed.Error(), "': ")
		pointer := pointerTo(failed.InstanceLocation)
		if path, other := otherFile(invalid.URL, url); other {
			name = path
			doc, _ = os.ReadFile(path) // without the file, the error has no line
		}
		return locate(name, doc, func(at []string, _ any) bool { return pointerTo(at) == pointer }, reason)
	case errors.As(err, &lost):
		return locate(name, doc, refersTo(lost.URL), "it refers to a location that does not exist")
	case errors.As(err, &anchor):
		return locate(name, doc, refersTo(anchor.Reference, anchor.URL), "it refers to an anchor that does not exist")
	case errors.As(err, &unread):
		return locate(name, doc, refersTo(unread.URL), unread.Err.Error())
	}
	return fmt.Errorf("schema %s: %s", name, strings.Join(strings.Fields(err.Error()), " "))
}

// otherFile returns the path of the file that a location is in, unless it is the
// document itself.
func otherFile(location, document string) (string, bool) {
	location, _, _ = strings.Cut(location, "#")
	path, isFile := strings.CutPrefix(location, "file://")
	return path, isFile && path != document
}

// refersTo matches references to one of the URLs.
func refersTo(urls ...string) func(at []string, value any) bool {
	return func(at []string, value any) bool {
		text, ok := value.(string)
		if !ok || len(at) == 0 || !strings.HasPrefix(at[len(at)-1], "$") {
			return false
		}
		file, _, _ := strings.Cut(text, "#")
		for _, url := range urls {
			if text != "" && strings.HasSuffix(url, text) || file != "" && strings.HasSuffix(url, file) {
				return true
			}
		}
		return false
	}
}

// locate returns reason with the line and key in doc that meant selects.
func locate(name string, doc []byte, meant func(at []string, value any) bool, reason string) error {
	reason = strings.Join(strings.Fields(reason), " ")
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	at, found := find(d, nil, meant)
	if !found {
		return fmt.Errorf("schema %s: %s", name, reason)
	}
	return fmt.Errorf("schema %s:%d: %s: %s", name, line(doc, int(d.InputOffset())), cmp.Or(pointerTo(at), "the whole document"), reason)
}

// find reads values until meant selects one, and returns its location.
func find(d *json.Decoder, at []string, meant func(at []string, value any) bool) ([]string, bool) {
	token, err := d.Token()
	if err != nil {
		return nil, false
	}
	if meant(at, token) {
		return at, true
	}
	if _, begins := token.(json.Delim); !begins {
		return nil, false
	}
	for n := 0; d.More(); n++ {
		key := strconv.Itoa(n)
		if token == json.Delim('{') {
			name, err := d.Token()
			if err != nil {
				return nil, false
			}
			key, _ = name.(string)
		}
		if place, found := find(d, append(at, key), meant); found {
			return place, true
		}
	}
	_, _ = d.Token() // the end of it
	return nil, false
}

func pointerTo(at []string) string {
	var b strings.Builder
	for _, key := range at {
		b.WriteString("/" + pointerEscapes.Replace(key))
	}
	return b.String()
}

func line(doc []byte, offset int) int {
	return 1 + bytes.Count(doc[:min(offset, len(doc))], []byte("\n"))
}
