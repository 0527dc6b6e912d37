package router

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
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
