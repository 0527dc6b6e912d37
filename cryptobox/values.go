package cryptobox

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/blindfold-wamp/blindfold/internal/values"
)

// content is the content of a payload: the plaintext of both forms.
type content struct {
	uri    *string // nil if the plaintext has none
	args   []any
	kwargs map[string]any
}

// normalContent returns the content to seal, as normal values.
func normalContent(uri string, args []any, kwargs map[string]any) (c content, err error) {
	if !utf8.ValidString(uri) {
		return c, ErrValue.because("the URI is not UTF-8")
	}
	c.uri = &uri
	if c.args, c.kwargs, err = values.Payload(args, kwargs); err != nil {
		return content{}, ErrValue.because(err.Error())
	}
	return c, nil
}

// member sets the member uri, args or kwargs of a plaintext from a normal value. Other
// members are ignored, as in Autobahn.
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
		return ErrDecrypt.because("\"" + name + "\" in the content has the wrong type")
	}
	return nil
}

// binaryText returns a binary as a JSON string (WAMP, "Binary support in JSON").
func binaryText(b []byte) string {
	return "\x00" + base64.StdEncoding.EncodeToString(b)
}
