package values

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// fieldName returns the key of a struct's field: of the tag "wamp", else of the tag
// "json", else the field's name. It returns "" for a field that is left out.
func fieldName(f *reflect.StructField) (name string, omitEmpty bool) {
	if !f.IsExported() {
		return "", false
	}
	tag, ok := f.Tag.Lookup("wamp")
	if !ok {
		tag = f.Tag.Get("json")
	}
	name, options, _ := strings.Cut(tag, ",")
	switch {
	case tag == "-":
		return "", false
	case name == "":
		name = f.Name
	}
	return name, strings.Contains(","+options+",", ",omitempty,")
}

// structured returns a struct as a dict of its exported fields, or the text of what has
// one (encoding.TextMarshaler), such as time.Time.
func structured(r reflect.Value, depth int) (any, error) {
	if m, ok := r.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return nil, Error("a " + r.Type().String() + " has no text")
		}
		return Text(string(text))
	}
	out := make(map[string]any, r.NumField())
	for i := range r.NumField() {
		f := r.Type().Field(i)
		name, omit := fieldName(&f)
		if name == "" || omit && r.Field(i).IsZero() {
			continue
		}
		v, err := Normal(r.Field(i).Interface(), depth-1)
		if err != nil {
			return nil, Error("field " + f.Name + ": " + err.Error())
		}
		out[name] = v
	}
	return out, nil
}

// Assign stores v, which is in normal form or as a payload was decoded, in what dst points
// to: a bool, number, string, []byte, slice, map with string keys, struct, pointer to such,
// or any. A dict's keys that a struct does not have are ignored, and a struct's fields that
// the dict does not have keep their values. A number is stored only if it fits. The error
// names the place and both types, and repeats no value. Assign keeps what v refers to.
func Assign(dst any, v any) error {
	r := reflect.ValueOf(dst)
	if r.Kind() != reflect.Pointer || r.IsNil() {
		return Error(fmt.Sprintf("a %T is no pointer to store in", dst))
	}
	return assign(r.Elem(), v, MaxDepth)
}

func assign(dst reflect.Value, v any, depth int) error {
	if depth == 0 {
		return Error("nested too deeply")
	}
	if dst.Kind() == reflect.Interface && dst.NumMethod() == 0 {
		dst.Set(reflect.Zero(dst.Type()))
		if v != nil {
			dst.Set(reflect.ValueOf(v))
		}
		return nil
	}
	if v == nil { // null: no value
		dst.SetZero()
		return nil
	}
	if dst.Kind() == reflect.Pointer {
		if dst.IsNil() {
			dst.Set(reflect.New(dst.Type().Elem()))
		}
		return assign(dst.Elem(), v, depth-1)
	}
	if text, ok := v.(string); ok && dst.CanAddr() {
		if u, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
			if u.UnmarshalText([]byte(text)) != nil {
				return Error("the string is no " + dst.Type().String())
			}
			return nil
		}
	}
	src := reflect.ValueOf(v)
	misfit := Error(fmt.Sprintf("a %s is no %s", kindName(v), dst.Type()))
	switch dst.Kind() {
	case reflect.Bool:
		if src.Kind() != reflect.Bool {
			return misfit
		}
		dst.SetBool(src.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := integer(v)
		if !ok || dst.OverflowInt(n) {
			return misfit
		}
		dst.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, ok := v.(uint64)
		if n, fits := integer(v); fits && n >= 0 {
			u, ok = uint64(n), true
		}
		if !ok || dst.OverflowUint(u) {
			return misfit
		}
		dst.SetUint(u)
	case reflect.Float32, reflect.Float64:
		switch n := v.(type) {
		case float64:
			dst.SetFloat(n)
		case int64:
			dst.SetFloat(float64(n))
		case uint64:
			dst.SetFloat(float64(n))
		default:
			return misfit
		}
	case reflect.String:
		if src.Kind() != reflect.String {
			return misfit
		}
		dst.SetString(src.String())
	case reflect.Slice:
		if b, ok := v.([]byte); ok && dst.Type().Elem().Kind() == reflect.Uint8 {
			dst.SetBytes(b)
			return nil
		}
		list, ok := v.([]any)
		if !ok {
			return misfit
		}
		out := reflect.MakeSlice(dst.Type(), len(list), len(list))
		for i, item := range list {
			if err := assign(out.Index(i), item, depth-1); err != nil {
				return Error("item " + strconv.Itoa(i) + ": " + err.Error())
			}
		}
		dst.Set(out)
	case reflect.Map:
		dict, ok := v.(map[string]any)
		if !ok || dst.Type().Key().Kind() != reflect.String {
			return misfit
		}
		out := reflect.MakeMapWithSize(dst.Type(), len(dict))
		for key, item := range dict {
			value := reflect.New(dst.Type().Elem()).Elem()
			if err := assign(value, item, depth-1); err != nil {
				return Error("a value: " + err.Error()) // the key may be a secret
			}
			out.SetMapIndex(reflect.ValueOf(key).Convert(dst.Type().Key()), value)
		}
		dst.Set(out)
	case reflect.Struct:
		dict, ok := v.(map[string]any)
		if !ok {
			return misfit
		}
		for i := range dst.NumField() {
			f := dst.Type().Field(i)
			name, _ := fieldName(&f)
			if item, there := dict[name]; there && name != "" {
				if err := assign(dst.Field(i), item, depth-1); err != nil {
					return Error("field " + f.Name + ": " + err.Error())
				}
			}
		}
	default:
		return misfit
	}
	return nil
}

// integer returns a whole number that fits in int64: JSON clients send 1 as 1.0, too.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case uint64:
		return int64(n), n <= math.MaxInt64
	case float64:
		return int64(n), n == math.Trunc(n) && math.Abs(n) < 1<<53
	}
	return 0, false
}

// kindName names what a value is on the wire.
func kindName(v any) string {
	switch v.(type) {
	case bool:
		return "bool"
	case int64, uint64, float64:
		return "number"
	case string:
		return "string"
	case []byte:
		return "binary"
	case []any:
		return "list"
	case map[string]any:
		return "dict"
	}
	return fmt.Sprintf("%T", v)
}
