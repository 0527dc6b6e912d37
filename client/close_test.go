package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func closing(s *client.Session) *outcome[int] {
	return async(func() (int, error) { return 0, s.Close() })
}

func TestClose(t *testing.T) {
	s, r := dial(t, client.Config{})
	call, _ := calling(t, within(t), s, r, client.CallOptions{})
	o := closing(s)
	if m := expect[*wamp.Goodbye](r); m.Reason != wamp.CloseNormal {
		t.Errorf("GOODBYE %+v", m)
	}
	r.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
	r.expectEnd()
	o.good(t)
	next(t, s.Done())
	call.bad(t, client.ErrClosed)
	if s.Err() != nil || s.ID() != 0 {
		t.Error(s.Err(), s.ID())
	}
	if _, err := s.Publish(within(t), "com.topic", nil, nil, client.PublishOptions{}); err != client.ErrClosed {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Both say GOODBYE at once: that is an answer too.
func TestGoodbyesCross(t *testing.T) {
	s, r := dial(t, client.Config{})
	o := closing(s)
	expect[*wamp.Goodbye](r)
	r.send(&wamp.Goodbye{Reason: wamp.CloseSystemShutdown})
	r.expectEnd()
	o.good(t)
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	s, _ := dial(t, client.Config{Limits: client.Limits{Goodbye: time.Millisecond}})
	closing(s).good(t)
}

func TestCloseWhileTheRouterDoesNotRead(t *testing.T) {
	s, _ := dial(t, client.Config{Limits: client.Limits{Goodbye: time.Millisecond}})
	stuck := async(func() (int, error) {
		for {
			if _, err := s.Publish(context.Background(), "com.topic", []any{make([]byte, 100<<10)}, nil, client.PublishOptions{}); err != nil {
				return 0, err
			}
		}
	})
	closing(s).good(t)
	if _, err := stuck.wait(t); !errors.Is(err, client.ErrClosed) {
		t.Error(err)
	}
}

func TestStalledWriteEndsTheSession(t *testing.T) {
	s, _ := dial(t, client.Config{Limits: client.Limits{Stall: time.Millisecond}})
	_, err := s.Publish(within(t), "com.topic", []any{make([]byte, 100<<10)}, nil, client.PublishOptions{})
	var gone *client.DisconnectedError
	if !errors.As(err, &gone) {
		t.Error(err)
	}
	next(t, s.Done())
}

// A handler may close its own session; its context ends.
func TestCloseFromHandler(t *testing.T) {
	s, r := dial(t, client.Config{})
	closed := make(chan error, 1)
	r.subscribe(s, 5, "com.topic", func(ctx context.Context, _ *client.Event) {
		err := s.Close()
		<-ctx.Done()
		closed <- err
	}, client.SubscribeOptions{})
	r.send(&wamp.Event{Subscription: 5, Publication: 1})
	expect[*wamp.Goodbye](r)
	r.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
	if err := next(t, closed); err != nil {
		t.Error(err)
	}
}

func TestRouterSaysGoodbye(t *testing.T) {
	s, r := dial(t, client.Config{})
	call, _ := calling(t, within(t), s, r, client.CallOptions{})
	r.send(&wamp.Goodbye{Reason: wamp.CloseSystemShutdown, Details: wamp.Closing{Message: "bye"}})
	if m := expect[*wamp.Goodbye](r); m.Reason != wamp.CloseGoodbyeAndOut {
		t.Errorf("GOODBYE %+v", m)
	}
	_ = r.conn.Close()
	call.bad(t, client.ErrURI(wamp.CloseSystemShutdown))
	next(t, s.Done())
	var gone *client.DisconnectedError
	if err := s.Err(); !errors.As(err, &gone) || !errors.Is(err, client.ErrURI(wamp.CloseSystemShutdown)) {
		t.Error(err)
	}
}

func TestRouterAborts(t *testing.T) {
	s, r := dial(t, client.Config{})
	r.send(&wamp.Abort{Reason: wamp.ErrProtocolViolation})
	next(t, s.Done())
	if !errors.Is(s.Err(), client.ErrURI(wamp.ErrProtocolViolation)) {
		t.Error(s.Err())
	}
	r.expectEnd()
}

func TestTransportCloses(t *testing.T) {
	s, r := dial(t, client.Config{})
	r.sendFrame(transport.OpClose, transport.CloseBody(1001, "away"))
	if f, err := r.read(); err != nil || f.Op != transport.OpClose {
		t.Errorf("%v %v", f, err)
	}
	next(t, s.Done())
}

func TestPingIsAnswered(t *testing.T) {
	_, r := dial(t, client.Config{})
	ping(t, r)
	ping(t, r)
}

func TestSilentRouterIsPinged(t *testing.T) {
	_, r := dial(t, client.Config{Limits: client.Limits{PingEvery: time.Millisecond, PingTimeout: patience}})
	for range 3 {
		if f, err := r.read(); err != nil || f.Op != transport.OpPing {
			t.Fatalf("%v %v", f, err)
		}
		r.sendFrame(transport.OpPong, nil)
	}
}

func TestSilentRouterIsGivenUp(t *testing.T) {
	s, _ := dial(t, client.Config{Limits: client.Limits{PingEvery: time.Millisecond, PingTimeout: time.Millisecond}})
	next(t, s.Done())
	if s.Err() == nil {
		t.Error("no reason")
	}
}

// A router that sends pings and reads no pongs is given up before they pile up.
func TestUnreadAnswersAreBound(t *testing.T) {
	s, r := dial(t, client.Config{})
	body := make([]byte, 100<<10)
	frame := r.conn.Framing().AppendFrame(nil, transport.OpPing, body)
	for range 100 {
		if _, err := r.conn.Write([][]byte{frame}, patience); err != nil {
			break
		}
	}
	next(t, s.Done())
}

// What breaks the protocol is answered with ABORT, and ends the session.
func TestViolations(t *testing.T) {
	encode := func(m wamp.Message) []byte {
		b, err := codec.Append(nil, wamp.CBOR, m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, body := range map[string][]byte{
		"nothing":               {},
		"no CBOR":               {0xff},
		"no list":               {0x01},
		"unknown type":          {0x82, 0x18, 0x63, 0x01},
		"WELCOME again":         encode(&wamp.Welcome{Session: 1}),
		"PUBLISH":               encode(&wamp.Publish{Request: 1, Topic: "com.topic"}),
		"truncated EVENT":       {0x83, 0x18, 0x24, 0x01, 0x02},
		"EVENT with odd id":     {0x84, 0x18, 0x24, 0x61, 'x', 0x02, 0xa0},
		"PUBLISHED of nothing":  encode(&wamp.Published{Request: 9, Publication: 1}),
		"SUBSCRIBED of nothing": encode(&wamp.Subscribed{Request: 9, Subscription: 1}),
		"RESULT of nothing":     encode(&wamp.Result{Request: 9}),
		"ERROR of nothing":      encode(&wamp.Error{RequestType: wamp.TypeCall, Request: 9, Error: "com.error"}),
		"ERROR of no request":   encode(&wamp.Error{RequestType: wamp.TypeEvent, Request: 9, Error: "com.error"}),
		"answer of another type": encode(&wamp.Subscribed{
			Request: 1, Subscription: 1}),
		"RESULT of a PUBLISH": encode(&wamp.Result{Request: 1}),
	} {
		s, r := dial(t, client.Config{})
		publish := async(func() (wamp.ID, error) {
			return s.Publish(within(t), "com.topic", nil, nil, client.PublishOptions{Acknowledge: true})
		})
		expect[*wamp.Publish](r)
		r.sendFrame(transport.OpMessage, body)
		if m := expect[*wamp.Abort](r); m.Reason != wamp.ErrProtocolViolation {
			t.Errorf("%s: ABORT %+v", name, m)
		}
		r.expectEnd()
		publish.bad(t, client.ErrURI(wamp.ErrProtocolViolation))
		next(t, s.Done())
	}
}

func TestInvocationTwiceIsAViolation(t *testing.T) {
	began := make(chan struct{})
	_, r := serve(t, client.Config{}, func(ctx context.Context, _ *client.Invocation) (*client.Result, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	r.send(&wamp.Invocation{Request: 1, Registration: 5})
	next(t, began)
	r.send(&wamp.Invocation{Request: 1, Registration: 5})
	expect[*wamp.Abort](r)
}

// small is a connection whose peer takes small messages.
type small struct {
	transport.Conn
	info transport.Info
}

func (c *small) Info() *transport.Info { return &c.info }

func TestMessagesOverTheRoutersLimitAreNotSent(t *testing.T) {
	conn, far := transport.Pipe(wamp.CBOR)
	limited := &small{conn, *conn.Info()}
	limited.info.MaxSend = 2000
	r := &server{t, far}
	joined := async(func() (*client.Session, error) {
		return client.Join(within(t), limited, client.Config{Realm: "realm1"})
	})
	r.welcome()
	s := joined.good(t)
	defer func() { _ = far.Close(); _ = s.Close() }()
	big := []any{make([]byte, 2000)}
	if _, err := s.Publish(within(t), "com.topic", big, nil, client.PublishOptions{}); !errors.Is(err, client.ErrURI(wamp.ErrPayloadSizeExceeded)) {
		t.Error(err)
	}
	if _, err := s.Call(within(t), "com.procedure", big, nil, client.CallOptions{}); !errors.Is(err, client.ErrURI(wamp.ErrPayloadSizeExceeded)) {
		t.Error(err)
	}
	r.register(s, 5, "com.procedure", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		if len(inv.Args) > 0 {
			return nil, &client.Error{URI: "com.error", Args: big}
		}
		return &client.Result{Args: big}, nil
	}, client.RegisterOptions{})
	r.send(&wamp.Invocation{Request: 1, Registration: 5})
	if e := expect[*wamp.Error](r); e.Error != wamp.ErrPayloadSizeExceeded {
		t.Errorf("ERROR %+v", e)
	}
	r.send(&wamp.Invocation{Request: 2, Registration: 5, Payload: values(1)})
	r.expectError(2, "com.error")
}

// Behind GOODBYE there are no more messages, whichever side says it first.
func TestNothingBehindGoodbye(t *testing.T) {
	for _, mine := range []bool{true, false} {
		goOn, done := make(chan struct{}), make(chan struct{})
		s, r := serve(t, client.Config{}, func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
			<-goOn
			_ = inv.Progress([]any{1}, nil)
			close(done)
			return nil, nil
		})
		call, err := s.Begin("com.other", client.CallOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sent := async(func() (int, error) { return 0, call.Send(within(t), nil, nil) })
		expect[*wamp.Call](r)
		sent.good(t)
		r.send(&wamp.Invocation{Request: 1, Registration: 5, Details: wamp.InvocationDetails{ReceiveProgress: true}})
		ping(t, r) // the INVOCATION was read
		var closed *outcome[int]
		if mine {
			closed = closing(s)
			expect[*wamp.Goodbye](r)
		} else {
			r.send(&wamp.Goodbye{Reason: wamp.CloseSystemShutdown})
			expect[*wamp.Goodbye](r)
		}
		// What follows is written before the connection is closed, if at all.
		close(goOn)
		next(t, done)
		if err := call.Send(within(t), nil, nil); err == nil {
			t.Errorf("mine %v: CALL behind GOODBYE", mine)
		}
		if mine {
			r.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		} else {
			_, _ = s.Publish(within(t), "com.topic", nil, nil, client.PublishOptions{})
		}
		r.sendFrame(transport.OpClose, transport.CloseBody(1000, ""))
		r.expectEnd()
		if closed != nil {
			closed.good(t)
		}
		next(t, s.Done())
	}
}
