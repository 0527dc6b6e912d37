package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// serve opens a session with a handler registered as 5.
func serve(t *testing.T, c client.Config, h client.Handler) (*client.Session, *server) {
	t.Helper()
	s, r := dial(t, c)
	r.register(s, 5, "com.procedure", h, client.RegisterOptions{})
	return s, r
}

// expectError receives the ERROR in answer to an invocation.
func (r *server) expectError(request wamp.ID, uri wamp.URI, args ...any) *wamp.Error {
	r.t.Helper()
	e := expect[*wamp.Error](r)
	got, _, err := e.Payload.Decode()
	if e.RequestType != wamp.TypeInvocation || e.Request != request || e.Error != uri || !reflect.DeepEqual(got, args) || err != nil {
		r.t.Errorf("ERROR %+v with %v %v, want %s with %v", e, got, err, uri, args)
	}
	return e
}

func TestRegisterOptionsReachTheWire(t *testing.T) {
	s, r := dial(t, client.Config{})
	o := async(func() (*client.Registration, error) {
		return s.Register(within(t), "com.", nil, client.RegisterOptions{Match: wamp.MatchPrefix, Invoke: "roundrobin",
			Concurrency: 3, DiscloseCaller: true, ForceReregister: true, ForwardTimeout: true})
	})
	m := expect[*wamp.Register](r)
	want := wamp.RegisterOptions{Match: "prefix", Invoke: "roundrobin", DiscloseCaller: wamp.True, Concurrency: 3,
		ForceReregister: wamp.True, ForwardTimeout: wamp.True}
	if m.Procedure != "com." || m.Options != want {
		t.Errorf("REGISTER %+v", m)
	}
	r.send(&wamp.Error{RequestType: wamp.TypeRegister, Request: m.Request, Error: wamp.ErrProcedureExists})
	o.bad(t, client.ErrURI(wamp.ErrProcedureExists))
}

// REGISTERED and INVOCATION in one go.
func TestInvocationRightBehindRegistered(t *testing.T) {
	s, r := dial(t, client.Config{})
	o := async(func() (*client.Registration, error) {
		return s.Register(within(t), "com.procedure", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
			if inv.Procedure != "com.procedure" || inv.Details.CallerAuthID != "alice" || inv.Sealed {
				t.Errorf("%+v", inv)
			}
			return &client.Result{Args: append(inv.Args, "seen"), Kwargs: inv.Kwargs}, nil
		}, client.RegisterOptions{})
	})
	r.send(&wamp.Registered{Request: expect[*wamp.Register](r).Request, Registration: 5})
	r.send(&wamp.Invocation{Request: 1, Registration: 5, Payload: values("a"), Details: wamp.InvocationDetails{CallerAuthID: "alice"}})
	o.good(t)
	y := expect[*wamp.Yield](r)
	args, _, _ := y.Payload.Decode()
	if y.Request != 1 || y.Options.Progress || !reflect.DeepEqual(args, []any{"a", "seen"}) {
		t.Errorf("YIELD %+v %v", y, args)
	}
}

func TestHandlerErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		uri  wamp.URI
		args []any
	}{
		{errors.New("oh no"), wamp.ErrRuntime, []any{"oh no"}},
		{&client.Error{URI: "com.error", Args: []any{"a", "b"}}, "com.error", []any{"a", "b"}},
		{fmt.Errorf("wrapped: %w", &client.Error{URI: "com.error", Message: "why"}), "com.error", []any{"why"}},
		{&client.Error{URI: "com.error"}, "com.error", nil},
		{&client.Error{URI: "not a uri"}, wamp.ErrRuntime, nil},
		{&client.DisconnectedError{Cause: &client.Error{URI: wamp.CloseKilled}}, wamp.ErrRuntime, []any{"client: not connected: wamp.close.killed"}},
		{context.Canceled, wamp.ErrRuntime, []any{"context canceled"}}, // not by the caller
		{&client.Error{URI: "com.error", Args: []any{make(chan int)}}, "com.error", nil},
	} {
		_, r := serve(t, client.Config{}, func(context.Context, *client.Invocation) (*client.Result, error) { return nil, c.err })
		r.send(&wamp.Invocation{Request: 1, Registration: 5})
		r.expectError(1, c.uri, c.args...)
	}
}

func TestResultThatCantBeSentIsAnError(t *testing.T) {
	_, r := serve(t, client.Config{}, func(context.Context, *client.Invocation) (*client.Result, error) {
		return &client.Result{Args: []any{make(chan int)}}, nil
	})
	r.send(&wamp.Invocation{Request: 1, Registration: 5})
	if e := expect[*wamp.Error](r); e.Error != wamp.ErrInvalidArgument {
		t.Errorf("ERROR %+v", e)
	}
}

func TestHandlersProgress(t *testing.T) {
	_, r := serve(t, client.Config{}, func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		for i := range 3 {
			if err := inv.Progress([]any{i}, nil); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	r.send(&wamp.Invocation{Request: 1, Registration: 5, Details: wamp.InvocationDetails{ReceiveProgress: true}})
	for i := range 3 {
		y := expect[*wamp.Yield](r)
		if args, _, _ := y.Payload.Decode(); !y.Options.Progress || args[0] != int64(i) {
			t.Errorf("YIELD %+v %v", y, args)
		}
	}
	if y := expect[*wamp.Yield](r); y.Options.Progress || y.Payload.Elements() != 0 {
		t.Errorf("YIELD %+v", y)
	}
	r.send(&wamp.Invocation{Request: 2, Registration: 5})
	r.expectError(2, wamp.ErrRuntime, client.ErrNotProgressive.Error())
}

func TestInterruptEndsTheHandlersContext(t *testing.T) {
	for reason, uri := range map[wamp.URI]wamp.URI{"": wamp.ErrCanceled, wamp.ErrTimeout: wamp.ErrTimeout} {
		began := make(chan struct{})
		_, r := serve(t, client.Config{}, func(ctx context.Context, _ *client.Invocation) (*client.Result, error) {
			close(began)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		r.send(&wamp.Interrupt{Request: 1}) // of nothing
		r.send(&wamp.Invocation{Request: 1, Registration: 5})
		next(t, began)
		r.send(&wamp.Interrupt{Request: 1, Options: wamp.CancelOptions{Mode: "kill", Reason: string(reason)}})
		r.expectError(1, uri)
	}
}

func TestForwardedTimeoutEndsTheHandlersContext(t *testing.T) {
	_, r := serve(t, client.Config{}, func(ctx context.Context, _ *client.Invocation) (*client.Result, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	r.send(&wamp.Invocation{Request: 1, Registration: 5, Details: wamp.InvocationDetails{Timeout: 1}})
	r.expectError(1, wamp.ErrTimeout)
}

// Invocations run side by side, up to the limit; a handler may call.
func TestInvocationsRunConcurrently(t *testing.T) {
	began, resume := make(chan struct{}), make(chan struct{})
	_, r := serve(t, client.Config{Limits: client.Limits{Invocations: 2}}, func(context.Context, *client.Invocation) (*client.Result, error) {
		began <- struct{}{}
		<-resume
		return nil, nil
	})
	r.send(&wamp.Invocation{Request: 1, Registration: 5})
	r.send(&wamp.Invocation{Request: 2, Registration: 5})
	next(t, began)
	next(t, began)
	r.send(&wamp.Invocation{Request: 3, Registration: 5})
	r.expectError(3, wamp.ErrUnavailable)
	close(resume)
	expect[*wamp.Yield](r)
	expect[*wamp.Yield](r)
	r.send(&wamp.Invocation{Request: 4, Registration: 5})
	next(t, began)
	expect[*wamp.Yield](r)
}

func TestHandlerCalls(t *testing.T) {
	s, r := dial(t, client.Config{})
	r.register(s, 5, "com.procedure", func(ctx context.Context, _ *client.Invocation) (*client.Result, error) {
		return s.Call(ctx, "com.other", nil, nil, client.CallOptions{})
	}, client.RegisterOptions{})
	r.send(&wamp.Invocation{Request: 1, Registration: 5})
	r.send(&wamp.Result{Request: expect[*wamp.Call](r).Request, Payload: values("x")})
	if args, _, _ := expect[*wamp.Yield](r).Payload.Decode(); !reflect.DeepEqual(args, []any{"x"}) {
		t.Errorf("YIELD %v", args)
	}
}

func TestUnregister(t *testing.T) {
	s, r := dial(t, client.Config{})
	reg := r.register(s, 5, "com.procedure", nil, client.RegisterOptions{})
	o := async(func() (int, error) { return 0, reg.Unregister(within(t)) })
	m := expect[*wamp.Unregister](r)
	if m.Registration != 5 {
		t.Errorf("UNREGISTER %+v", m)
	}
	r.send(&wamp.Unregistered{Request: m.Request})
	o.good(t)
	next(t, reg.Done())
	r.send(&wamp.Invocation{Request: 1, Registration: 5})
	r.expectError(1, wamp.ErrNoSuchRegistration)
	if err := reg.Unregister(within(t)); err != nil {
		t.Error(err)
	}
	r.quiet(s)
}

func TestAbandonedRegisterIsUndone(t *testing.T) {
	s, r := dial(t, client.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	o := async(func() (*client.Registration, error) {
		return s.Register(ctx, "com.procedure", nil, client.RegisterOptions{})
	})
	m := expect[*wamp.Register](r)
	cancel()
	o.bad(t, context.Canceled)
	r.send(&wamp.Registered{Request: m.Request, Registration: 5})
	u := expect[*wamp.Unregister](r)
	if u.Registration != 5 {
		t.Errorf("UNREGISTER %+v", u)
	}
	r.send(&wamp.Unregistered{Request: u.Request})
}

func TestRegistrationIsRevoked(t *testing.T) {
	reported := make(chan error, 1)
	s, r := dial(t, client.Config{OnError: func(err error) { reported <- err }})
	reg := r.register(s, 5, "com.procedure", nil, client.RegisterOptions{})
	r.send(&wamp.Unregistered{Details: wamp.Revocation{Registration: 5}})
	next(t, reg.Done())
	if !errors.Is(reg.Err(), client.ErrURI(wamp.ErrUnavailable)) {
		t.Error(reg.Err())
	}
	next(t, reported)
}

func TestProgressiveInvocation(t *testing.T) {
	_, r := serve(t, client.Config{}, func(ctx context.Context, inv *client.Invocation) (*client.Result, error) {
		all := inv.Args
		for {
			args, _, err := inv.Next(ctx)
			if err == io.EOF {
				return &client.Result{Args: all}, nil
			}
			if err != nil {
				return nil, err
			}
			all = append(all, args...)
		}
	})
	for i := range 5 {
		r.send(&wamp.Invocation{Request: 1, Registration: 5, Payload: values(i), Details: wamp.InvocationDetails{Progress: i < 4}})
	}
	args, _, _ := expect[*wamp.Yield](r).Payload.Decode()
	if !reflect.DeepEqual(args, []any{int64(0), int64(1), int64(2), int64(3), int64(4)}) {
		t.Errorf("YIELD %v", args)
	}
}

// Inputs that come after the answer are no new invocations, and no violation.
func TestInputsBehindTheAnswer(t *testing.T) {
	_, r := serve(t, client.Config{}, func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		return &client.Result{Args: inv.Args}, nil
	})
	more := wamp.InvocationDetails{Progress: true}
	r.send(&wamp.Invocation{Request: 1, Registration: 5, Details: more})
	expect[*wamp.Yield](r)
	r.send(&wamp.Invocation{Request: 1, Registration: 5, Details: more})
	r.send(&wamp.Invocation{Request: 1, Registration: 5})
	r.send(&wamp.Invocation{Request: 2, Registration: 5, Payload: values("new")})
	if y := expect[*wamp.Yield](r); y.Request != 2 {
		t.Errorf("YIELD %+v", y)
	}
	// The id is free again.
	r.send(&wamp.Invocation{Request: 1, Registration: 5, Payload: values("again")})
	if y := expect[*wamp.Yield](r); y.Request != 1 {
		t.Errorf("YIELD %+v", y)
	}
}

func TestInputsOverTheQueueEndTheInvocation(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	_, r := serve(t, client.Config{Limits: client.Limits{Queue: 1}}, func(ctx context.Context, _ *client.Invocation) (*client.Result, error) {
		close(began)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, nil
	})
	more := &wamp.Invocation{Request: 1, Registration: 5, Details: wamp.InvocationDetails{Progress: true}}
	r.send(more)
	next(t, began)
	r.send(more)
	r.send(more)
	r.expectError(1, wamp.ErrLimitExceeded)
	var full *client.OverflowError
	if err := next(t, ended); !errors.As(err, &full) {
		t.Error(err)
	}
	r.send(more)
	ping(t, r)
}

// held is a Sealer that seals "com.procedure" no sooner than it is let go.
type held struct{ began, goOn chan struct{} }

func (h held) Keyed(*wamp.Subject) bool { return false }

func (h held) Seal(_ *wamp.Subject, args []any, _ map[string]any) (a wamp.Attributes, _ []byte, _ bool, _ error) {
	if len(args) > 0 && args[0] == "held" {
		h.began <- struct{}{}
		<-h.goOn
	}
	return a, nil, false, nil
}

func (held) Open(*wamp.Subject, *wamp.Attributes, []byte) ([]any, map[string]any, error) {
	return nil, nil, errors.New("nothing is sealed")
}

// A progressive result that is ready only when the handler has returned is not
// sent behind the final one.
func TestNoProgressBehindTheAnswer(t *testing.T) {
	h := held{make(chan struct{}), make(chan struct{})}
	late := make(chan error)
	s, r := serve(t, client.Config{Sealer: h, AllowClear: []wamp.URI{"com.procedure"}}, func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		go func() { late <- inv.Progress([]any{"held"}, nil) }()
		<-h.began
		return nil, nil
	})
	r.send(&wamp.Invocation{Request: 1, Registration: 5, Details: wamp.InvocationDetails{ReceiveProgress: true}})
	expect[*wamp.Yield](r)
	close(h.goOn)
	if err := next(t, late); err != client.ErrAnswered {
		t.Error(err)
	}
	r.quiet(s)
}
