package cryptobox

import (
	"bytes"
	"encoding/base64"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/blindfold-wamp/blindfold/internal/values"
)

// marshalJSON returns {"uri":…,"args":…,"kwargs":…} as Autobahn writes it: compact,
// in this order, with minimal escaping, absent args and kwargs as null. Entries of
// dicts are sorted.
func (c *content) marshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 256), `{"uri":`...)
	b, err := appendJSON(b, *c.uri)
	if err != nil {
		return nil, err
	}
	b = append(b, `,"args":`...)
	if c.args == nil {
		b = append(b, "null"...)
	} else if b, err = appendJSON(b, c.args); err != nil {
		return nil, err
	}
	b = append(b, `,"kwargs":`...)
	if c.kwargs == nil {
		b = append(b, "null"...)
	} else if b, err = appendJSON(b, c.kwargs); err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

// appendJSON appends a normal value.
func appendJSON(b []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case uint64:
		return strconv.AppendUint(b, v, 10), nil
	case float64:
		return appendFloat(b, v)
	case string:
		// The other side would read it as a binary.
		if strings.HasPrefix(v, "\x00") {
			return nil, ErrValue.because("a string that begins with U+0000 is a binary in JSON")
		}
		return jsontext.AppendQuote(b, v)
	case []byte:
		return jsontext.AppendQuote(b, binaryText(v))
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = jsontext.AppendQuote(b, k); err != nil {
				return nil, err
			}
			b = append(b, ':')
			if b, err = appendJSON(b, v[k]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	panic("cryptobox: not a normal value")
}

// appendFloat writes a number as Python does: with as few digits as needed to
// distinguish it from its neighbours, and always recognizable as a float.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, ErrValue.because("NaN and infinities cannot be represented in JSON")
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.AppendFloat(b, f, 'e', -1, 64), nil
	}
	n := len(b)
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	if !bytes.ContainsRune(b[n:], '.') {
		b = append(b, ".0"...)
	}
	return b, nil
}

var errPlainJSON = ErrDecrypt.because("the content is not the JSON of this form")

// unmarshalJSON reverses marshalJSON. It accepts any order, any whitespace and unknown
// members.
func (c *content) unmarshalJSON(text []byte) error {
	// The decoder refuses invalid UTF-8 and duplicate names.
	d := jsontext.NewDecoder(bytes.NewBuffer(text))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return errPlainJSON
	}
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return errPlainJSON
		}
		name := t.String()
		v, err := readJSON(d, values.MaxDepth)
		if err != nil {
			return err
		}
		if err := c.member(name, v); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return errPlainJSON
	}
	if len(bytes.Trim(d.UnreadBuffer(), " \t\r\n")) > 0 {
		return errPlainJSON
	}
	return nil
}

func readJSON(d *jsontext.Decoder, depth int) (any, error) {
	t, err := d.ReadToken()
	if err != nil || depth < 0 {
		return nil, errPlainJSON
	}
	switch t.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return t.Bool(), nil
	case '0':
		return readNumber(t.String())
	case '"':
		return readText(t.String())
	case '[':
		list := []any{}
		for d.PeekKind() != ']' {
			v, err := readJSON(d, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		if _, err = d.ReadToken(); err != nil {
			return nil, errPlainJSON
		}
		return list, nil
	case '{':
		dict := map[string]any{}
		for d.PeekKind() != '}' {
			t, err := d.ReadToken()
			if err != nil {
				return nil, errPlainJSON
			}
			name := t.String()
			if dict[name], err = readJSON(d, depth-1); err != nil {
				return nil, err
			}
		}
		if _, err = d.ReadToken(); err != nil {
			return nil, errPlainJSON
		}
		return dict, nil
	}
	return nil, errPlainJSON
}

// readNumber never rounds an integer. Python's integers have no bounds, Go's do.
func readNumber(s string) (any, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, ErrDecrypt.because("a number in the content is out of range")
		}
		return f, nil
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, nil
	}
	u, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return nil, ErrDecrypt.because("a number in the content is out of range")
	}
	return u, nil
}

func readText(s string) (any, error) {
	encoded, binary := strings.CutPrefix(s, "\x00")
	if !binary {
		return s, nil
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, ErrDecrypt.because("a binary in the content is not base64")
	}
	return b, nil
}
