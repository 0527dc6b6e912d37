package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/wamp"
)

type order struct {
	ID     int64     `wamp:"id"`
	Item   string    `json:"item"`
	Count  uint8     `wamp:"count,omitempty"`
	Notes  []string  `wamp:"notes"`
	Since  time.Time `wamp:"since"`
	Secret string    `wamp:"-"`
	Part   *part     `wamp:"part"`
}

type part struct{ Weight float64 }

// What a struct is sent as comes back as the same struct, with each serializer.
func TestStructs(t *testing.T) {
	connect, stop := inProcess()
	defer stop()
	s, err := client.Dial(within(t), client.Config{Connect: connect, Realm: "realm1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sent := order{ID: 1 << 60, Item: "tea", Notes: []string{"a", "b"}, Since: time.Unix(1, 0).UTC(), Secret: "x", Part: &part{2}}
	got := make(chan order, 1)
	_, err = s.Register(within(t), "com.app.order", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		var o order
		var options struct{ Fast bool }
		if err := errors.Join(inv.Decode(&o), inv.DecodeKwargs(&options)); err != nil {
			return nil, err
		}
		if !options.Fast {
			t.Error("no keyword arguments")
		}
		got <- o
		return &client.Result{Args: []any{o}}, nil
	}, client.RegisterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Call(within(t), "com.app.order", []any{sent}, map[string]any{"Fast": true}, client.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var back order
	if err := r.Decode(&back); err != nil {
		t.Fatal(err)
	}
	for _, o := range []order{<-got, back} {
		if o.ID != sent.ID || o.Item != "tea" || len(o.Notes) != 2 || !o.Since.Equal(sent.Since) || o.Secret != "" || o.Part == nil || o.Part.Weight != 2 {
			t.Errorf("%+v", o)
		}
	}
	for _, c := range []struct {
		arg  any
		want string
	}{
		{"tea", "argument 1: a string is no client_test.order"},
		{map[string]any{"count": 300}, "argument 1: field Count: a number is no uint8"},
		{map[string]any{"notes": []any{"a", 1}}, "argument 1: field Notes: item 1: a number is no string"},
		{map[string]any{"since": "yesterday"}, "argument 1: field Since: the string is no time.Time"},
	} {
		_, err := s.Call(within(t), "com.app.order", []any{c.arg}, nil, client.CallOptions{})
		var theirs *client.Error
		if !errors.As(err, &theirs) || theirs.URI != wamp.ErrInvalidArgument || theirs.Message != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// What cannot be sent is named: which argument, and its type.
func TestArgumentsThatCannotBeSentAreNamed(t *testing.T) {
	connect, stop := inProcess()
	defer stop()
	s, err := client.Dial(within(t), client.Config{Connect: connect, Realm: "realm1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		args   []any
		kwargs map[string]any
		want   string
	}{
		{[]any{1, make(chan int)}, nil, "argument 2 cannot be sent: a chan int has no counterpart in WAMP"},
		{[]any{struct{ F func() }{}}, nil, "argument 1 cannot be sent: field F: a func() has no counterpart in WAMP"},
		{nil, map[string]any{"n": complex(1, 2)}, `keyword argument "n" cannot be sent: a complex128 has no counterpart in WAMP`},
	} {
		_, err := s.Publish(within(t), "com.app.topic", c.args, c.kwargs, client.PublishOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// A handler that panics ends its call, and nothing else.
func TestAPanicInAHandlerEndsItsCall(t *testing.T) {
	reported := make(chan error, 2)
	connect, stop := inProcess()
	defer stop()
	s, err := client.Dial(within(t), client.Config{Connect: connect, Realm: "realm1", OnError: func(err error) { reported <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first := true
	_, err = s.Register(within(t), "com.app.fragile", func(context.Context, *client.Invocation) (*client.Result, error) {
		if first {
			first = false
			panic("CANARY")
		}
		return nil, nil
	}, client.RegisterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Call(within(t), "com.app.fragile", nil, nil, client.CallOptions{})
	if !errors.Is(err, client.ErrURI(wamp.ErrRuntime)) || strings.Contains(err.Error(), "CANARY") {
		t.Error(err)
	}
	var bug *client.PanicError
	if err := <-reported; !errors.As(err, &bug) || bug.URI != "com.app.fragile" || bug.Value != "CANARY" || !strings.Contains(string(bug.Stack), "structs_test.go") {
		t.Error(err)
	}
	if _, err := s.Call(within(t), "com.app.fragile", nil, nil, client.CallOptions{}); err != nil {
		t.Error(err)
	}
	events := make(chan struct{}, 2)
	_, err = s.Subscribe(within(t), "com.app.fragile", func(_ context.Context, e *client.Event) {
		events <- struct{}{}
		panic(len(e.Args))
	}, client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Publish(within(t), "com.app.fragile", nil, nil, client.PublishOptions{ExcludeMe: wamp.False}); err != nil {
			t.Fatal(err)
		}
		<-events
		if err := <-reported; !errors.As(err, &bug) {
			t.Error(err)
		}
	}
}
