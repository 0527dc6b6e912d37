package router

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/transporttest"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// client is a session at the other end of a pipe, which reads all it is sent.
type client struct {
	conn transport.Conn
	got  chan wamp.Message // but for what take takes; closed at the end
}

// joinRouter opens a session. take is asked first about each message.
func joinRouter(t *testing.T, r *Router, take func(wamp.Message) bool) *client {
	t.Helper()
	end, server := transport.Pipe(wamp.CBOR)
	go r.Accept(server)
	c := &client{conn: end, got: make(chan wamp.Message, 16)}
	everything := wamp.Role{Present: true, Features: ^wamp.Features(0)}
	c.send(t, &wamp.Hello{Realm: "realm1", Details: wamp.HelloDetails{Roles: wamp.Roles{Caller: everything, Callee: everything, Publisher: everything, Subscriber: everything}}})
	go func() {
		defer close(c.got)
		decoder := codec.NewDecoder()
		for {
			f, err := end.Read()
			if err != nil {
				return
			}
			if f.Op != transport.OpMessage {
				continue
			}
			m, err := decoder.Decode(wamp.CBOR, bytes.Clone(f.Body))
			if err != nil {
				t.Errorf("the router sent %q: %v", f.Body, err)
				return
			}
			if take == nil || !take(m) {
				c.got <- m
			}
		}
	}()
	if _, welcomed := (<-c.got).(*wamp.Welcome); !welcomed {
		t.Fatal("no WELCOME")
	}
	return c
}

func (c *client) send(t *testing.T, messages ...wamp.Message) {
	t.Helper()
	var all []byte
	for _, m := range messages {
		all = c.conn.Framing().AppendFrame(all, transport.OpMessage, frame(t, wamp.CBOR, m))
	}
	if _, err := c.conn.Write([][]byte{all}, 20*time.Second); err != nil {
		t.Errorf("the session ended: %v", err)
	}
}

// leave ends the session and waits for that.
func (c *client) leave() {
	_ = c.conn.Close()
	for range c.got {
	}
}

// A subscriber of the meta API that keeps reading gets every event, however many sessions
// change something at the same time.
func TestWatcherGetsEveryEvent(t *testing.T) {
	const sessions, each = 30, 1000
	r, err := New(Config{Realms: []RealmConfig{{Name: "realm1", Authenticators: []Authenticator{Anonymous("anonymous")}}},
		Limits: Limits{Message: 16 << 10, Queue: 64 << 10, MetaEvents: 16 << 10, PingEvery: -1, CloseTimeout: time.Millisecond, BackpressureTimeout: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	all := make(chan struct{})
	watcher := joinRouter(t, r, func(m wamp.Message) bool {
		if m.Type() != wamp.TypeEvent {
			return false
		}
		if events++; events == sessions*each*4 {
			close(all)
		}
		return true
	})
	watcher.send(t, &wamp.Subscribe{Request: 1, Topic: "wamp.subscription.", Options: wamp.SubscribeOptions{Match: "prefix"}})
	<-watcher.got
	var acting sync.WaitGroup
	for i := range sessions {
		acting.Go(func() {
			c := joinRouter(t, r, func(m wamp.Message) bool {
				return m.Type() == wamp.TypeSubscribed && m.(*wamp.Subscribed).Request < each
			})
			var batch []wamp.Message
			for j := range each {
				batch = append(batch, &wamp.Subscribe{Request: wamp.ID(j + 1), Topic: wamp.URI(fmt.Sprintf("com.s%d.t%d", i, j))})
			}
			c.send(t, batch...)
			<-c.got
			c.leave()
		})
	}
	select {
	case <-all: // created, subscribed, unsubscribed, deleted
	case m := <-watcher.got:
		t.Errorf("the watcher got %+v instead of all events", m)
	case <-time.After(30 * time.Second):
		t.Error("the watcher did not get all events")
	}
	acting.Wait()
	watcher.leave()
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
}

// waits counts how often sessions waited for a limit.
type waits struct {
	limit wamp.Limit
	n     atomic.Int64
}

func (w *waits) Observe(o *Observation) {
	if o.Kind == Slowed && o.Refusal.Limit == w.limit {
		w.n.Add(1)
	}
}

// What waits to be published is bounded: who changes more waits, and nothing is lost.
func TestMetaEventsAreBounded(t *testing.T) {
	const limit, changes = 8 << 10, 200
	waited := &waits{limit: wamp.LimitMetaEvents}
	r, err := New(Config{Realms: []RealmConfig{{Name: "realm1"}}, Observers: []Observer{waited}, Limits: Limits{MetaEvents: limit}})
	if err != nil {
		t.Fatal(err)
	}
	watcher := attach(r, wamp.CBOR, transport.FramingRaw)
	told := transporttest.NewSlowConn(func() int { return 1 << 20 })
	watcher.out.Conn = struct {
		*transporttest.SlowConn
		framed
	}{told, framed{}}
	say(watcher, frame(t, wamp.CBOR, &wamp.Subscribe{Request: 1, Topic: "wamp.subscription.on_subscribe"}))
	events := r.order[0].meta.events
	events.mu.Lock()
	events.publishing = true // or so it seems: nobody publishes yet
	events.mu.Unlock()
	changing := attach(r, wamp.CBOR, transport.FramingRaw)
	var done atomic.Int64
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for i := range changes {
			say(changing, frame(t, wamp.CBOR, &wamp.Subscribe{Request: 1, Topic: wamp.URI(fmt.Sprintf("com.t%d", i))}))
			done.Add(1)
		}
	}()
	for waiting := false; !waiting; {
		select {
		case <-finished:
			t.Fatal("nothing bounds what waits")
		default:
			events.mu.Lock()
			waiting = events.room != nil
			events.mu.Unlock()
		}
	}
	if n := events.pending.Load(); n <= limit || n > limit+1024 || done.Load() >= changes || waited.n.Load() != 1 {
		t.Errorf("%d bytes wait after %d changes, and it was told %d times", n, done.Load(), waited.n.Load())
	}
	events.run(r)
	<-finished
	events.close()
	if got := countFrames(told.Bytes()); got != 1+changes || events.pending.Load() != 0 || !events.check() {
		t.Errorf("the watcher got %d frames; %d bytes are left", got, events.pending.Load())
	}
}

// countFrames counts the RawSocket frames in what was written.
func countFrames(b []byte) (n int) {
	for ; len(b) >= 4; n++ {
		b = b[4+(int(b[1])<<16|int(b[2])<<8|int(b[3])):]
	}
	return n
}
