package cryptobox

import (
	"math"
	"math/big"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// uint8Array is the tag of RFC 8746 that some JavaScript encoders put around a
// Uint8Array, which is a byte string to everyone else.
const uint8Array = 64

var cborEncoding = must(cbor.EncOptions{
	// RFC 8949, 4.2.1: the same values, the same bytes.
	Sort:          cbor.SortBytewiseLexical,
	ShortestFloat: cbor.ShortestFloat16,
	NaNConvert:    cbor.NaNConvert7e00,
	InfConvert:    cbor.InfConvertFloat16,
	IndefLength:   cbor.IndefLengthForbidden,
	TagsMd:        cbor.TagsForbidden,
}.EncMode())

var cborDecoding = must(cbor.DecOptions{
	DupMapKey:        cbor.DupMapKeyEnforcedAPF,
	MaxNestedLevels:  maxDepth + 2,
	MaxArrayElements: math.MaxInt32, // the payload's size is bound enough
	MaxMapPairs:      math.MaxInt32,
	DefaultMapType:   reflect.TypeFor[map[string]any](),
}.DecMode())

func must[T any](v T, err error) T {
	if err != nil {
		panic("cryptobox: " + err.Error())
	}
	return v
}

// marshalCBOR returns the hash table of WAMP's "Payload Passthru Mode", "Message
// Structure", with the URI beside args and kwargs.
func (c *content) marshalCBOR() ([]byte, error) {
	m := map[string]any{"uri": *c.uri, "args": c.args, "kwargs": c.kwargs}
	if c.args == nil {
		m["args"] = []any{}
	}
	if c.kwargs == nil {
		m["kwargs"] = map[string]any{}
	}
	b, err := cborEncoding.Marshal(m)
	if err != nil {
		return nil, ErrValue.because("no CBOR for it")
	}
	return b, nil
}

var errPlainCBOR = ErrDecrypt.because("what is inside is not the CBOR of this form")

// unmarshalCBOR is the opposite of marshalCBOR, for CBOR of any encoder and
// unknown members.
func (c *content) unmarshalCBOR(data []byte) error {
	var m map[string]any
	if err := cborDecoding.Unmarshal(data, &m); err != nil || m == nil {
		return errPlainCBOR
	}
	for name, v := range m {
		v, err := plainCBOR(v)
		if err != nil {
			return err
		}
		if err := c.member(name, v); err != nil {
			return err
		}
	}
	return nil
}

// plainCBOR turns what the library returns into normal values, in place.
func plainCBOR(v any) (_ any, err error) {
	switch v := v.(type) {
	case nil, bool, int64, float64, string, []byte:
		return v, nil
	case uint64:
		return normalUint(v), nil
	case []any:
		for i := range v {
			if v[i], err = plainCBOR(v[i]); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[string]any:
		for k, e := range v {
			if v[k], err = plainCBOR(e); err != nil {
				return nil, err
			}
		}
		return v, nil
	case cbor.Tag:
		if b, ok := v.Content.([]byte); ok && v.Number == uint8Array {
			return b, nil
		}
	case big.Int:
		return nil, ErrDecrypt.because("a number inside is out of range")
	}
	return nil, errPlainCBOR
}
