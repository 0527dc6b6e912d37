package router

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// A realm's own caller needs no permission, gets the router's refusals, and ends
// with the router.
func TestLocal(t *testing.T) {
	r, err := New(Config{Realms: []RealmConfig{{Name: "realm1", Authorizers: []Authorizer{nobody{}}}}})
	if err != nil {
		t.Fatal(err)
	}
	l := NewLocal("realm1")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, _, err := l.Call(ctx, "wamp.session.count", nil, nil); err == nil {
		t.Error("called without a router")
	}
	l.Attach(r)
	for range 2 {
		args, _, err := l.Call(ctx, "wamp.session.count", nil, nil)
		if err != nil || len(args) != 1 {
			t.Fatalf("%v, %v", args, err)
		}
	}
	var refusal *wamp.Refusal
	if _, _, err := l.Call(ctx, "com.example.nothing", nil, nil); !errors.As(err, &refusal) || refusal.URI != wamp.ErrNoSuchProcedure {
		t.Errorf("an unknown procedure: %v", err)
	}
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Call(ctx, "wamp.session.count", nil, nil); err == nil {
		t.Error("called after the router was closed")
	}
}

type nobody struct{}

func (nobody) Authorize(context.Context, *wamp.Peer, Action, wamp.URI, wamp.Match) (Decision, error) {
	return Decision{}, nil
}

// The callee of a Local can distinguish the router's call from any client's, and no client gets a role
// that looks like it.
func TestLocalRoleIsTheRoutersAlone(t *testing.T) {
	var out bytes.Buffer
	r, err := New(Config{Observers: []Observer{LogTo(slog.New(slog.NewTextHandler(&out, nil)))},
		Realms: []RealmConfig{{Name: "realm1", Authenticators: []Authenticator{Anonymous("user"), impostor{}}}}})
	if err != nil {
		t.Fatal(err)
	}
	l := NewLocal("realm1")
	l.Attach(r)
	callee := joinWith(t, r, "anonymous")
	if m, ok := callee(`[64,1,{},"com.example.authenticate"]`).(*wamp.Registered); !ok {
		t.Fatalf("%+v", m)
	}
	ctx, cancel := context.WithCancel(t.Context())
	called := make(chan struct{})
	go func() {
		defer close(called)
		_, _, _ = l.Call(ctx, "com.example.authenticate", nil, nil)
	}()
	i, ok := callee("").(*wamp.Invocation)
	if !ok || i.Details.CallerAuthRole != LocalRole || i.Details.Caller == 0 {
		t.Errorf("%+v", i)
	}
	cancel()
	<-called
	if m, ok := joinWith(t, r, "impostor")("").(*wamp.Abort); !ok || m.Reason != wamp.ErrAuthenticationFailed {
		t.Errorf("%+v", m)
	}
	if !strings.Contains(out.String(), "the router's own role") {
		t.Error(out.String())
	}
	closing, end := context.WithCancel(context.Background())
	end()
	_ = r.Close(closing)
}

type impostor struct{}

func (impostor) Method() string { return "impostor" }

func (impostor) Authenticate(context.Context, *Handshake) (*Identity, error) {
	return &Identity{AuthID: "x", AuthRole: LocalRole}, nil
}

// joinWith says HELLO with a method, and takes WELCOME. What it returns sends a message,
// if it is not "", and returns the next one.
func joinWith(t *testing.T, r *Router, method string) func(string) wamp.Message {
	t.Helper()
	client, server := transport.Pipe(wamp.JSON)
	go r.Accept(server)
	t.Cleanup(func() { _ = client.Close() })
	next := func(send string) wamp.Message {
		t.Helper()
		if send != "" {
			if _, err := client.Write([][]byte{client.Framing().AppendFrame(nil, transport.OpMessage, []byte(send))}, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		frame, err := client.Read()
		if err != nil {
			t.Fatal(err)
		}
		m, err := codec.NewDecoder().Decode(wamp.JSON, frame.Body)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	hello := `[1,"realm1",{"roles":{"callee":{},"caller":{}},"authmethods":["` + method + `"]}]`
	if method == "impostor" {
		return func(string) wamp.Message { return next(hello) }
	}
	if m, ok := next(hello).(*wamp.Welcome); !ok {
		t.Fatalf("%+v", m)
	}
	return next
}
