package search

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
)

// leaks are ways in which a router could have left a secret, in each of which it
// must be found.
func leaks(t *testing.T, secret []byte, text bool) map[string][]byte {
	out := map[string][]byte{
		"raw":       secret,
		"hex":       []byte(hex.EncodeToString(secret)),
		"HEX":       []byte(strings.ToUpper(hex.EncodeToString(secret))),
		"Go %x":     fmt.Appendf(nil, "%x", append([]byte("before"), secret...)),
		"Go []byte": fmt.Append(nil, secret),
	}
	for n := range 5 {
		within := append(append(randomBytes(n), secret...), randomBytes(n)...)
		out[fmt.Sprint("base64 at ", n)] = []byte(base64.StdEncoding.EncodeToString(within))
		out[fmt.Sprint("base64url at ", n)] = []byte(base64.RawURLEncoding.EncodeToString(within))
	}
	if !text {
		var numbers []int
		for _, b := range secret {
			numbers = append(numbers, int(b))
		}
		list, err := json.Marshal(numbers)
		if err != nil {
			t.Fatal(err)
		}
		out["a list of small integers"] = list
		return out
	}
	delete(out, "Go []byte")
	for _, html := range []bool{true, false} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if err := e.Encode(map[string]string{"k": string(secret)}); err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprint("JSON, HTML escaped: ", html)] = b.Bytes()
	}
	var wide []byte
	for _, u := range utf16.Encode([]rune(string(secret))) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	out["UTF-16"] = wide
	out["Go %q"] = fmt.Appendf(nil, "%+q", secret)
	return out
}

// Whatever a secret is encoded as, and wherever the pieces of a stream end, it
// is found; and nothing is found where there is none.
func TestSecretsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		secret []byte
		text   bool
	}{"canary": {[]byte(canary()), true}, "key": {randomBytes(32), false}} {
		s := New(Encodings("secret", c.secret, c.text))
		for leak, b := range leaks(t, c.secret, c.text) {
			stream := bytes.Join([][]byte{randomBytes(300), make([]byte, 100), b, randomBytes(300)}, nil)
			found := make(Hits)
			s.Find(stream, found.Add)
			if found.Of("secret") == 0 {
				t.Errorf("%s as %s is not found", name, leak)
			}
			pieces := make(Hits)
			if _, err := s.Reader(iotest.OneByteReader(bytes.NewReader(stream)), pieces.Add); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(pieces) != fmt.Sprint(found) {
				t.Errorf("%s as %s: %v in pieces, %v as a whole", name, leak, pieces, found)
			}
		}
		found := make(Hits)
		s.Find(append(randomBytes(1<<20), make([]byte, 1<<20)...), found.Add)
		if len(found) > 0 {
			t.Errorf("%s is found where there is none: %v", name, found)
		}
	}
}

// Ciphertext is found in the forms that it is sent, logged and kept in.
func TestCiphertextIsFound(t *testing.T) {
	for _, size := range []int{40, 64, 65, 1000} {
		payload := randomBytes(size)
		text := base64.StdEncoding.EncodeToString(payload)
		s := New(Ciphertext(payload), DoubleEncoded(payload))
		for name, b := range map[string][]byte{
			"raw": payload, "base64": []byte(text), "hex": []byte(hex.EncodeToString(payload)),
			"its end":          payload[len(payload)-33:],
			"base64 in hex":    []byte(hex.EncodeToString([]byte("xy" + text))),
			"base64 in base64": []byte(base64.StdEncoding.EncodeToString([]byte("x" + text))),
		} {
			if size <= 64 && name == "its end" {
				continue
			}
			found := make(Hits)
			s.Find(b, found.Add)
			if found.Of(CiphertextName) == 0 {
				t.Errorf("%d B of ciphertext are not found %s", size, name)
			}
		}
	}
}

// A report names what was found, and never shows it.
func TestHitsShowNoSecret(t *testing.T) {
	secret := canary()
	found := make(Hits)
	New(Encodings("the canary", []byte(secret), true)).Find([]byte(secret), found.Add)
	text := fmt.Sprint(found.Except())
	if !strings.Contains(text, "the canary, raw") || strings.Contains(text, secret[:20]) {
		t.Error(text)
	}
}

func BenchmarkScan(b *testing.B) {
	scan := New(Encodings("canary", []byte(canary()), true), Encodings("key", randomBytes(32), false))
	data := randomBytes(4 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		scan.Find(data, func(*Pattern) {})
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// canary is like those of package verify.
func canary() string {
	half := func() string { return strings.ToLower(rand.Text())[:20] }
	return half() + "é\"</" + half()
}
