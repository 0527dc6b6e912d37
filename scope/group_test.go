package scope

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"
)

// pair returns the sealers of an owner and of a member of a new scope.
func pair(t testing.TB) (alice, bob *Sealer) {
	a, err := NewIdentity("alice", false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewIdentity("bob", false)
	if err != nil {
		t.Fatal(err)
	}
	o := NewOwner(a, realm, prefix)
	if err := o.Add("bob", &b.Public, AllRights); err != nil {
		t.Fatal(err)
	}
	sealerOf := func(id *Identity) (*Scope, *Sealer) {
		// What was sealed before a receiver's start is refused, and a benchmark has no time to wait.
		s, err := New(id, a.Key, realm, prefix, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.received.floor = 0
		sealer, err := NewSealer(realm, s)
		if err != nil {
			t.Fatal(err)
		}
		return s, sealer
	}
	sa, alice := sealerOf(a)
	sb, bob := sealerOf(b)
	err = o.Rotate(sa, func(bundle []byte) error {
		_, err := sb.Accept(bundle)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return alice, bob
}

func payload256() []any {
	data := make([]byte, 256)
	rand.Read(data)
	return []any{data}
}

// group returns a scope with n members.
func group(t testing.TB, n int) (*Owner, *Scope) {
	a, err := NewIdentity("alice", false)
	if err != nil {
		t.Fatal(err)
	}
	o := NewOwner(a, realm, prefix)
	for i := 1; i < n; i++ {
		id, err := NewIdentity(fmt.Sprintf("member-%d", i), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Add(id.Name, &id.Public, AllRights); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(a, a.Key, realm, prefix, Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return o, s
}
