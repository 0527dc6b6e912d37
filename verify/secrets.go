package verify

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/nacl/box"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/verify/internal/search"
)

// secrets is what the router must never see: canaries, which are only ever sent
// sealed, and the keys that they are sealed with. The values never leave this
// package; reports name them by what they are.
type secrets struct {
	ring *cryptobox.KeyRing
	keys []search.Pattern // of the keys

	args, kwargs, failure, progress string
	binary                          []byte

	// clear is sent in the clear: finding it shows that a search works.
	clear string
}

// newSecrets draws the canaries and, unless a keyring file is given, the keys.
func newSecrets(keyring string) (*secrets, error) {
	s := &secrets{
		ring: new(cryptobox.KeyRing),
		args: newCanary(), kwargs: newCanary(), failure: newCanary(), progress: newCanary(), clear: newCanary(),
		binary: random(32),
	}
	if keyring != "" {
		return s, s.load(keyring)
	}
	a, b := cryptobox.GenerateKey(), cryptobox.GenerateKey()
	return s, s.use(cryptobox.Half{Private: a}, cryptobox.Half{Private: b})
}

// load reads a keyring file. The first key that has both private halves seals.
func (s *secrets) load(file string) error {
	if _, err := cryptobox.LoadKeyRing(file); err != nil { // its checks and error texts
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	type half struct{ Private, Public string }
	var ring struct {
		Keys []struct{ Originator, Responder half }
	}
	if err := json.Unmarshal(content, &ring); err != nil {
		return err
	}
	parse := func(h half) (out cryptobox.Half) {
		out.Private, _ = cryptobox.ParsePrivateKey(h.Private) // checked by LoadKeyRing
		out.Public, _ = cryptobox.ParsePublicKey(h.Public)
		return out
	}
	for _, k := range ring.Keys {
		if k.Originator.Private != "" && k.Responder.Private != "" {
			return s.use(parse(k.Originator), parse(k.Responder))
		}
	}
	return fmt.Errorf("%s has no key with the private halves of both sides", file)
}

func (s *secrets) use(originator, responder cryptobox.Half) error {
	key, err := cryptobox.NewKey(originator, responder)
	if err != nil {
		return err
	}
	a, b := rawKey(originator.Private.Encode()), rawKey(responder.Private.Encode())
	public := [32]byte(key.Responder())
	var shared [32]byte
	box.Precompute(&shared, &public, a)
	s.keys = append(search.Encodings("the originator's private key", a[:], false), search.Encodings("the responder's private key", b[:], false)...)
	s.keys = append(s.keys, search.Encodings("the shared secret of the two keys", shared[:], false)...)
	return s.ring.Set("", key)
}

func rawKey(text string) *[32]byte {
	b, _ := base64.StdEncoding.DecodeString(text) // Encode wrote it
	return (*[32]byte)(b)
}

// sealed returns the patterns that must be found nowhere: canaries and keys.
func (s *secrets) sealed() []search.Pattern {
	out := append([]search.Pattern(nil), s.keys...)
	out = append(out, search.Encodings("the canary of the arguments", []byte(s.args), true)...)
	out = append(out, search.Encodings("the canary of the keyword arguments", []byte(s.kwargs), true)...)
	out = append(out, search.Encodings("the canary of the errors", []byte(s.failure), true)...)
	out = append(out, search.Encodings("the canary of the progressive results", []byte(s.progress), true)...)
	return append(out, search.Encodings("the canary of the binaries", s.binary, false)...)
}

func (s *secrets) inClear() []search.Pattern {
	return search.Encodings(clearCanary, []byte(s.clear), true)
}

const clearCanary = "the canary sent in the clear"

// values are arguments that hold every canary, and something that differs each
// time.
func (s *secrets) values(n, size int) (args []any, kwargs map[string]any) {
	args = []any{s.args, s.binary, n, strings.Repeat("x", size)}
	return args, map[string]any{"canary": s.kwargs, "error": s.failure, "progress": s.progress}
}

// random returns n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the program crashes first (crypto/rand)
	return b
}

// newCanary returns a text that is in no other message, and that JSON encoders
// escape in their different ways.
func newCanary() string {
	half := func() string { return strings.ToLower(rand.Text())[:20] }
	return half() + "é\"</" + half()
}
