// Package values is what sealed payloads carry: the normal form of values that
// WAMP has, and their CBOR. Its errors say what is wrong and repeat no value.
package values

import (
	"math"
	"reflect"
	"unicode/utf8"
)

// MaxDepth bounds the nesting of values.
const MaxDepth = 100

// Error is what is wrong with a value.
type Error string

func (e Error) Error() string { return string(e) }

const notUTF8 = Error("a string is not UTF-8 (bytes are []byte)")

// Normal returns v as one of nil, bool, int64, uint64 (only above 2^63-1),
// float64, string, []byte, []any and map[string]any, or an Error. It copies
// containers and never changes v. A struct is a dict of its exported fields, under the
// names of their tags "wamp" or "json", or a string if it has a text. A nil pointer is nil; a nil slice or map is an
// empty one. Containers may be nested up to depth.
func Normal(v any, depth int) (any, error) {
	switch v := v.(type) { // the usual ones, without reflection
	case nil, bool, int64, float64:
		return v, nil
	case string:
		return Text(v)
	}
	if depth == 0 {
		return nil, Error("nested too deeply")
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return Uint(r.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return r.Float(), nil
	case reflect.String:
		return Text(r.String())
	case reflect.Pointer:
		if r.IsNil() {
			return nil, nil
		}
		return Normal(r.Elem().Interface(), depth-1)
	case reflect.Slice:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			return append([]byte{}, r.Bytes()...), nil
		}
		return list(r, depth)
	case reflect.Array:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, r.Len())
			reflect.Copy(reflect.ValueOf(b), r)
			return b, nil
		}
		return list(r, depth)
	case reflect.Map:
		if r.Type().Key().Kind() == reflect.String {
			return dict(r, depth)
		}
	case reflect.Struct:
		return structured(r, depth)
	}
	return nil, Error("a " + r.Type().String() + " has no counterpart in WAMP")
}

// Uint returns u in normal form.
func Uint(u uint64) any {
	if u <= math.MaxInt64 {
		return int64(u)
	}
	return u
}

// Text returns s, if it is UTF-8.
func Text(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, notUTF8
	}
	return s, nil
}

func list(r reflect.Value, depth int) (any, error) {
	out := make([]any, r.Len())
	for i := range out {
		v, err := Normal(r.Index(i).Interface(), depth-1)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func dict(r reflect.Value, depth int) (any, error) {
	out := make(map[string]any, r.Len())
	for it := r.MapRange(); it.Next(); {
		key := it.Key().String()
		if !utf8.ValidString(key) {
			return nil, notUTF8
		}
		v, err := Normal(it.Value().Interface(), depth-1)
		if err != nil {
			return nil, err
		}
		out[key] = v
	}
	return out, nil
}

// Payload returns args and kwargs in normal form. What is nil stays nil.
func Payload(args []any, kwargs map[string]any) ([]any, map[string]any, error) {
	if args != nil {
		v, err := list(reflect.ValueOf(args), MaxDepth)
		if err != nil {
			return nil, nil, err
		}
		args = v.([]any)
	}
	if kwargs != nil {
		v, err := dict(reflect.ValueOf(kwargs), MaxDepth)
		if err != nil {
			return nil, nil, err
		}
		kwargs = v.(map[string]any)
	}
	return args, kwargs, nil
}
