package scope

import (
	"bytes"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// What parses is written as the same value; what does not is an error of ours.

func FuzzPublic(f *testing.F) {
	for _, k := range readVectors(f).Identities {
		f.Add(k.Line)
	}
	for _, k := range readVectors(f).Lines {
		f.Add(k.Line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p, err := ParsePublic(line)
		if err != nil {
			return
		}
		again, err := ParsePublic(p.String())
		if err != nil || again.String() != p.String() || again.Digits() != p.Digits() {
			t.Errorf("%q: %v", line, err)
		}
	})
}

func FuzzIdentity(f *testing.F) {
	for _, k := range readVectors(f).identities(f) {
		f.Add(k.Encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := ParseIdentity(data)
		if err != nil {
			return
		}
		if again, err := ParseIdentity(id.Encode()); err != nil || again.String() != id.String() {
			t.Error(err)
		}
	})
}

func FuzzContacts(f *testing.F) {
	c := new(Contacts)
	for _, k := range readVectors(f).Identities {
		p, err := ParsePublic(k.Line)
		if err != nil {
			f.Fatal(err)
		}
		if err := c.Add("", p); err != nil {
			f.Fatal(err)
		}
	}
	if err := c.Verify("bob", fromMillis(t0)); err != nil {
		f.Fatal(err)
	}
	f.Add(c.Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseContacts(data)
		if err != nil {
			return
		}
		again, err := ParseContacts(c.Encode())
		if err != nil || !bytes.Equal(again.Encode(), c.Encode()) {
			t.Error(err)
		}
	})
}

func FuzzOwner(f *testing.F) {
	ids := readVectors(f).identities(f)
	o := NewOwner(ids["alice"], realm, prefix)
	if err := o.Add("bob", &ids["bob"].Public, Subscribe); err != nil {
		f.Fatal(err)
	}
	f.Add(o.Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := ParseOwner(data)
		if err != nil {
			return
		}
		again, err := ParseOwner(o.Encode())
		if err != nil || !bytes.Equal(again.Encode(), o.Encode()) {
			t.Error(err)
		}
	})
}

func FuzzBundle(f *testing.F) {
	v := readVectors(f)
	for _, k := range v.Bundles {
		f.Add(unhex(f, k.Bundle))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBundle(data)
		if err != nil {
			return
		}
		again, err := parseBundle(b.encode())
		if err != nil || !bytes.Equal(again.encode(), b.encode()) {
			t.Error(err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	for _, k := range readVectors(f).Bundles {
		f.Add(unhex(f, k.Manifest))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data)
		if err != nil {
			return
		}
		m.inner().raw = nil
		again, err := parseManifest(m.encode())
		if err != nil {
			t.Fatal(err)
		}
		if again.inner().raw = nil; !bytes.Equal(again.encode(), m.encode()) {
			t.Error("another manifest")
		}
	})
}

func FuzzScopeFile(f *testing.F) {
	v := readVectors(f)
	file := &scopeFile{owner: unhex(f, v.Scope.Owner), realm: realm, prefix: prefix, self: unhex(f, v.Scope.Owner)}
	for _, k := range v.Bundles {
		if k.Name != "two" && k.Name != "one" {
			continue
		}
		m, err := parseManifest(unhex(f, k.Manifest))
		if err != nil {
			f.Fatal(err)
		}
		file.manifests = append([]*Manifest{m}, file.manifests...)
	}
	f.Add(file.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parseScopeFile(data)
		if err != nil {
			return
		}
		again, err := parseScopeFile(file.encode())
		if err != nil || !bytes.Equal(again.encode(), file.encode()) {
			t.Error(err)
		}
	})
}

func FuzzState(f *testing.F) {
	for _, k := range readVectors(f).States {
		f.Add(unhex(f, k.State))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseState(data)
		if err != nil {
			return
		}
		again, err := parseState(s.encode())
		if err != nil || !bytes.Equal(again.encode(), s.encode()) {
			t.Error(err)
		}
	})
}

// FuzzOpen opens any bytes, as a payload and as the plaintext of one.
func FuzzOpen(f *testing.F) {
	v := readVectors(f)
	for _, k := range v.Sealing {
		f.Add(unhex(f, k.Payload), unhex(f, k.Plaintext), byte(k.Kind))
	}
	ids := v.identities(f)
	var c clock
	s := v.member(f, ids["bob"], &c, t0, []string{"one"})
	c.ms = t0 + 10_000
	e := s.epochs[0]
	f.Fuzz(func(t *testing.T, payload, plain []byte, n byte) {
		on := func() *wamp.Subject {
			types := []wamp.MessageType{wamp.TypePublish, wamp.TypeCall, wamp.TypeYield, wamp.TypeError}
			return &wamp.Subject{Type: types[n%4], URI: topic, Call: &wamp.SealedCall{Procedure: topic, State: &exchange{scope: s}}}
		}
		attrs := wamp.Attributes{PPTScheme: scheme, PPTSerializer: serializer, PPTCipher: cipherName, PPTKeyID: e.keyID}
		if args, _, err := s.open(on(), &attrs, payload); err != nil && args != nil {
			t.Error("args with an error")
		}
		st := streamOf("fuzz")
		head, nonce, aad := header(&e.id, st, 0)
		sealed := newAEAD(&e.inner().secret, &e.id, st).Seal(head[:], nonce[:], plain, aad[:])
		if _, _, err := s.open(on(), &attrs, sealed); err == nil {
			// Only what the vectors' senders have signed, in another stream: no.
			t.Error("an unsigned message was opened")
		}
	})
}
