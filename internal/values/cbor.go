package values

import (
	"math"
	"math/big"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// uint8Array is the tag of RFC 8746 that some JavaScript encoders put around a
// Uint8Array, which is a byte string to everyone else.
const uint8Array = 64

// Encoding writes values: the same ones as the same bytes (RFC 8949, 4.2.1).
var Encoding = must(cbor.EncOptions{
	Sort:          cbor.SortBytewiseLexical,
	ShortestFloat: cbor.ShortestFloat16,
	NaNConvert:    cbor.NaNConvert7e00,
	InfConvert:    cbor.InfConvertFloat16,
	IndefLength:   cbor.IndefLengthForbidden,
	TagsMd:        cbor.TagsForbidden,
}.EncMode())

// Decoding reads the values of any encoder. FromCBOR has to follow.
var Decoding = must(cbor.DecOptions{
	DupMapKey:        cbor.DupMapKeyEnforcedAPF,
	MaxNestedLevels:  MaxDepth + 2,
	MaxArrayElements: math.MaxInt32, // the payload's size is bound enough
	MaxMapPairs:      math.MaxInt32,
	DefaultMapType:   reflect.TypeFor[map[string]any](),
}.DecMode())

func must[T any](v T, err error) T {
	if err != nil {
		panic("values: " + err.Error())
	}
	return v
}

// What FromCBOR refuses.
const (
	ErrRange = Error("a number is out of range")
	ErrType  = Error("a value has no counterpart in WAMP")
)

// FromCBOR turns what Decoding returns into normal values, in place.
func FromCBOR(v any) (_ any, err error) {
	switch v := v.(type) {
	case nil, bool, int64, float64, string, []byte:
		return v, nil
	case uint64:
		return Uint(v), nil
	case []any:
		for i := range v {
			if v[i], err = FromCBOR(v[i]); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[string]any:
		for k, e := range v {
			if v[k], err = FromCBOR(e); err != nil {
				return nil, err
			}
		}
		return v, nil
	case cbor.Tag:
		if b, ok := v.Content.([]byte); ok && v.Number == uint8Array {
			return b, nil
		}
	case big.Int:
		return nil, ErrRange
	}
	return nil, ErrType
}
