package verify

import (
	"encoding/hex"
	"testing"

	"github.com/blindfold-wamp/blindfold/verify/internal/search"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Whatever of a scope's secrets a router has is found; what goes through it as it should is not.
func TestScopeSecretsAreFound(t *testing.T) {
	tester, err := newTester(t.Context(), Target{Realm: "realm1"}, new(Report))
	if err != nil {
		t.Fatal(err)
	}
	defer tester.close()
	x := tester.scoped
	s := search.New(tester.secrets.sealed())
	found := func(b []byte) (names []string) {
		s.Find(b, func(p *search.Pattern) { names = append(names, p.Name) })
		return names
	}
	secrets := x.view.Secrets()
	if len(secrets) != 3 {
		t.Fatalf("%d secrets", len(secrets))
	}
	for _, secret := range secrets {
		if len(found(append([]byte("before "), secret.Bytes...))) == 0 {
			t.Errorf("%s is not found", secret.Name)
		}
		if !secret.Text && len(found([]byte(hex.EncodeToString(secret.Bytes)))) == 0 {
			t.Errorf("%s is not found in hex", secret.Name)
		}
	}
	topic := tester.base + "topic"
	args, kwargs := tester.secrets.values(1, 100)
	a, payload, err := x.seal(topic, args, kwargs)
	if err != nil {
		t.Fatal(err)
	}
	if names := append(found(payload), found(x.bundle)...); len(names) > 0 {
		t.Errorf("in what the router may see: %v", names)
	}
	if err := x.opens(topic, &a, payload); err != nil {
		t.Error(err)
	}
	if err := x.opens(topic, &wamp.Attributes{PPTScheme: a.PPTScheme, PPTSerializer: a.PPTSerializer}, x.bundle); err != nil {
		t.Error(err)
	}
	payload[50] ^= 1
	if err := x.opens(topic, &a, payload); err == nil {
		t.Error("a changed message opens")
	}
}
