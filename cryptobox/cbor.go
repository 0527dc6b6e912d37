package cryptobox

import "github.com/blindfold-wamp/blindfold/internal/values"

// marshalCBOR returns the hash table of WAMP's "Payload Passthru Mode", "Message
// Structure", with the URI in addition to args and kwargs.
func (c *content) marshalCBOR() ([]byte, error) {
	m := map[string]any{"uri": *c.uri, "args": c.args, "kwargs": c.kwargs}
	if c.args == nil {
		m["args"] = []any{}
	}
	if c.kwargs == nil {
		m["kwargs"] = map[string]any{}
	}
	b, err := values.Encoding.Marshal(m)
	if err != nil {
		return nil, ErrValue.because("it cannot be represented in CBOR")
	}
	return b, nil
}

var errPlainCBOR = ErrDecrypt.because("the content is not the CBOR of this form")

// unmarshalCBOR reverses marshalCBOR. It accepts CBOR of any encoder, and unknown members.
func (c *content) unmarshalCBOR(data []byte) error {
	var m map[string]any
	if err := values.Decoding.Unmarshal(data, &m); err != nil || m == nil {
		return errPlainCBOR
	}
	for name, v := range m {
		v, err := values.FromCBOR(v)
		switch err {
		case nil:
		case values.ErrRange:
			return ErrDecrypt.because("a number in the content is out of range")
		default:
			return errPlainCBOR
		}
		if err := c.member(name, v); err != nil {
			return err
		}
	}
	return nil
}
