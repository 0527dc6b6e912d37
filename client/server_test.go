package client_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long what must come is waited for.
const patience = 20 * time.Second

// server is the router of a test: it says what it is told to, and the test says
// what it must hear.
type server struct {
	t    testing.TB
	conn transport.Conn
}

// dial opens a session with a scripted router that has welcomed it.
func dial(t testing.TB, c client.Config, change ...func(*wamp.Welcome)) (*client.Session, *server) {
	t.Helper()
	conn, far := transport.Pipe(wamp.CBOR)
	r := &server{t, far}
	t.Cleanup(func() { _ = far.Close() })
	c.Realm = "realm1"
	joined := async(func() (*client.Session, error) { return client.Join(within(t), conn, c) })
	r.welcome(change...)
	s := joined.good(t)
	t.Cleanup(func() {
		_ = far.Close()
		_ = s.Close()
	})
	return s, r
}

// within is a context that ends with patience.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// everything is what a router can announce.
var everything = wamp.Role{Present: true, Features: ^wamp.Features(0)}

func (r *server) welcome(change ...func(*wamp.Welcome)) *wamp.Hello {
	hello := expect[*wamp.Hello](r)
	w := &wamp.Welcome{Session: 7, Details: wamp.WelcomeDetails{Roles: wamp.Roles{Broker: everything, Dealer: everything}}}
	for _, f := range change {
		f(w)
	}
	r.send(w)
	return hello
}

func (r *server) send(m wamp.Message) {
	r.t.Helper()
	body, err := codec.Append(nil, wamp.CBOR, m)
	if err != nil {
		r.t.Error(err)
	}
	r.sendFrame(transport.OpMessage, body)
}

func (r *server) sendFrame(op transport.Op, body []byte) {
	r.t.Helper()
	if _, err := r.conn.Write([][]byte{r.conn.Framing().AppendFrame(nil, op, body)}, patience); err != nil {
		r.t.Errorf("router: write: %v", err)
	}
}

func (r *server) read() (transport.Frame, error) {
	_ = r.conn.SetReadDeadline(time.Now().Add(patience))
	return r.conn.Read()
}

// receive returns the next message.
func (r *server) receive() wamp.Message {
	r.t.Helper()
	for {
		f, err := r.read()
		if err != nil {
			r.t.Errorf("router: read: %v", err)
			return nil
		}
		if f.Op != transport.OpMessage {
			continue
		}
		m, err := codec.NewDecoder().Decode(wamp.CBOR, append([]byte(nil), f.Body...))
		if err != nil {
			r.t.Errorf("router: %v", err)
		}
		return m
	}
}

// expect receives a message of type M.
func expect[M wamp.Message](r *server) M {
	r.t.Helper()
	m := r.receive()
	want, ok := m.(M)
	if !ok {
		r.t.Fatalf("router: want %T, got %T: %+v", want, m, m)
	}
	return want
}

// expectEnd reads until the client has closed the connection, and makes sure
// that no message comes before.
func (r *server) expectEnd() {
	r.t.Helper()
	for {
		f, err := r.read()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				r.t.Error("router: the client does not close the connection")
			}
			return
		}
		if f.Op == transport.OpMessage {
			r.t.Errorf("router: unexpected message %x", f.Body)
		}
	}
}

// quiet makes sure that the client has sent nothing: what it sends when told to
// comes next.
func (r *server) quiet(s *client.Session) {
	r.t.Helper()
	if _, err := s.Publish(within(r.t), "wamp.test.quiet", nil, nil, client.PublishOptions{}); err != nil {
		r.t.Fatal(err)
	}
	if m := expect[*wamp.Publish](r); m.Topic != "wamp.test.quiet" {
		r.t.Fatalf("router: unexpected PUBLISH to %s", m.Topic)
	}
}

// values makes a clear payload.
func values(args ...any) wamp.Payload {
	p, err := codec.EncodePayload(wamp.CBOR, args, nil)
	if err != nil {
		panic(err)
	}
	return p
}

// subscribe makes a subscription of id.
func (r *server) subscribe(s *client.Session, id wamp.ID, topic wamp.URI, h client.EventHandler, o client.SubscribeOptions) *client.Subscription {
	r.t.Helper()
	got := async(func() (*client.Subscription, error) { return s.Subscribe(within(r.t), topic, h, o) })
	r.send(&wamp.Subscribed{Request: expect[*wamp.Subscribe](r).Request, Subscription: id})
	return got.good(r.t)
}

// register makes a registration of id.
func (r *server) register(s *client.Session, id wamp.ID, procedure wamp.URI, h client.Handler, o client.RegisterOptions) *client.Registration {
	r.t.Helper()
	got := async(func() (*client.Registration, error) { return s.Register(within(r.t), procedure, h, o) })
	r.send(&wamp.Registered{Request: expect[*wamp.Register](r).Request, Registration: id})
	return got.good(r.t)
}

// outcome is what a function returns that runs meanwhile.
type outcome[T any] struct {
	done chan struct{}
	v    T
	err  error
}

func async[T any](f func() (T, error)) *outcome[T] {
	o := &outcome[T]{done: make(chan struct{})}
	go func() {
		defer close(o.done)
		o.v, o.err = f()
	}()
	return o
}

func (o *outcome[T]) wait(t testing.TB) (T, error) {
	t.Helper()
	select {
	case <-o.done:
	case <-time.After(patience):
		t.Fatal("it does not return")
	}
	return o.v, o.err
}

func (o *outcome[T]) good(t testing.TB) T {
	t.Helper()
	v, err := o.wait(t)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// bad waits for an error that is target.
func (o *outcome[T]) bad(t testing.TB, target error) error {
	t.Helper()
	_, err := o.wait(t)
	if !errors.Is(err, target) {
		t.Fatalf("want %v, got %v", target, err)
	}
	return err
}

// next takes what comes on a channel.
func next[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}
