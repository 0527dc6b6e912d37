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

// routers is where the connections of a session that reconnects arrive.
type routers struct {
	t      testing.TB
	dialed chan *server
	states chan state
	errors chan error
}

type state struct {
	client.State
	err error
}

var errNobody = errors.New("nobody is there")

// redial opens a session that reconnects quickly.
func redial(t *testing.T, c client.Config) (*client.Session, *server, *routers) {
	t.Helper()
	rs := &routers{t, make(chan *server), make(chan state, 100), make(chan error, 100)}
	c.Realm = "realm1"
	if c.Reconnect == nil {
		c.Reconnect = &client.Reconnect{Min: time.Millisecond, Max: time.Millisecond}
	}
	c.Connect = func(ctx context.Context) (transport.Conn, error) {
		conn, far := transport.Pipe(wamp.CBOR)
		select {
		case rs.dialed <- &server{t, far}:
			return conn, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.OnState = func(s client.State, err error) { rs.states <- state{s, err} }
	c.OnError = func(err error) { rs.errors <- err }
	joined := async(func() (*client.Session, error) { return client.Dial(within(t), c) })
	r := next(t, rs.dialed)
	r.welcome()
	s := joined.good(t)
	t.Cleanup(func() {
		// Whatever connection there still is ends with the session.
		closed := closing(s)
		for {
			select {
			case r := <-rs.dialed:
				_ = r.conn.Close()
			case <-closed.done:
				return
			}
		}
	})
	return s, r, rs
}

// again is the router of the next connection.
func (rs *routers) again() *server {
	rs.t.Helper()
	r := next(rs.t, rs.dialed)
	rs.t.Cleanup(func() { _ = r.conn.Close() })
	r.welcome(func(w *wamp.Welcome) { w.Session = 8 })
	return r
}

func (rs *routers) expect(want client.State) error {
	rs.t.Helper()
	got := next(rs.t, rs.states)
	if got.State != want {
		rs.t.Fatalf("state %v (%v), want %v", got.State, got.err, want)
	}
	return got.err
}

func TestReconnectRestores(t *testing.T) {
	s, r, rs := redial(t, client.Config{})
	events := make(chan *client.Event, 10)
	handler := func(_ context.Context, e *client.Event) { events <- e }
	r.subscribe(s, 5, "com.app.", handler, client.SubscribeOptions{Match: wamp.MatchPrefix})
	gone := r.subscribe(s, 6, "com.gone", handler, client.SubscribeOptions{})
	r.register(s, 7, "com.procedure", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		return &client.Result{Args: inv.Args}, nil
	}, client.RegisterOptions{Invoke: "roundrobin"})
	call, _ := calling(t, within(t), s, r, client.CallOptions{})
	_ = r.conn.Close()

	_, err := call.wait(t)
	var lost *client.DisconnectedError
	if !errors.As(err, &lost) || !lost.InFlight {
		t.Errorf("%#v", err)
	}
	if err := rs.expect(client.Reconnecting); err == nil {
		t.Error("no reason")
	}
	if _, err := s.Publish(within(t), "com.topic", nil, nil, client.PublishOptions{}); !errors.As(err, &lost) || lost.InFlight {
		t.Errorf("%#v", err)
	}
	// Ended without a connection, so not restored.
	if err := gone.Unsubscribe(within(t)); err != nil {
		t.Error(err)
	}
	r = rs.again()
	sub := expect[*wamp.Subscribe](r)
	if sub.Request != 1 || sub.Topic != "com.app." || sub.Options.Match != "prefix" {
		t.Errorf("SUBSCRIBE %+v", sub)
	}
	r.send(&wamp.Subscribed{Request: sub.Request, Subscription: 50})
	r.send(&wamp.Event{Subscription: 50, Publication: 1, Details: wamp.EventDetails{Topic: "com.app.x"}})
	reg := expect[*wamp.Register](r)
	if reg.Procedure != "com.procedure" || reg.Options.Invoke != "roundrobin" {
		t.Errorf("REGISTER %+v", reg)
	}
	r.send(&wamp.Registered{Request: reg.Request, Registration: 70})
	r.send(&wamp.Invocation{Request: 1, Registration: 70, Payload: values("a")})
	if args, _, _ := expect[*wamp.Yield](r).Payload.Decode(); !reflect.DeepEqual(args, []any{"a"}) {
		t.Errorf("YIELD %v", args)
	}
	if e := next(t, events); e.Topic != "com.app.x" {
		t.Errorf("%+v", e)
	}
	rs.expect(client.Connected)
	if s.ID() != 8 {
		t.Errorf("session id %d", s.ID())
	}
}

func TestWhatCantBeRestoredIsReported(t *testing.T) {
	s, r, rs := redial(t, client.Config{})
	sub := r.subscribe(s, 5, "com.topic", nil, client.SubscribeOptions{})
	reg := r.register(s, 6, "com.procedure", nil, client.RegisterOptions{})
	_ = r.conn.Close()
	r = rs.again()
	r.send(&wamp.Error{RequestType: wamp.TypeSubscribe, Request: expect[*wamp.Subscribe](r).Request, Error: wamp.ErrNotAuthorized})
	r.send(&wamp.Error{RequestType: wamp.TypeRegister, Request: expect[*wamp.Register](r).Request, Error: wamp.ErrNotAuthorized})
	next(t, sub.Done())
	next(t, reg.Done())
	for range 2 {
		err := next(t, rs.errors)
		var lost *client.RestoreError
		if !errors.As(err, &lost) || !errors.Is(err, client.ErrURI(wamp.ErrNotAuthorized)) {
			t.Error(err)
		}
	}
	if !errors.Is(sub.Err(), client.ErrURI(wamp.ErrNotAuthorized)) || !errors.Is(reg.Err(), client.ErrURI(wamp.ErrNotAuthorized)) {
		t.Error(sub.Err(), reg.Err())
	}
	rs.expect(client.Reconnecting)
	rs.expect(client.Connected)
}

// The router may not have noticed yet that the lost session is gone.
func TestProcedureStillTakenIsTriedAgain(t *testing.T) {
	s, r, rs := redial(t, client.Config{})
	r.register(s, 6, "com.procedure", nil, client.RegisterOptions{})
	_ = r.conn.Close()
	r = rs.again()
	for range 3 {
		r.send(&wamp.Error{RequestType: wamp.TypeRegister, Request: expect[*wamp.Register](r).Request, Error: wamp.ErrProcedureExists})
	}
	r.send(&wamp.Registered{Request: expect[*wamp.Register](r).Request, Registration: 60})
	rs.expect(client.Reconnecting)
	rs.expect(client.Connected)
}

// A connection that is lost while it is being restored loses nothing.
func TestLossWhileRestoring(t *testing.T) {
	s, r, rs := redial(t, client.Config{})
	r.subscribe(s, 5, "com.topic", nil, client.SubscribeOptions{})
	r.register(s, 6, "com.procedure", nil, client.RegisterOptions{})
	_ = r.conn.Close()
	for range 3 {
		r = rs.again()
		expect[*wamp.Subscribe](r)
		_ = r.conn.Close()
	}
	r = rs.again()
	r.send(&wamp.Subscribed{Request: expect[*wamp.Subscribe](r).Request, Subscription: 5})
	r.send(&wamp.Registered{Request: expect[*wamp.Register](r).Request, Registration: 6})
	for range 4 {
		rs.expect(client.Reconnecting)
	}
	rs.expect(client.Connected)
}

func TestNoReconnectAfterWhatIsForGood(t *testing.T) {
	for _, m := range []wamp.Message{
		&wamp.Goodbye{Reason: wamp.CloseKilled},
		&wamp.Abort{Reason: wamp.ErrNotAuthorized},
	} {
		s, r, rs := redial(t, client.Config{})
		r.send(m)
		if g, ok := m.(*wamp.Goodbye); ok {
			expect[*wamp.Goodbye](r)
			_ = g
		}
		_ = r.conn.Close()
		next(t, s.Done())
		if err := rs.expect(client.Ended); err == nil || err != s.Err() {
			t.Error(err, s.Err())
		}
	}
	s, r, rs := redial(t, client.Config{})
	_ = r.conn.Close()
	r = next(t, rs.dialed)
	expect[*wamp.Hello](r)
	r.send(&wamp.Abort{Reason: wamp.ErrNoSuchRealm})
	next(t, s.Done())
	if !errors.Is(s.Err(), client.ErrURI(wamp.ErrNoSuchRealm)) {
		t.Error(s.Err())
	}
}

func TestReconnectAfterShutdown(t *testing.T) {
	_, r, rs := redial(t, client.Config{})
	r.send(&wamp.Goodbye{Reason: wamp.CloseSystemShutdown})
	expect[*wamp.Goodbye](r)
	_ = r.conn.Close()
	rs.again()
	rs.expect(client.Reconnecting)
	rs.expect(client.Connected)
}

func TestAttemptsAreBound(t *testing.T) {
	first := true
	c := client.Config{Realm: "realm1", Reconnect: &client.Reconnect{Min: time.Millisecond, Max: 2 * time.Millisecond, Attempts: 3}}
	conn, far := transport.Pipe(wamp.CBOR)
	attempts := 0
	c.Connect = func(context.Context) (transport.Conn, error) {
		if first {
			first = false
			return conn, nil
		}
		attempts++
		return nil, errNobody
	}
	r := &server{t, far}
	joined := async(func() (*client.Session, error) { return client.Dial(within(t), c) })
	r.welcome()
	s := joined.good(t)
	_ = far.Close()
	next(t, s.Done())
	if !errors.Is(s.Err(), errNobody) || attempts != 3 {
		t.Errorf("%v after %d attempts", s.Err(), attempts)
	}
}

func TestCloseWhileReconnecting(t *testing.T) {
	s, r, rs := redial(t, client.Config{Reconnect: &client.Reconnect{Min: time.Hour, Max: time.Hour}})
	_ = r.conn.Close()
	rs.expect(client.Reconnecting)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := rs.expect(client.Ended); err != nil {
		t.Error(err)
	}
}

func TestCloseWhileJoiningAgain(t *testing.T) {
	s, r, rs := redial(t, client.Config{})
	_ = r.conn.Close()
	r = next(t, rs.dialed)
	expect[*wamp.Hello](r)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	r.expectEnd()
}

// What is registered while a new connection is being restored is on it already:
// made once more it would seem to be taken by another session.
func TestWhatIsThereIsNotRestored(t *testing.T) {
	s, r := serve(t, client.Config{}, func(context.Context, *client.Invocation) (*client.Result, error) { return nil, nil })
	r.subscribe(s, 6, "com.topic", func(context.Context, *client.Event) {}, client.SubscribeOptions{})
	restored := async(func() (int, error) {
		s.Restore()
		return 0, nil
	})
	r.quiet(s)
	restored.good(t)
	r.quiet(s)
}
