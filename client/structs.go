package client

import (
	"fmt"
	"slices"

	"github.com/blindfold-wamp/blindfold/internal/values"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Arguments and results may be structs. A struct is a dict of its exported fields; the
// tag `wamp:"name,omitempty"`, or else the tag json, names a key, and "-" leaves a field
// out. Types with a text (encoding.TextMarshaler), such as time.Time, are strings. Decode
// reads them back.

// Decode stores the arguments in what dst point to, the first in the first: booleans,
// numbers, strings, []byte, slices, maps, structs, pointers to them, or any. Further
// arguments are ignored. The error names the argument and both types.
func (e *Event) Decode(dst ...any) error { return decodeArgs(e.Args, dst) }

// DecodeKwargs stores the keyword arguments in the struct or map that dst points to.
func (e *Event) DecodeKwargs(dst any) error { return decodeKwargs(e.Kwargs, dst) }

// Decode is Event.Decode for the arguments of a call.
func (inv *Invocation) Decode(dst ...any) error { return decodeArgs(inv.Args, dst) }

// DecodeKwargs is Event.DecodeKwargs for those of a call.
func (inv *Invocation) DecodeKwargs(dst any) error { return decodeKwargs(inv.Kwargs, dst) }

// Decode is Event.Decode for a result.
func (r *Result) Decode(dst ...any) error { return decodeArgs(r.Args, dst) }

// DecodeKwargs is Event.DecodeKwargs for a result.
func (r *Result) DecodeKwargs(dst any) error { return decodeKwargs(r.Kwargs, dst) }

// decodeArgs returns an *Error: a handler that returns it tells the caller what is wrong.
func decodeArgs(args []any, dst []any) error {
	if len(args) < len(dst) {
		return invalid(wamp.ErrInvalidArgument, fmt.Sprintf("there are %d arguments, not %d", len(args), len(dst)), nil)
	}
	for i := range dst {
		if err := values.Assign(dst[i], args[i]); err != nil {
			return invalid(wamp.ErrInvalidArgument, fmt.Sprintf("argument %d: %v", i+1, err), err)
		}
	}
	return nil
}

func decodeKwargs(kwargs map[string]any, dst any) error {
	if kwargs == nil {
		kwargs = map[string]any{}
	}
	if err := values.Assign(dst, kwargs); err != nil {
		return invalid(wamp.ErrInvalidArgument, fmt.Sprintf("keyword arguments: %v", err), err)
	}
	return nil
}

// encodeClear encodes a clear payload. Values that the codec has no form for, structs
// among them, are normalized first.
func encodeClear(s wamp.Serializer, args []any, kwargs map[string]any) (wamp.Payload, error) {
	p, err := codec.EncodePayload(s, args, kwargs)
	if err == nil {
		return p, nil
	}
	args = slices.Clone(args)
	for i := range args {
		var wrong error
		if args[i], wrong = values.Normal(args[i], values.MaxDepth); wrong != nil {
			return p, invalid(wamp.ErrInvalidArgument, fmt.Sprintf("argument %d cannot be sent: %v", i+1, wrong), wrong)
		}
	}
	normal := make(map[string]any, len(kwargs))
	for key, v := range kwargs {
		var wrong error
		if normal[key], wrong = values.Normal(v, values.MaxDepth); wrong != nil {
			return p, invalid(wamp.ErrInvalidArgument, fmt.Sprintf("keyword argument %q cannot be sent: %v", key, wrong), wrong)
		}
	}
	if p, err = codec.EncodePayload(s, args, normal); err != nil {
		return p, invalid(uriOf(err, wamp.ErrInvalidArgument), "the arguments cannot be encoded: "+textOf(err), err)
	}
	return p, nil
}

// textOf is the text of an error, without the URI of a refusal.
func textOf(err error) string {
	if r, ok := err.(*wamp.Refusal); ok {
		return r.Text
	}
	return err.Error()
}
