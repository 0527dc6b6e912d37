//go:build unix

package scope

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// anySealer is what the benchmarks compare.
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
			from := processorTime(b)
			for b.Loop() {
				if err := o.Rotate(s, func(bundle []byte) error { size = len(bundle); return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size), "B/bundle")
			b.ReportMetric(float64((processorTime(b)-from).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}
