package cryptobox

import (
	"encoding/base64"
	"math"
	"reflect"
	"unicode/utf8"
)

// maxDepth bounds the nesting of values, sealed or opened.
const maxDepth = 100

// content is what a payload carries: the plaintext of both forms.
type content struct {
	uri    *string // nil where the plaintext names none
	args   []any
	kwargs map[string]any
}

// normalize returns v as one of nil, bool, int64, uint64 (only above 2^63-1),
// float64, string, []byte, []any and map[string]any, or ErrValue. It copies
// containers and never changes v. A nil pointer is nil; a nil slice or map is an
// empty one.
func normalize(v any, depth int) (any, error) {
	switch v := v.(type) { // the usual ones, without reflection
	case nil, bool, int64, float64:
		return v, nil
	case string:
		return normalText(v)
	}
	if depth == 0 {
		return nil, ErrValue.because("nested too deeply")
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return normalUint(r.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return r.Float(), nil
	case reflect.String:
		return normalText(r.String())
	case reflect.Pointer:
		if r.IsNil() {
			return nil, nil
		}
		return normalize(r.Elem().Interface(), depth-1)
	case reflect.Slice:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			return append([]byte{}, r.Bytes()...), nil
		}
		return normalList(r, depth)
	case reflect.Array:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, r.Len())
			reflect.Copy(reflect.ValueOf(b), r)
			return b, nil
		}
		return normalList(r, depth)
	case reflect.Map:
		if r.Type().Key().Kind() == reflect.String {
			return normalDict(r, depth)
		}
	}
	return nil, ErrValue.because("a " + r.Type().String() + " has no counterpart in WAMP")
}

func normalUint(u uint64) any {
	if u <= math.MaxInt64 {
		return int64(u)
	}
	return u
}

func normalText(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, ErrValue.because("a string is not UTF-8 (bytes are []byte)")
	}
	return s, nil
}

func normalList(r reflect.Value, depth int) (any, error) {
	list := make([]any, r.Len())
	for i := range list {
		v, err := normalize(r.Index(i).Interface(), depth-1)
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return list, nil
}

func normalDict(r reflect.Value, depth int) (any, error) {
	dict := make(map[string]any, r.Len())
	for it := r.MapRange(); it.Next(); {
		key := it.Key().String()
		if !utf8.ValidString(key) {
			return nil, ErrValue.because("a string is not UTF-8 (bytes are []byte)")
		}
		v, err := normalize(it.Value().Interface(), depth-1)
		if err != nil {
			return nil, err
		}
		dict[key] = v
	}
	return dict, nil
}

// normalContent returns what is to be sealed in normal values.
func normalContent(uri string, args []any, kwargs map[string]any) (c content, err error) {
	if !utf8.ValidString(uri) {
		return c, ErrValue.because("the URI is not UTF-8")
	}
	c.uri = &uri
	if args != nil {
		v, err := normalList(reflect.ValueOf(args), maxDepth)
		if err != nil {
			return c, err
		}
		c.args = v.([]any)
	}
	if kwargs != nil {
		v, err := normalDict(reflect.ValueOf(kwargs), maxDepth)
		if err != nil {
			return c, err
		}
		c.kwargs = v.(map[string]any)
	}
	return c, nil
}

// member takes the members uri, args and kwargs of a plaintext, in normal
// values. Others are ignored, as Autobahn does.
func (c *content) member(name string, v any) error {
	ok := true
	switch name {
	case "uri":
		var uri string
		if uri, ok = v.(string); ok {
			c.uri = &uri
		}
	case "args":
		if v != nil {
			c.args, ok = v.([]any)
		}
	case "kwargs":
		if v != nil {
			c.kwargs, ok = v.(map[string]any)
		}
	}
	if !ok {
		return ErrDecrypt.because("wrong type of \"" + name + "\" inside")
	}
	return nil
}

// binaryText is how binaries stand in JSON (WAMP, "Binary support in JSON").
func binaryText(b []byte) string {
	return "\x00" + base64.StdEncoding.EncodeToString(b)
}
