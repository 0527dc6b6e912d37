package client_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// calling starts a call, up to the router's getting it.
func calling(t *testing.T, ctx context.Context, s *client.Session, r *server, o client.CallOptions) (*outcome[*client.Result], *wamp.Call) {
	t.Helper()
	got := async(func() (*client.Result, error) {
		return s.Call(ctx, "com.procedure", []any{"a"}, map[string]any{"k": 1}, o)
	})
	return got, expect[*wamp.Call](r)
}

// ping makes sure that the client has read all that was sent before.
func ping(t *testing.T, r *server) {
	t.Helper()
	r.sendFrame(transport.OpPing, []byte("p"))
	for {
		f, err := r.read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Op == transport.OpPong && string(f.Body) == "p" {
			return
		}
		t.Fatalf("unexpected frame %d %x", f.Op, f.Body)
	}
}

func TestCall(t *testing.T) {
	s, r := dial(t, client.Config{})
	o, m := calling(t, within(t), s, r, client.CallOptions{Timeout: 1500 * time.Microsecond, DiscloseMe: true})
	args, kwargs, _ := m.Payload.Decode()
	if m.Procedure != "com.procedure" || m.Options.Timeout != 2 || m.Options.DiscloseMe != wamp.True ||
		m.Options.ReceiveProgress != wamp.Unset || m.Options.Progress != wamp.Unset ||
		!reflect.DeepEqual(args, []any{"a"}) || !reflect.DeepEqual(kwargs, map[string]any{"k": int64(1)}) {
		t.Errorf("CALL %+v %v %v", m, args, kwargs)
	}
	r.send(&wamp.Result{Request: m.Request, Payload: values("b", 2)})
	if res := o.good(t); !reflect.DeepEqual(res.Args, []any{"b", int64(2)}) || res.Sealed {
		t.Errorf("%+v", res)
	}
}

func TestCallError(t *testing.T) {
	s, r := dial(t, client.Config{})
	o, m := calling(t, within(t), s, r, client.CallOptions{})
	r.send(&wamp.Error{RequestType: wamp.TypeCall, Request: m.Request, Error: "com.error", Payload: values("no", 3)})
	err := o.bad(t, client.ErrURI("com.error"))
	var e *client.Error
	if !errors.As(err, &e) || e.URI != "com.error" || e.Message != "no" || !reflect.DeepEqual(e.Args, []any{"no", int64(3)}) || e.Sealed {
		t.Errorf("%#v", err)
	}
	if errors.Is(err, client.ErrURI("com.other")) {
		t.Error("is another URI too")
	}
}

func TestProgressiveResultsComeInOrder(t *testing.T) {
	s, r := dial(t, client.Config{})
	var got []any
	o, m := calling(t, within(t), s, r, client.CallOptions{OnProgress: func(res *client.Result) { got = append(got, res.Args...) }})
	if m.Options.ReceiveProgress != wamp.True {
		t.Errorf("CALL %+v", m)
	}
	for i := range 20 {
		r.send(&wamp.Result{Request: m.Request, Details: wamp.ResultDetails{Progress: true}, Payload: values(i)})
	}
	r.send(&wamp.Result{Request: m.Request, Payload: values("end")})
	if res := o.good(t); !reflect.DeepEqual(res.Args, []any{"end"}) {
		t.Errorf("%+v", res)
	}
	for i, v := range got {
		if v != int64(i) {
			t.Fatalf("progress %v", got)
		}
	}
	if len(got) != 20 {
		t.Errorf("progress %v", got)
	}
}

// A result with a gap is none: the call ends, and the router is told.
func TestSlowProgressEndsTheCall(t *testing.T) {
	s, r := dial(t, client.Config{Limits: client.Limits{Queue: 2}})
	hang, resume := make(chan struct{}), make(chan struct{})
	o, m := calling(t, within(t), s, r, client.CallOptions{OnProgress: func(*client.Result) {
		hang <- struct{}{}
		<-resume
	}})
	progress := &wamp.Result{Request: m.Request, Details: wamp.ResultDetails{Progress: true}}
	r.send(progress)
	next(t, hang)
	for range 3 {
		r.send(progress)
	}
	if c := expect[*wamp.Cancel](r); c.Request != m.Request {
		t.Errorf("CANCEL %+v", c)
	}
	r.send(progress) // under way
	ping(t, r)
	close(resume)
	next(t, hang)
	next(t, hang)
	var full *client.OverflowError
	if err := o.bad(t, client.ErrURI(wamp.ErrLimitExceeded)); !errors.As(err, &full) {
		t.Error(err)
	}
}

func TestCallIsCancelledByContext(t *testing.T) {
	for mode, wire := range map[string]string{"": "", "skip": "skip", "killnowait": "killnowait"} {
		s, r := dial(t, client.Config{})
		ctx, cancel := context.WithCancel(context.Background())
		o, m := calling(t, ctx, s, r, client.CallOptions{CancelMode: mode})
		cancel()
		c := expect[*wamp.Cancel](r)
		if c.Request != m.Request || c.Options.Mode != wire {
			t.Errorf("CANCEL %+v", c)
		}
		if err := o.bad(t, client.ErrURI(wamp.ErrCanceled)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		// What was under way is not a violation.
		r.send(&wamp.Result{Request: m.Request})
		r.send(&wamp.Error{RequestType: wamp.TypeCall, Request: m.Request, Error: wamp.ErrCanceled})
		ping(t, r)
	}
}

func TestKillWaitsForTheCallee(t *testing.T) {
	s, r := dial(t, client.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	o, m := calling(t, ctx, s, r, client.CallOptions{CancelMode: "kill"})
	cancel()
	if c := expect[*wamp.Cancel](r); c.Options.Mode != "kill" {
		t.Errorf("CANCEL %+v", c)
	}
	r.send(&wamp.Error{RequestType: wamp.TypeCall, Request: m.Request, Error: wamp.ErrCanceled, Payload: values("callee")})
	err := o.bad(t, client.ErrURI(wamp.ErrCanceled))
	var e *client.Error
	if !errors.As(err, &e) || e.Message != "callee" {
		t.Errorf("%#v", err)
	}
}

func TestKillIsNotWaitedForForEver(t *testing.T) {
	s, r := dial(t, client.Config{Limits: client.Limits{Kill: time.Millisecond}})
	ctx, cancel := context.WithCancel(context.Background())
	o, _ := calling(t, ctx, s, r, client.CallOptions{CancelMode: "kill"})
	cancel()
	expect[*wamp.Cancel](r)
	o.bad(t, context.Canceled)
}

func TestDeadlineCancels(t *testing.T) {
	s, r := dial(t, client.Config{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	o := async(func() (*client.Result, error) {
		return s.Call(ctx, "com.procedure", nil, nil, client.CallOptions{})
	})
	if err := o.bad(t, context.DeadlineExceeded); !errors.Is(err, client.ErrURI(wamp.ErrCanceled)) {
		t.Error(err)
	}
	_ = r
}

// A router that did not announce call_canceling is not sent CANCEL.
func TestNoCancelWhereItIsNotAnnounced(t *testing.T) {
	s, r := dial(t, client.Config{}, func(w *wamp.Welcome) { w.Details.Roles.Dealer.Features = 0 })
	ctx, cancel := context.WithCancel(context.Background())
	o, _ := calling(t, ctx, s, r, client.CallOptions{CancelMode: "kill"})
	cancel()
	o.bad(t, context.Canceled)
	r.quiet(s)
}

func TestCallOptionsAreChecked(t *testing.T) {
	s, r := dial(t, client.Config{})
	_, err := s.Call(within(t), "com.procedure", nil, nil, client.CallOptions{CancelMode: "maim"})
	if !errors.Is(err, client.ErrURI(wamp.ErrInvalidArgument)) {
		t.Error(err)
	}
	r.quiet(s)
}

func TestCallInFlightFailsWithTheConnection(t *testing.T) {
	s, r := dial(t, client.Config{})
	o, _ := calling(t, within(t), s, r, client.CallOptions{})
	_ = r.conn.Close()
	_, err := o.wait(t)
	var gone *client.DisconnectedError
	if !errors.As(err, &gone) || !gone.InFlight {
		t.Errorf("%#v", err)
	}
	next(t, s.Done())
	_, err = s.Call(within(t), "com.procedure", nil, nil, client.CallOptions{})
	if !errors.As(err, &gone) || gone.InFlight {
		t.Errorf("%#v", err)
	}
	if !errors.As(s.Err(), &gone) {
		t.Errorf("%#v", s.Err())
	}
}

func TestProgressiveCall(t *testing.T) {
	s, r := dial(t, client.Config{})
	var progress []any
	c, err := s.Begin("com.procedure", client.CallOptions{OnProgress: func(res *client.Result) { progress = append(progress, res.Args...) }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := c.Send(within(t), []any{i}, nil); err != nil {
			t.Fatal(err)
		}
		m := expect[*wamp.Call](r)
		if m.Request != 1 || m.Options.Progress != wamp.True {
			t.Errorf("CALL %+v", m)
		}
		r.send(&wamp.Result{Request: m.Request, Details: wamp.ResultDetails{Progress: true}, Payload: values(i)})
		ping(t, r)
	}
	o := async(func() (*client.Result, error) { return c.Finish(within(t), []any{"last"}, nil) })
	m := expect[*wamp.Call](r)
	if m.Request != 1 || m.Options.Progress != wamp.Unset {
		t.Errorf("CALL %+v", m)
	}
	r.send(&wamp.Result{Request: 1, Payload: values("sum")})
	o.good(t)
	if !reflect.DeepEqual(progress, []any{int64(0), int64(1), int64(2)}) {
		t.Errorf("progress %v", progress)
	}
}

func TestProgressiveCallAnsweredEarly(t *testing.T) {
	s, r := dial(t, client.Config{})
	c, _ := s.Begin("com.procedure", client.CallOptions{})
	if err := c.Send(within(t), nil, nil); err != nil {
		t.Fatal(err)
	}
	m := expect[*wamp.Call](r)
	r.send(&wamp.Error{RequestType: wamp.TypeCall, Request: m.Request, Error: "com.enough"})
	ping(t, r)
	if err := c.Send(within(t), nil, nil); !errors.Is(err, client.ErrURI("com.enough")) {
		t.Error(err)
	}
	if _, err := c.Finish(within(t), nil, nil); err == nil {
		t.Error("finished what has ended")
	}
	r.quiet(s)
}

// A call that can't go out in parts has ended; what is left of it is not sent as
// if it were all.
func TestProgressiveCallThatIsNotAnnounced(t *testing.T) {
	s, r := dial(t, client.Config{}, func(w *wamp.Welcome) { w.Details.Roles.Dealer.Features = 0 })
	c, err := s.Begin("com.procedure", client.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(within(t), []any{1}, nil); !errors.Is(err, client.ErrURI(wamp.ErrFeatureNotSupported)) {
		t.Error(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Finish(soon, []any{2}, nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the rest: %v", err)
	}
	r.quiet(s)
}
