package cryptobox

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// sides returns what the originator and the responder hold of a new key.
func sides(t testing.TB) (originator, responder *Key) {
	t.Helper()
	a, b := GenerateKey(), GenerateKey()
	return mustKey(t, Half{Private: a}, Half{Public: b.Public()}), mustKey(t, Half{Public: a.Public()}, Half{Private: b})
}

func mustKey(t testing.TB, originator, responder Half) *Key {
	t.Helper()
	k, err := NewKey(originator, responder)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sharedKey(t testing.TB) *Key {
	t.Helper()
	k, err := NewSharedKey(GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ringOf(t testing.TB, prefix wamp.URI, keys ...*Key) *KeyRing {
	t.Helper()
	r := new(KeyRing)
	for _, k := range keys {
		if err := r.Add(prefix, k); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestLongestPrefixWins(t *testing.T) {
	r := new(KeyRing)
	keys := map[wamp.URI]*Key{}
	for _, prefix := range []wamp.URI{"com.app", "com.app.secret.", "com.app.secret.room", "org."} {
		keys[prefix] = sharedKey(t)
		if err := r.Set(prefix, keys[prefix]); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct{ uri, prefix wamp.URI }{
		{"com.app", "com.app"},
		{"com.apple", "com.app"}, // by characters
		{"com.app.secret", "com.app"},
		{"com.app.secret.x", "com.app.secret."},
		{"com.app.secret.room", "com.app.secret.room"},
		{"com.app.secret.roommate.x", "com.app.secret.room"},
		{"org.x", "org."},
	}
	for _, c := range cases {
		if got := r.lookup(c.uri); len(got) != 1 || got[0] != keys[c.prefix] {
			t.Errorf("%s does not belong to prefix %q", c.uri, c.prefix)
		}
	}
	for _, uri := range []wamp.URI{"com.ap", "org", "net.x", ""} {
		if r.Covers(uri) {
			t.Errorf("%q belongs to a key", uri)
		}
	}
	keys[""] = sharedKey(t)
	if err := r.Set("", keys[""]); err != nil {
		t.Fatal(err)
	}
	if got := r.lookup("net.x"); len(got) != 1 || got[0] != keys[""] {
		t.Error("net.x does not belong to the default key")
	}
	r.RemovePrefix("com.app.secret.")
	if got := r.lookup("com.app.secret.x"); len(got) != 1 || got[0] != keys["com.app"] {
		t.Error("after its removal, a prefix's URIs do not belong to the next shorter one")
	}
}

func TestRotation(t *testing.T) {
	oldO, oldR := sides(t)
	newO, newR := sides(t)
	sender, receiver := ringOf(t, "com.", oldO), ringOf(t, "com.", oldR)
	seal := func() (wamp.Attributes, []byte) {
		t.Helper()
		attrs, payload, sealed, err := (&Box{Keys: sender}).Seal(&wamp.Subject{URI: "com.x", Originator: true}, []any{"hi"}, nil)
		if err != nil || !sealed {
			t.Fatal(sealed, err)
		}
		return attrs, payload
	}
	opens := func(attrs wamp.Attributes, payload []byte) error {
		_, _, err := (&Box{Keys: receiver}).Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, payload)
		return err
	}
	attrs, underWay := seal()
	if err := receiver.Add("com.", newR); err != nil {
		t.Fatal(err)
	}
	if err := sender.Add("com.", newO); err != nil {
		t.Fatal(err)
	}
	if err := opens(attrs, underWay); err != nil {
		t.Errorf("sealed with the old key: %v", err)
	}
	_, fresh := seal()
	receiver.Remove("com.", oldR)
	if err := opens(attrs, fresh); err != nil {
		t.Errorf("the newest key did not seal: %v", err)
	}
	if err := opens(attrs, underWay); !errors.Is(err, ErrDecrypt) {
		t.Errorf("a removed key still opens: %v", err)
	}
	receiver.Remove("com.", newR)
	if err := opens(attrs, fresh); !errors.Is(err, ErrNoKey) {
		t.Errorf("without keys: %v", err)
	}
}

// TestRotationWithoutAGap rotates the keys of a caller and a callee step by step,
// and has them talk, both ways, after each.
func TestRotationWithoutAGap(t *testing.T) {
	oldO, oldR := sides(t)
	newO, newR := sides(t)
	caller, callee := ringOf(t, "com.", oldO), ringOf(t, "com.", oldR)
	talk := func(after string) {
		t.Helper()
		for _, originator := range []bool{true, false} {
			from, to := caller, callee
			if !originator {
				from, to = callee, caller
			}
			attrs, payload, sealed, err := (&Passthru{Keys: from}).Seal(&wamp.Subject{URI: "com.x", Originator: originator}, []any{1}, nil)
			if err != nil || !sealed {
				t.Fatalf("after %s: sealed %t, %v", after, sealed, err)
			}
			if _, _, err := (&Passthru{Keys: to}).Open(&wamp.Subject{URI: "com.x", Originator: !originator}, &attrs, payload); err != nil {
				t.Errorf("after %s: originator %t: %v", after, originator, err)
			}
		}
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"the caller accepts", func() error { return caller.Accept("com.", newO) }},
		{"the callee accepts", func() error { return callee.Accept("com.", newR) }},
		{"accepting twice", func() error { return callee.Accept("com.", newR) }},
		{"the callee adds", func() error { return callee.Add("com.", newR) }},
		{"the caller adds", func() error { return caller.Add("com.", newO) }},
		{"accepting what is the newest", func() error { return caller.Accept("com.", newO) }},
		{"the caller removes", func() error { caller.Remove("com.", oldO); return nil }},
		{"the callee removes", func() error { callee.Remove("com.", oldR); return nil }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		talk(s.name)
	}
	for _, ring := range []*KeyRing{caller, callee} {
		if n := len(ring.Keys("com.")); n != 1 {
			t.Errorf("%d keys are left", n)
		}
	}
}

func TestNewKeyRefuses(t *testing.T) {
	a, b := GenerateKey(), GenerateKey()
	lowOrder := PublicKey{1}
	cases := map[string]struct{ originator, responder Half }{
		"nothing":            {},
		"no private key":     {Half{Public: a.Public()}, Half{Public: b.Public()}},
		"no peer":            {Half{Private: a}, Half{}},
		"no originator":      {Half{}, Half{Private: b}},
		"public of another":  {Half{Private: a, Public: b.Public()}, Half{Private: b}},
		"low-order point":    {Half{Private: a}, Half{Public: lowOrder}},
		"low order, reverse": {Half{Public: lowOrder}, Half{Private: b}},
	}
	for name, c := range cases {
		if _, err := NewKey(c.originator, c.responder); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewKey(Half{Private: a, Public: a.Public()}, Half{Public: b.Public()}); err != nil {
		t.Errorf("a private key and its own public key: %v", err)
	}
}

func TestKeyTexts(t *testing.T) {
	k := GenerateKey()
	parsed, err := ParsePrivateKey(k.Encode())
	if err != nil || !parsed.Equal(k) || parsed.Equal(GenerateKey()) {
		t.Errorf("a private key does not survive its text: %v", err)
	}
	public, err := ParsePublicKey(k.Public().String())
	if err != nil || public != k.Public() {
		t.Errorf("a public key does not survive its text: %v", err)
	}
	text := k.Encode()
	for _, bad := range []string{"", text[:43], text[:40], text + "\n", text + text, "!" + text[1:], strings.Repeat("A", 42) + "B="} {
		if _, err := ParsePrivateKey(bad); err == nil {
			t.Errorf("%d characters: accepted", len(bad))
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the text")
		}
	}
}

func TestRingRefusesBadPrefixes(t *testing.T) {
	for _, prefix := range []wamp.URI{"com..x", ".", "a b", "a\xff", wamp.URI(strings.Repeat("x", 256))} {
		if err := new(KeyRing).Add(prefix, sharedKey(t)); err == nil {
			t.Errorf("%.10q: accepted", prefix)
		}
	}
	if err := new(KeyRing).Add("com.", nil); err == nil {
		t.Error("nil key: accepted")
	}
}

// TestKeysNeverPrint prints everything that holds a private key in every way
// there is.
func TestKeysNeverPrint(t *testing.T) {
	private, scrambling := GenerateKey(), GenerateScrambleKey()
	key, err := NewSharedKey(private)
	if err != nil {
		t.Fatal(err)
	}
	ring := ringOf(t, "com.", key)
	scrambler := new(Scrambler)
	if err := scrambler.Set("com.", scrambling); err != nil {
		t.Fatal(err)
	}
	type holder struct { // fmt calls no methods on unexported fields
		private   PrivateKey
		scramble  ScrambleKey
		key       *Key
		value     Key
		ring      *KeyRing
		scrambler *Scrambler
		half      Half
	}
	things := []any{
		private, &private, scrambling, key, *key, ring, scrambler, Half{Private: private}, private.secret,
		&Box{Keys: ring}, &Passthru{Keys: ring}, Forms{Box: Box{Keys: ring}},
		holder{private, scrambling, key, *key, ring, scrambler, Half{Private: private}},
		&holder{private: private}, []PrivateKey{private}, map[string]any{"k": private},
	}
	var secrets []string
	for _, h := range []hidden{private.bytes, scrambling.bytes, key.originatorBox} {
		s := h()
		plain := fmt.Sprint(*s)
		syntax := fmt.Sprintf("%#v", *s)
		secrets = append(secrets,
			strings.Trim(plain, "[]")[:16], syntax[strings.IndexByte(syntax, '{')+1:][:16],
			fmt.Sprintf("%x", s[:8]), fmt.Sprintf("%X", s[:8]), fmt.Sprintf("%q", string(s[:]))[1:9],
			(secret{h}).encode()[:10])
	}
	for _, thing := range things {
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb, thing)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "it", thing)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "it", thing)
		// What cannot be marshalled shows nothing either.
		text, _ := json.Marshal(thing)
		out.Write(text)
		for _, s := range secrets {
			if strings.Contains(out.String(), s) {
				t.Errorf("%T shows a key", thing)
			}
		}
	}
	for _, shown := range []string{"com.", key.Originator().String()} {
		if !strings.Contains(ring.String(), shown) {
			t.Errorf("the keyring does not show %q", shown)
		}
	}
}

func TestRingIsSafeForConcurrentUse(t *testing.T) {
	key := sharedKey(t)
	ring := ringOf(t, "com.", key)
	box := &Box{Keys: ring}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 200 {
				attrs, payload, _, err := box.Seal(&wamp.Subject{URI: "com.x", Originator: true}, []any{n}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, _, err := box.Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, payload); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			for range 200 {
				other := sharedKey(t)
				if err := ring.Add(wamp.URI(fmt.Sprintf("org.n%d", i)), other); err != nil {
					t.Error(err)
				}
				ring.Remove(wamp.URI(fmt.Sprintf("org.n%d", i)), other)
				_ = ring.String()
			}
		})
	}
	wg.Wait()
	if got := ring.Prefixes(); len(got) != 1 || got[0] != "com." {
		t.Errorf("prefixes left: %v", got)
	}
}
