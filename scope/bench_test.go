//go:build unix

package scope

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
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

// sealer is what the benchmarks compare.
type anySealer interface {
	Seal(on *wamp.Subject, args []any, kwargs map[string]any) (wamp.Attributes, []byte, bool, error)
	Open(on *wamp.Subject, attrs *wamp.Attributes, payload []byte) ([]any, map[string]any, error)
}

func sealAndOpen(b *testing.B, from, to anySealer) {
	args := payload256()
	before := processorTime(b)
	for b.Loop() {
		attrs, payload, _, err := from.Seal(&wamp.Subject{Type: wamp.TypePublish, URI: topic, Originator: true}, args, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := to.Open(&wamp.Subject{Type: wamp.TypePublish, URI: topic}, &attrs, payload); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, 1, before)
}

// perSecond reports messages for each second of processor time: what a machine does
// beside is not counted.
func perSecond(b *testing.B, each int, from time.Duration) {
	b.ReportMetric(float64(b.N*each)/(processorTime(b)-from).Seconds(), "msg/cpu-s")
}

func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSealAndOpen seals and opens an event of 256 bytes: in a scope with a signature for
// each, in a scope with one for 64 that are ready together, by cryptobox, and in the
// clear (encoded and decoded).
func BenchmarkSealAndOpen(b *testing.B) {
	b.Run("scope", func(b *testing.B) {
		alice, bob := pair(b)
		sealAndOpen(b, alice, bob)
	})
	b.Run("scope/64", func(b *testing.B) {
		alice, bob := pair(b)
		args := payload256()
		on := &wamp.Subject{Type: wamp.TypePublish, URI: topic, Originator: true}
		messages := make([]Message, maxBatch)
		from := processorTime(b)
		for b.Loop() {
			for i := range messages {
				messages[i] = Message{On: on, Args: args}
			}
			if err := alice.SealAll(messages); err != nil {
				b.Fatal(err)
			}
			for i := range messages {
				if _, _, err := bob.Open(&wamp.Subject{Type: wamp.TypePublish, URI: topic}, &messages[i].Attributes, messages[i].Payload); err != nil {
					b.Fatal(err)
				}
			}
		}
		perSecond(b, maxBatch, from)
	})
	b.Run("cryptobox", func(b *testing.B) {
		key, err := cryptobox.NewSharedKey(cryptobox.GenerateKey())
		if err != nil {
			b.Fatal(err)
		}
		ring := new(cryptobox.KeyRing)
		if err := ring.Set("", key); err != nil {
			b.Fatal(err)
		}
		sealAndOpen(b, &cryptobox.Box{Keys: ring}, &cryptobox.Box{Keys: ring})
	})
	b.Run("clear", func(b *testing.B) {
		args := payload256()
		from := processorTime(b)
		for b.Loop() {
			p, err := codec.EncodePayload(wamp.CBOR, args, nil)
			if err != nil {
				b.Fatal(err)
			}
			if _, _, err := p.Decode(); err != nil {
				b.Fatal(err)
			}
		}
		perSecond(b, 1, from)
	})
}

// BenchmarkRotate makes an epoch for that many members.
func BenchmarkRotate(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o, s := group(b, n)
			var size int
			for b.Loop() {
				if err := o.Rotate(s, func(bundle []byte) error { size = len(bundle); return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size), "B/bundle")
		})
	}
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
