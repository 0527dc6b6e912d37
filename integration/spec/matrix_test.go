package spec

import (
	"bytes"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"strconv"
	"testing"

	"golang.org/x/crypto/nacl/box"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// sealer seals as the peers of the matrix do: nonce ‖ box.
type sealer struct {
	public, private [2]*[32]byte
}

func newSealer(t testing.TB) *sealer {
	s := &sealer{}
	for i := range s.public {
		var err error
		if s.public[i], s.private[i], err = box.GenerateKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

const sealOverhead = 24 + box.Overhead

func (s *sealer) seal(t testing.TB, plaintext []byte) []byte {
	var nonce [24]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		t.Fatal(err)
	}
	return box.Seal(nonce[:], plaintext, &nonce, s.public[1], s.private[0])
}

func (s *sealer) open(sealed []byte) ([]byte, bool) {
	return box.Open(nil, sealed[24:], (*[24]byte)(sealed), s.public[0], s.private[1])
}

// exchange is one sealed payload between Alice and Bob.
type exchange struct {
	alice, bob *routertest.Peer
	form       wamp.Form
	sealer     *sealer
	plain      []byte
	sealed     []byte
}

// payload seals n bytes in all; what is too short for a box is random bytes,
// which the router can't tell from one.
func (x *exchange) payload(t testing.TB, n int) {
	if n < sealOverhead {
		x.plain, x.sealed = nil, make([]byte, n)
		_, _ = rand.Read(x.sealed)
		return
	}
	x.plain = make([]byte, n-sealOverhead)
	_, _ = rand.Read(x.plain)
	x.sealed = x.sealer.seal(t, x.plain)
}

// arrived compares what one end sent with what the other got: the attributes,
// the SHA-256 of the payload's bytes on the wire, and what is in the box.
func (x *exchange) arrived(t testing.TB, sent, got wamp.Carrier) {
	t.Helper()
	sentPayload, sentAttributes := sent.Carried()
	gotPayload, gotAttributes := got.Carried()
	if *gotAttributes != *sentAttributes {
		t.Fatalf("attributes: sent %+v, got %+v", *sentAttributes, *gotAttributes)
	}
	if !gotPayload.Opaque() || gotPayload.Digest() != sentPayload.Digest() {
		t.Fatalf("payload: sent %v, got %v with other bytes", sentPayload, gotPayload)
	}
	data, ok := codec.Binary(gotPayload)
	if !ok || !bytes.Equal(data, x.sealed) {
		t.Fatal("the binary differs")
	}
	if x.plain != nil {
		if opened, ok := x.sealer.open(data); !ok || !bytes.Equal(opened, x.plain) {
			t.Fatal("the box does not open to what was sealed")
		}
	}
}

// The ways of a payload through the router. Bob is subscribed and registered.
var ways = map[string]func(t testing.TB, x *exchange){
	"publish": func(t testing.TB, x *exchange) {
		a, p := x.alice.Opaque(x.form, x.sealed)
		sent := &wamp.Publish{Request: x.alice.NextID(), Topic: routertest.Topic, Payload: p, Options: wamp.PublishOptions{Attributes: a}}
		x.alice.Send(sent)
		x.arrived(t, sent, routertest.Expect[*wamp.Event](x.bob))
	},
	"call": func(t testing.TB, x *exchange) {
		call, invocation := x.call(t)
		x.arrived(t, call, invocation)
		x.finish(t, call, invocation)
	},
	"progress": func(t testing.TB, x *exchange) {
		call, invocation := x.call(t)
		a, p := x.bob.Opaque(x.form, x.sealed)
		sent := &wamp.Yield{Request: invocation.Request, Payload: p, Options: wamp.ResultDetails{Progress: true, Attributes: a}}
		x.bob.Send(sent)
		got := routertest.Expect[*wamp.Result](x.alice)
		if got.Request != call.Request || !got.Details.Progress {
			t.Fatalf("not a progressive result of the call: %+v", got)
		}
		x.arrived(t, sent, got)
		x.finish(t, call, invocation)
	},
	"error": func(t testing.TB, x *exchange) {
		call, invocation := x.call(t)
		a, p := x.bob.Opaque(x.form, x.sealed)
		sent := &wamp.Error{RequestType: wamp.TypeInvocation, Request: invocation.Request, Error: routertest.Failure, Payload: p,
			Details: wamp.ErrorDetails{Attributes: a}}
		x.bob.Send(sent)
		got := x.alice.ExpectError(call.Request, routertest.Failure)
		x.arrived(t, sent, got)
	},
}

// call brings a CALL from Alice to Bob.
func (x *exchange) call(t testing.TB) (*wamp.Call, *wamp.Invocation) {
	a, p := x.alice.Opaque(x.form, x.sealed)
	sent := &wamp.Call{Request: x.alice.NextID(), Procedure: routertest.Procedure, Payload: p,
		Options: wamp.CallOptions{ReceiveProgress: wamp.True, Attributes: a}}
	x.alice.Send(sent)
	return sent, routertest.Expect[*wamp.Invocation](x.bob)
}

// finish brings the RESULT from Bob to Alice.
func (x *exchange) finish(t testing.TB, call *wamp.Call, invocation *wamp.Invocation) {
	a, p := x.bob.Opaque(x.form, x.sealed)
	sent := &wamp.Yield{Request: invocation.Request, Payload: p, Options: wamp.ResultDetails{Attributes: a}}
	x.bob.Send(sent)
	got := routertest.Expect[*wamp.Result](x.alice)
	if got.Request != call.Request || got.Details.Progress {
		t.Fatalf("not the result of the call: %+v", got)
	}
	x.arrived(t, sent, got)
}

// TestMatrix sends sealed payloads of 0 B to 1 MiB every way, over every
// transport, in every serializer and form, and compares every byte. The number
// of messages is BLINDFOLD_MATRIX_MESSAGES, or 5,000 where every test must run, and
// 500 elsewhere and with the race detector.
func TestMatrix(t *testing.T) {
	total := 500
	if testenv.All() && !routertest.RaceEnabled { // which makes copying a megabyte slow
		total = 5000
	}
	if s := os.Getenv("BLINDFOLD_MATRIX_MESSAGES"); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil {
			t.Fatal("BLINDFOLD_MATRIX_MESSAGES:", err)
		}
	}
	sizes := []int{0}
	for n := 1; n <= 1<<20; n *= 2 {
		sizes = append(sizes, n)
	}
	cells := len(ways) * len(routertest.Transports) * len(wamp.Serializers) * len(wamp.Forms)
	each := (total + cells - 1) / cells
	w := routertest.NewWorld(t)
	s := newSealer(t)
	sent := 0
	for _, over := range routertest.Transports {
		for _, serializer := range wamp.Serializers {
			alice, bob := w.Join("alice", over, serializer), w.Join("bob", over, serializer)
			bob.Subscribe(routertest.Topic, wamp.MatchExact)
			bob.Register(routertest.Procedure, wamp.RegisterOptions{})
			for _, form := range wamp.Forms {
				for way, send := range ways {
					t.Run(fmt.Sprintf("%s/%s/%s/%s", over, serializer, form, way), func(t *testing.T) {
						alice.T, bob.T = t, t
						x := &exchange{alice: alice, bob: bob, form: form, sealer: s}
						offset := mathrand.IntN(len(sizes))
						for i := range each {
							x.payload(t, sizes[(i+offset)%len(sizes)])
							send(t, x)
							sent++
						}
					})
				}
			}
			alice.T, bob.T = t, t
			for _, p := range []*routertest.Peer{alice, bob} {
				p.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
				routertest.Expect[*wamp.Goodbye](p)
			}
		}
	}
	t.Logf("%d exchanges, none differs", sent)
}
