package malicious

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/scope"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const (
	realm                = wamp.URI("realm1")
	prefix               = wamp.URI("com.app.")
	topicA, topicB       = wamp.URI("com.app.a"), wamp.URI("com.app.b")
	upper, lower, report = wamp.URI("com.app.upper"), wamp.URI("com.app.lower"), wamp.URI("com.app.report")
	refuse               = wamp.URI("com.app.refuse")
)

// clock is a clock that tests move.
type clock struct {
	mu    sync.Mutex
	shift time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.shift)
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shift += d
}

// member is a member with its session.
type member struct {
	id      *scope.Identity
	scope   *scope.Scope
	session *client.Session
	clock   *clock
	events  chan *client.Event
	errs    chan error
}

// world is an owner, alice, with bob and carol, and a router that nobody should trust.
type world struct {
	t       testing.TB
	r       *router
	owner   *scope.Owner
	alice   *member
	bob     *member
	carol   *member
	bundles [][]byte
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, r: newRouter(t)}
	ids := make(map[string]*scope.Identity)
	for _, name := range []string{"alice", "bob", "carol"} {
		id, err := scope.NewIdentity(name, false)
		routertest.NoError(t, err)
		ids[name] = id
	}
	w.owner = scope.NewOwner(ids["alice"], realm, prefix)
	routertest.NoError(t, w.owner.Add("bob", &ids["bob"].Public, scope.AllRights))
	routertest.NoError(t, w.owner.Add("carol", &ids["carol"].Public, scope.AllRights))
	w.alice, w.bob, w.carol = w.member(ids["alice"], ids["alice"]), w.member(ids["bob"], ids["alice"]), w.member(ids["carol"], ids["alice"])
	w.rotate(w.bob, w.carol)
	w.join()
	return w
}

func (w *world) member(id, owner *scope.Identity) *member {
	m := &member{id: id, clock: new(clock), events: make(chan *client.Event, 1000), errs: make(chan error, 1000)}
	// A receiver refuses what was sealed before its start, to the millisecond.
	m.clock.shift = -time.Second
	s, err := scope.New(id, owner.Key, realm, prefix, scope.Options{Now: m.clock.now})
	routertest.NoError(w.t, err)
	m.clock.move(time.Second)
	m.scope = s
	return m
}

// rotate makes an epoch, and gives it to some.
func (w *world) rotate(to ...*member) {
	w.t.Helper()
	routertest.NoError(w.t, w.owner.Rotate(w.alice.scope, func(b []byte) error {
		w.bundles = append(w.bundles, b)
		return nil
	}))
	for _, m := range to {
		_, err := m.scope.Accept(w.bundles[len(w.bundles)-1])
		routertest.NoError(w.t, err)
	}
}

func (w *world) join() {
	for name, m := range map[string]*member{"alice": w.alice, "bob": w.bob, "carol": w.carol} {
		sealer, err := scope.NewSealer(realm, m.scope)
		routertest.NoError(w.t, err)
		m.session = w.r.join(name, client.Config{Realm: realm, Sealer: sealer, OnError: func(err error) { m.errs <- err }})
	}
	for _, topic := range []wamp.URI{topicA, topicB} {
		for _, m := range []*member{w.bob, w.alice} {
			_, err := m.session.Subscribe(within(w.t), topic, func(_ context.Context, e *client.Event) { m.events <- e }, client.SubscribeOptions{})
			routertest.NoError(w.t, err)
		}
	}
	w.serve(w.bob, upper, func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		return &client.Result{Args: []any{strings.ToUpper(inv.Args[0].(string))}}, nil
	})
	w.serve(w.bob, lower, func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		return &client.Result{Args: []any{strings.ToLower(inv.Args[0].(string))}}, nil
	})
	w.serve(w.bob, report, func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		for i := range 3 {
			if err := inv.Progress([]any{fmt.Sprint(inv.Args[0], " ", i)}, nil); err != nil {
				return nil, err
			}
		}
		return &client.Result{Args: []any{fmt.Sprint(inv.Args[0], " end")}}, nil
	})
	w.serve(w.bob, refuse, func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		return nil, &client.Error{URI: "com.app.error.no", Args: inv.Args}
	})
}

func (w *world) serve(m *member, procedure wamp.URI, h client.Handler) {
	_, err := m.session.Register(within(w.t), procedure, h, client.RegisterOptions{})
	routertest.NoError(w.t, err)
}

func (w *world) publish(m *member, topic wamp.URI, text string) {
	w.t.Helper()
	_, err := m.session.Publish(within(w.t), topic, []any{text}, nil, client.PublishOptions{})
	routertest.NoError(w.t, err)
}

// wantEvent makes sure that the next event has that text.
func (w *world) wantEvent(m *member, text string) *client.Event {
	w.t.Helper()
	e := routertest.Receive(w.t, m.events)
	if len(e.Args) != 1 || e.Args[0] != text || e.Origin == nil || !e.Sealed {
		w.t.Fatalf("event %+v, not %q", e, text)
	}
	return e
}

// wantError makes sure that the next error reported is that.
func (w *world) wantError(m *member, want error) {
	w.t.Helper()
	if err := routertest.Receive(w.t, m.errs); !errors.Is(err, want) {
		w.t.Fatalf("error %v, not %v", err, want)
	}
}

// nothingMore makes sure that m has got no event and no error beyond.
func (w *world) nothingMore(m *member) {
	w.t.Helper()
	select {
	case e := <-m.events:
		w.t.Errorf("an event: %+v", e)
	case err := <-m.errs:
		w.t.Errorf("an error: %v", err)
	default:
	}
}

// call calls and returns the text of the result.
func (w *world) call(procedure wamp.URI, text string) (string, error) {
	w.t.Helper()
	r, err := w.alice.session.Call(within(w.t), procedure, []any{text}, nil, client.CallOptions{})
	if err != nil {
		return "", err
	}
	if !r.Sealed || r.Origin == nil || r.Origin.Sender != "bob" {
		w.t.Fatalf("result %+v", r)
	}
	return r.Args[0].(string), nil
}
