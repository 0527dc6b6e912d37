package codec

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// EncodePayload makes a clear payload of values: those that
// wamp.Payload.Decode documents, every other kind of integer and float, and
// slices and maps of such. Without values it is the empty payload. The error
// is a *wamp.Refusal that says what has no counterpart in s. It may be called
// concurrently.
func EncodePayload(s wamp.Serializer, args []any, kwargs map[string]any) (wamp.Payload, error) {
	w := writerOf(s)
	if w == nil {
		return wamp.Payload{}, errSerializer
	}
	if len(args) == 0 && len(kwargs) == 0 {
		return wamp.Payload{}, nil
	}
	e := encoding{w: w, s: s, in: container{kind: kindArray}}
	facts := wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1, Args: len(args), Kwargs: len(kwargs)}
	e.list(args, maxPayloadDepth)
	if len(kwargs) > 0 {
		facts.Elements = 2
		e.dict(kwargs, maxPayloadDepth)
	}
	if e.err != nil {
		return wamp.Payload{}, e.err
	}
	facts.Size = len(e.dst)
	if len(args) == 1 && len(kwargs) == 0 {
		if data, ok := args[0].([]byte); ok {
			facts.Size = len(data)
		}
	}
	return wamp.NewPayload(transcoders[s], e.dst, facts), nil
}

// any appends a value with at most depth containers in each other.
func (e *encoding) any(v any, depth int) {
	switch v := v.(type) {
	case nil:
		e.null()
	case bool:
		e.bool(v)
	case string:
		e.checkedText(v)
	case []byte:
		e.binary(v)
	case int:
		e.int(int64(v))
	case int64:
		e.int(v)
	case uint64:
		e.uint(v)
	case float64:
		e.float(v)
	case []any:
		e.list(v, depth)
	case []wamp.ID:
		e.idList(v, depth)
	case map[string]any:
		e.dict(v, depth)
	case element:
		e.element(v)
	default:
		e.reflected(reflect.ValueOf(v), depth)
	}
}

func (e *encoding) null() {
	e.before()
	e.dst = e.w.null(e.dst)
}

func (e *encoding) int(v int64) {
	e.before()
	e.dst = e.w.int(e.dst, v)
}

func (e *encoding) binary(v []byte) {
	e.before()
	e.dst = e.w.binary(e.dst, v)
}

func (e *encoding) float(v float64) {
	if e.s == wamp.JSON && (math.IsNaN(v) || math.IsInf(v, 0)) {
		e.fail(inconvertible("JSON has no counterpart for " + problemNaN))
		return
	}
	e.before()
	e.dst = e.w.float(e.dst, v)
}

func (e *encoding) checkedText(s string) {
	if !utf8.ValidString(s) {
		e.fail(inconvertible("there is no counterpart for " + faultText))
		return
	}
	e.text(s)
}

func (e *encoding) list(v []any, depth int) {
	if depth == 0 {
		e.fail(inconvertible("the data is " + faultDepth))
		return
	}
	outer, at := e.open(kindArray)
	for _, v := range v {
		e.any(v, depth-1)
	}
	e.close(outer, at)
}

// idList is list for what the router has many of.
func (e *encoding) idList(v []wamp.ID, depth int) {
	if depth == 0 {
		e.fail(inconvertible("the data is " + faultDepth))
		return
	}
	e.dst = slices.Grow(e.dst, 9*len(v))
	outer, at := e.open(kindArray)
	for _, id := range v {
		e.uint(uint64(id))
	}
	e.close(outer, at)
}

// dict appends the entries in the order of their keys, so that equal values
// are equal bytes.
func (e *encoding) dict(v map[string]any, depth int) {
	if depth == 0 {
		e.fail(inconvertible("the data is " + faultDepth))
		return
	}
	keys := make([]string, 0, len(v))
	for key := range v {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	outer, at := e.open(kindMap)
	for _, key := range keys {
		e.checkedKey(key)
		e.any(v[key], depth-1)
	}
	e.close(outer, at)
}

func (e *encoding) checkedKey(s string) {
	if !utf8.ValidString(s) {
		e.fail(inconvertible("there is no counterpart for " + faultText))
		return
	}
	e.key(s)
}

// reflected appends values of types that any does not name.
func (e *encoding) reflected(v reflect.Value, depth int) {
	switch k := v.Kind(); k {
	case reflect.Bool:
		e.bool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.int(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.uint(v.Uint())
	case reflect.Float32, reflect.Float64:
		e.float(v.Float())
	case reflect.String:
		e.checkedText(v.String())
	case reflect.Pointer, reflect.Interface:
		switch {
		case v.IsNil():
			e.null()
		case depth == 0: // a pointer may lead back to itself
			e.fail(inconvertible("the data is " + faultDepth))
		default:
			e.reflected(v.Elem(), depth-1)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			data := make([]byte, v.Len())
			reflect.Copy(reflect.ValueOf(data), v)
			e.binary(data)
			return
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = v.Index(i).Interface()
		}
		e.list(list, depth)
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			e.fail(inconvertible("there is no counterpart for " + problemKey))
			return
		}
		dict := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			dict[it.Key().String()] = it.Value().Interface()
		}
		e.dict(dict, depth)
	default:
		// The name of a type comes from this program, not from a peer.
		e.fail(inconvertible(fmt.Sprintf("there is no counterpart for a Go value of type %s", v.Type())))
	}
}
