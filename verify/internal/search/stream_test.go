package search

import (
	"bytes"
	"slices"
	"testing"
)

// masked makes a client's WebSocket frame.
func masked(body []byte) []byte {
	key := []byte{0xa1, 0xb2, 0xc3, 0xd4}
	out := []byte{0x82, 0x80 | 126, byte(len(body) >> 8), byte(len(body))}
	out = append(out, key...)
	for i, c := range body {
		out = append(out, c^key[i%4])
	}
	return out
}

// What clients mask is found, wherever the pieces end.
func TestStreamUnmasks(t *testing.T) {
	secret := randomBytes(32)
	frame := append([]byte("GET / HTTP/1.1\r\n\r\n"), masked(slices.Concat([]byte("hello"), secret))...)
	for at := range frame {
		found := make(Hits)
		st := NewStream(New(Encodings("secret", secret, false)), found.Add)
		st.Feed(frame[:at])
		st.Feed(frame[at:])
		if found.Of("secret") == 0 {
			t.Errorf("in two pieces, %d B first: not found", at)
		}
	}
}

// What only looks like HTTP is not held for ever, and what is read early is
// searched as it is.
func TestStreamKinds(t *testing.T) {
	secret := randomBytes(32)
	for _, begin := range [][]byte{{0x7f, 0xf1, 0, 0}, []byte("GET / HTTP/1.1\r\n\r\n\x82\x05abcde"), {}} {
		found := make(Hits)
		st := NewStream(New(Encodings("secret", secret, false)), found.Add)
		for _, c := range slices.Concat(begin, randomBytes(5), secret) {
			st.Feed([]byte{c})
		}
		if found.Of("secret") == 0 {
			t.Errorf("behind %q: not found", begin)
		}
		if bytes.HasPrefix(begin, []byte("GET")) && st.kind != streamOther {
			t.Errorf("a frame that is not masked is no WebSocket of a client")
		}
	}
}
