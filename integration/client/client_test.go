package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// What the client asks for is what the packages beside it have.
var (
	_ client.Sealer    = (*cryptobox.Box)(nil)
	_ client.Sealer    = (*cryptobox.Passthru)(nil)
	_ client.Sealer    = (*cryptobox.Forms)(nil)
	_ client.Scrambler = (*cryptobox.Scrambler)(nil)
)

// keys returns a ring with a key for each prefix, of both sides.
func keys(t testing.TB, prefixes ...wamp.URI) *cryptobox.KeyRing {
	t.Helper()
	ring := new(cryptobox.KeyRing)
	for _, p := range prefixes {
		key, err := cryptobox.NewSharedKey(cryptobox.GenerateKey())
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Set(p, key); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

// sealers are what Config.Sealer can be, by name.
func sealers(t testing.TB) map[string]client.Sealer {
	ring := keys(t, "com.app.")
	return map[string]client.Sealer{
		"clear": nil, "transparency": &cryptobox.Box{Keys: ring}, "passthru": &cryptobox.Passthru{Keys: ring},
	}
}

// Alice and Bob publish, subscribe, call and fail, over everything, in all forms.
func TestClientRoundTrips(t *testing.T) {
	for _, over := range routertest.Transports {
		for _, serializer := range wamp.Serializers {
			for form, sealer := range sealers(t) {
				t.Run(fmt.Sprintf("%s/%s/%s", over, serializer, form), func(t *testing.T) {
					w := routertest.NewWorld(t)
					c := client.Config{Sealer: sealer, OnError: func(err error) { t.Error(err) }}
					alice, bob := w.Client(over, serializer, c), w.Client(over, serializer, c)
					talk(t, alice, bob, sealer != nil)
				})
			}
		}
	}
}

func talk(t *testing.T, alice, bob *client.Session, sealed bool) {
	ctx := routertest.Context(t)
	data := bytes.Repeat([]byte{0, 1, 2, 255}, 20_000)
	events := make(chan *client.Event, 10)
	sub, err := bob.Subscribe(ctx, "com.app.", func(_ context.Context, e *client.Event) { events <- e },
		client.SubscribeOptions{Match: wamp.MatchPrefix})
	routertest.NoError(t, err)
	_, err = bob.Register(ctx, "com.app..do", func(ctx context.Context, inv *client.Invocation) (*client.Result, error) {
		if inv.Sealed != sealed {
			t.Errorf("sealed: %v", inv.Sealed)
		}
		switch inv.Args[0] {
		case "echo":
			if err := inv.Progress([]any{"half"}, nil); err != nil {
				return nil, err
			}
			return &client.Result{Args: inv.Args[1:], Kwargs: map[string]any{"procedure": string(inv.Procedure)}}, nil
		case "hang":
			<-ctx.Done()
			return nil, context.Cause(ctx)
		case "sum":
			n := inv.Args[1].(int64)
			for {
				args, _, err := inv.Next(ctx)
				if err == io.EOF {
					return &client.Result{Args: []any{n}}, nil
				}
				if err != nil {
					return nil, err
				}
				n += args[0].(int64)
			}
		}
		return nil, &client.Error{URI: "com.app.error", Args: []any{"why", data[:4]}}
	}, client.RegisterOptions{Match: wamp.MatchWildcard})
	routertest.NoError(t, err)

	for i := range 5 {
		_, err = alice.Publish(ctx, "com.app.topic", []any{i, data}, map[string]any{"k": "v"}, client.PublishOptions{Acknowledge: true})
		routertest.NoError(t, err)
	}
	for i := range 5 {
		e := routertest.Receive(t, events)
		if e.Topic != "com.app.topic" || e.Sealed != sealed || e.Args[0] != int64(i) || !bytes.Equal(e.Args[1].([]byte), data) || e.Kwargs["k"] != "v" {
			t.Errorf("event %d: %s, sealed %v", i, e.Topic, e.Sealed)
		}
	}
	routertest.NoError(t, sub.Unsubscribe(ctx))

	half := 0
	res, err := alice.Call(ctx, "com.app.x.do", []any{"echo", data}, nil, client.CallOptions{OnProgress: func(r *client.Result) {
		if half++; r.Args[0] != "half" || r.Sealed != sealed {
			t.Errorf("progress %+v", r)
		}
	}})
	routertest.NoError(t, err)
	if half != 1 || res.Sealed != sealed || !bytes.Equal(res.Args[0].([]byte), data) || res.Kwargs["procedure"] != "com.app.x.do" {
		t.Errorf("result sealed %v, %v", res.Sealed, res.Kwargs)
	}

	_, err = alice.Call(ctx, "com.app.x.do", []any{"fail"}, nil, client.CallOptions{})
	var told *client.Error
	if !errors.As(err, &told) || told.URI != "com.app.error" || told.Sealed != sealed || told.Args[0] != "why" || !bytes.Equal(told.Args[1].([]byte), data[:4]) {
		t.Errorf("%#v", err)
	}

	for _, mode := range []string{"skip", "kill", "killnowait"} {
		brief, cancel := context.WithTimeout(ctx, time.Millisecond)
		_, err = alice.Call(brief, "com.app.x.do", []any{"hang"}, nil, client.CallOptions{CancelMode: mode})
		if !errors.Is(err, client.ErrURI(wamp.ErrCanceled)) {
			t.Errorf("%s: %v", mode, err)
		}
		cancel()
	}
	_, err = alice.Call(ctx, "com.app.x.do", []any{"hang"}, nil, client.CallOptions{Timeout: time.Millisecond})
	if !errors.Is(err, client.ErrURI(wamp.ErrTimeout)) {
		t.Errorf("%v", err)
	}
	_, err = alice.Call(ctx, "com.app.nobody", []any{"hush"}, nil, client.CallOptions{})
	if !errors.Is(err, client.ErrURI(wamp.ErrNoSuchProcedure)) {
		t.Errorf("%v", err)
	}

	sum, err := alice.Begin("com.app.x.do", client.CallOptions{})
	routertest.NoError(t, err)
	routertest.NoError(t, sum.Send(ctx, []any{"sum", 1}, nil))
	routertest.NoError(t, sum.Send(ctx, []any{2}, nil))
	res, err = sum.Finish(ctx, []any{3}, nil)
	routertest.NoError(t, err)
	if res.Args[0] != int64(6) {
		t.Errorf("sum %v", res.Args)
	}
	routertest.NoError(t, alice.Close())
	routertest.NoError(t, bob.Close())
}

// Peers that don't have the key, and peers that can't open anything.
func TestClientsWithoutTheKey(t *testing.T) {
	w := routertest.NewWorld(t)
	ring := keys(t, "com.app.")
	errs := make(chan error, 10)
	report := func(err error) { errs <- err }
	alice := w.Client("websocket", wamp.JSON, client.Config{Sealer: &cryptobox.Box{Keys: ring}})
	mallory := w.Client("websocket", wamp.JSON, client.Config{Sealer: &cryptobox.Box{Keys: keys(t, "com.app.")}, AllowClear: []wamp.URI{"com.open."}, OnError: report})
	plain := w.Client("websocket", wamp.JSON, client.Config{})
	ctx := routertest.Context(t)
	for _, s := range []*client.Session{mallory, plain} {
		_, err := s.Subscribe(ctx, "com.app.topic", func(context.Context, *client.Event) { t.Error("event") }, client.SubscribeOptions{})
		routertest.NoError(t, err)
	}
	_, err := alice.Publish(ctx, "com.app.topic", []any{"hush"}, nil, client.PublishOptions{Acknowledge: true})
	routertest.NoError(t, err)
	if err := routertest.Receive(t, errs); !errors.Is(err, client.ErrURI(wamp.ErrDecryptError)) {
		t.Error(err)
	}
	// A forged event in the clear is not believed by who has the key.
	got := make(chan *client.Event, 1)
	_, err = mallory.Subscribe(ctx, "com.open.topic", func(_ context.Context, e *client.Event) { got <- e }, client.SubscribeOptions{})
	routertest.NoError(t, err)
	for _, topic := range []wamp.URI{"com.app.topic", "com.open.topic"} {
		_, err = plain.Publish(ctx, topic, []any{"forged"}, nil, client.PublishOptions{Acknowledge: true})
		routertest.NoError(t, err)
	}
	if err := routertest.Receive(t, errs); !errors.Is(err, client.ErrClear) {
		t.Error(err)
	}
	routertest.Receive(t, got)

	register := func(s *client.Session, procedure wamp.URI) {
		t.Helper()
		_, err := s.Register(ctx, procedure, func(context.Context, *client.Invocation) (*client.Result, error) {
			t.Errorf("%s: invoked", procedure)
			return nil, nil
		}, client.RegisterOptions{})
		routertest.NoError(t, err)
	}
	register(mallory, "com.app.wrong")
	register(plain, "com.app.plain")
	for procedure, uri := range map[wamp.URI]wamp.URI{"com.app.wrong": wamp.ErrDecryptError, "com.app.plain": wamp.ErrFeatureNotSupported} {
		_, err := alice.Call(ctx, procedure, []any{"hush"}, nil, client.CallOptions{})
		if !errors.Is(err, client.ErrURI(uri)) {
			t.Errorf("%s: %v", procedure, err)
		}
	}
}

// The router sees no URI that tells anything.
func TestClientsScramble(t *testing.T) {
	w := routertest.NewWorld(t)
	ring, key := keys(t, "com.app."), cryptobox.GenerateScrambleKey()
	config := func() client.Config {
		scrambler := new(cryptobox.Scrambler)
		routertest.NoError(t, scrambler.Set("com.app.", key))
		// What is to come under the wildcard.
		_, err := scrambler.Scramble("com.app.x.do", wamp.MatchExact)
		routertest.NoError(t, err)
		_, err = scrambler.Scramble("com.app.topic", wamp.MatchExact)
		routertest.NoError(t, err)
		_, err = scrambler.Scramble("com.app.error", wamp.MatchExact)
		routertest.NoError(t, err)
		return client.Config{Sealer: &cryptobox.Box{Keys: ring}, Scrambler: scrambler, OnError: func(err error) { t.Error(err) }}
	}
	eve := w.Client("rawsocket", wamp.CBOR, client.Config{Sealer: &cryptobox.Box{Keys: new(cryptobox.KeyRing)}, OnError: func(error) {}})
	_, err := eve.Subscribe(routertest.Context(t), "com.", func(_ context.Context, e *client.Event) { t.Errorf("readable topic %s", e.Topic) },
		client.SubscribeOptions{Match: wamp.MatchPrefix})
	routertest.NoError(t, err)
	talk(t, w.Client("rawsocket", wamp.CBOR, config()), w.Client("rawsocket", wamp.CBOR, config()), true)
}

// Bob's connection breaks; he comes back and is where he was.
func TestClientReconnects(t *testing.T) {
	for _, over := range routertest.Transports {
		t.Run(over, func(t *testing.T) {
			w := routertest.NewWorld(t)
			alice := w.Client(over, wamp.MsgPack, client.Config{})
			var mu sync.Mutex
			var last transport.Conn
			states, events := make(chan client.State, 10), make(chan *client.Event, 10)
			bob, err := client.Dial(routertest.Context(t), client.Config{
				Realm: routertest.Realm,
				Connect: func(context.Context) (transport.Conn, error) {
					mu.Lock()
					defer mu.Unlock()
					last = w.Dial(over, wamp.MsgPack)
					return last, nil
				},
				Reconnect: &client.Reconnect{Min: time.Millisecond, Max: 20 * time.Millisecond},
				OnState:   func(s client.State, _ error) { states <- s },
			})
			routertest.NoError(t, err)
			defer bob.Close()
			ctx := routertest.Context(t)
			_, err = bob.Subscribe(ctx, "com.topic", func(_ context.Context, e *client.Event) { events <- e }, client.SubscribeOptions{})
			routertest.NoError(t, err)
			_, err = bob.Register(ctx, "com.procedure", func(context.Context, *client.Invocation) (*client.Result, error) { return nil, nil },
				client.RegisterOptions{})
			routertest.NoError(t, err)
			for range 3 {
				first := bob.ID()
				mu.Lock()
				_ = last.Close()
				mu.Unlock()
				for _, want := range []client.State{client.Reconnecting, client.Connected} {
					if got := routertest.Receive(t, states); got != want {
						t.Fatalf("%v, want %v", got, want)
					}
				}
				if bob.ID() == first {
					t.Error("the same session")
				}
				_, err = alice.Publish(ctx, "com.topic", nil, nil, client.PublishOptions{Acknowledge: true})
				routertest.NoError(t, err)
				routertest.Receive(t, events)
				_, err = alice.Call(ctx, "com.procedure", nil, nil, client.CallOptions{})
				routertest.NoError(t, err)
			}
		})
	}
}

func TestClientSeesRouterClose(t *testing.T) {
	for _, over := range routertest.Transports {
		w := routertest.NewWorld(t)
		s := w.Client(over, wamp.JSON, client.Config{})
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		routertest.NoError(t, w.Router.Close(ctx))
		routertest.Receive(t, s.Done())
		if !errors.Is(s.Err(), client.ErrURI(wamp.CloseSystemShutdown)) {
			t.Errorf("%s: %v", over, s.Err())
		}
	}
}

func TestClientDialsURLs(t *testing.T) {
	w := routertest.NewWorld(t)
	for _, url := range w.URLs {
		for _, serializer := range wamp.Serializers {
			s, err := client.Dial(routertest.Context(t), client.Config{URL: url, Realm: routertest.Realm, Serializer: serializer})
			routertest.NoError(t, err)
			routertest.NoError(t, s.Close())
		}
		_, err := client.Dial(routertest.Context(t), client.Config{URL: url, Realm: "no.such.realm"})
		if !errors.Is(err, client.ErrURI(wamp.ErrNoSuchRealm)) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
