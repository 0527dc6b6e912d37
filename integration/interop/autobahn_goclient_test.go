package interop

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// The keys of testdata/autobahn/keys.py.
const (
	autobahnPrefix     = "com.example.secret."
	autobahnOriginator = "NuVyWDx5ZM6YLn02rLGoJcqOvAdmDRqy2K+PXzeTgsA="
	autobahnResponder  = "Hgcs3IqkFDTLZgvGSvDFBqfCD7stBr3f5b3QdoctFRE="
)

// autobahnBox has one end's half of the keys.
func autobahnBox(t *testing.T, originator bool) *cryptobox.Box {
	t.Helper()
	o, err := cryptobox.ParsePrivateKey(autobahnOriginator)
	routertest.NoError(t, err)
	r, err := cryptobox.ParsePrivateKey(autobahnResponder)
	routertest.NoError(t, err)
	ours, theirs := cryptobox.Half{Private: o}, cryptobox.Half{Public: r.Public()}
	if !originator {
		ours, theirs = cryptobox.Half{Public: o.Public()}, cryptobox.Half{Private: r}
	}
	key, err := cryptobox.NewKey(ours, theirs)
	routertest.NoError(t, err)
	ring := new(cryptobox.KeyRing)
	routertest.NoError(t, ring.Set(autobahnPrefix, key))
	return &cryptobox.Box{Keys: ring}
}

var autobahnSerializers = map[string]wamp.Serializer{"json": wamp.JSON, "msgpack": wamp.MsgPack, "cbor": wamp.CBOR}

// Package client calls and publishes to Autobahn|Python.
func TestClientCallsAutobahn(t *testing.T) {
	needAutobahn(t)
	for name, serializer := range autobahnSerializers {
		t.Run(name, func(t *testing.T) {
			w := routertest.NewWorld(t)
			responder := python(t, "responder.py", w.URLs["websocket"], name)
			if line := responder.next(); line != "ready" {
				t.Fatalf("responder: %s", line)
			}
			s := w.Client("websocket", serializer, client.Config{Sealer: autobahnBox(t, true), AllowClear: []wamp.URI{"com.example.open.", "com.example.stop"}})
			ctx := routertest.Context(t)
			for _, prefix := range []wamp.URI{autobahnPrefix, "com.example.open."} {
				sealed := prefix == autobahnPrefix
				res, err := s.Call(ctx, prefix+"add", []any{2, 3}, nil, client.CallOptions{})
				routertest.NoError(t, err)
				if res.Args[0] != int64(5) || res.Sealed != sealed {
					t.Errorf("%+v", res)
				}
				args, kwargs := []any{"grüße", []byte{0, 255}, []any{int64(1)}}, map[string]any{"key": map[string]any{"nested": true}}
				res, err = s.Call(ctx, prefix+"echo", args, kwargs, client.CallOptions{})
				routertest.NoError(t, err)
				if !reflect.DeepEqual(res.Args, args) || !reflect.DeepEqual(res.Kwargs, kwargs) {
					t.Errorf("%+v", res)
				}
				for _, uri := range []wamp.URI{autobahnPrefix + "error", "com.example.open.error"} {
					_, err = s.Call(ctx, prefix+"fail", []any{string(uri)}, nil, client.CallOptions{})
					var e *client.Error
					if !errors.As(err, &e) || e.URI != uri || e.Message != "what went wrong" || e.Kwargs["code"] != int64(23) ||
						e.Sealed != (uri == autobahnPrefix+"error") {
						t.Errorf("%#v", err)
					}
				}
				var progress []any
				res, err = s.Call(ctx, prefix+"steps", []any{3}, nil, client.CallOptions{
					OnProgress: func(r *client.Result) { progress = append(progress, r.Args...) }})
				routertest.NoError(t, err)
				if res.Args[0] != int64(3) || !reflect.DeepEqual(progress, []any{int64(0), int64(1), int64(2)}) {
					t.Errorf("%+v %v", res, progress)
				}
				for i := range 3 {
					_, err = s.Publish(ctx, prefix+"topic", []any{i}, map[string]any{"mood": "fine"}, client.PublishOptions{Acknowledge: true})
					routertest.NoError(t, err)
				}
			}
			_, err := s.Publish(ctx, "com.example.stop", nil, nil, client.PublishOptions{})
			routertest.NoError(t, err)
			wantEvents(responder)
			responder.wantEnd("")
		})
	}
}

// Autobahn|Python calls and publishes to package client.
func TestAutobahnCallsClient(t *testing.T) {
	needAutobahn(t)
	for name, serializer := range autobahnSerializers {
		t.Run(name, func(t *testing.T) {
			w := routertest.NewWorld(t)
			withheld, events := make(chan error, 10), make(chan *client.Event, 10)
			s := w.Client("rawsocket", serializer, client.Config{Sealer: autobahnBox(t, false), AllowClear: []wamp.URI{"com.example.open."}, OnError: func(err error) { withheld <- err }})
			ctx := routertest.Context(t)
			for procedure, h := range map[wamp.URI]client.Handler{
				"add": func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
					return &client.Result{Args: []any{inv.Args[0].(int64) + inv.Args[1].(int64)}}, nil
				},
				"echo": func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
					return &client.Result{Args: inv.Args, Kwargs: inv.Kwargs}, nil
				},
				"fail": func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
					return nil, &client.Error{URI: wamp.URI(inv.Args[0].(string)), Args: []any{"what went wrong"}, Kwargs: map[string]any{"code": 23}}
				},
				"steps": func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
					for i := range inv.Args[0].(int64) {
						if err := inv.Progress([]any{i}, nil); err != nil {
							return nil, err
						}
					}
					return &client.Result{Args: inv.Args}, nil
				},
			} {
				for _, prefix := range []wamp.URI{autobahnPrefix, "com.example.open."} {
					_, err := s.Register(ctx, prefix+procedure, h, client.RegisterOptions{})
					routertest.NoError(t, err)
				}
			}
			_, err := s.Subscribe(ctx, "com.example..topic", func(_ context.Context, e *client.Event) { events <- e },
				client.SubscribeOptions{Match: wamp.MatchWildcard})
			routertest.NoError(t, err)

			originator := python(t, "originator.py", w.URLs["rawsocket"], name)
			for _, prefix := range []string{autobahnPrefix, "com.example.open."} {
				originator.want(map[string]any{"call": prefix + "add", "result": 5.0})
				originator.want(map[string]any{"call": prefix + "echo", "args": []any{"grüße", []any{1.0, 2.0}}, "kwargs": map[string]any{"key": map[string]any{"nested": true}}})
				full := map[string]any{"call": prefix + "fail", "error": autobahnPrefix + "error", "args": []any{"what went wrong"}, "kwargs": map[string]any{"code": 23.0}}
				originator.want(full)
				// The answer to a sealed call says nothing in the clear.
				full["error"] = "com.example.open.error"
				if prefix == autobahnPrefix {
					full["args"], full["kwargs"] = []any{}, map[string]any{}
				}
				originator.want(full)
				originator.want(map[string]any{"call": prefix + "steps", "progress": []any{0.0, 1.0, 2.0}, "result": 3.0})
			}
			originator.wantEnd("done")
			for _, prefix := range []wamp.URI{autobahnPrefix, "com.example.open."} {
				for i := range 3 {
					if e := routertest.Receive(t, events); e.Topic != prefix+"topic" || e.Sealed != (prefix == autobahnPrefix) || e.Args[0] != int64(i) || e.Kwargs["mood"] != "fine" {
						t.Errorf("%+v", e)
					}
				}
			}
			if err := routertest.Receive(t, withheld); !errors.Is(err, client.ErrNotSealed) || len(withheld) > 0 {
				t.Errorf("%v and %d more", err, len(withheld))
			}
		})
	}
}
