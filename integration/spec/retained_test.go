package spec

import (
	"fmt"
	"sync"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/router/eventstore"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func withRetained(l router.RetainedLimits) routertest.Option {
	return routertest.WithRealm(func(c *router.RealmConfig) { c.Retained = &l })
}

// retain publishes an event that is to be retained.
func retain(p *routertest.Peer, topic wamp.URI, form wamp.Form, data string, change ...func(*wamp.PublishOptions)) {
	p.T.Helper()
	a, payload := p.Payload(form, data)
	m := &wamp.Publish{Request: p.NextID(), Topic: topic, Payload: payload,
		Options: wamp.PublishOptions{Acknowledge: wamp.True, Retain: wamp.True, Attributes: a}}
	for _, f := range change {
		f(&m.Options)
	}
	p.Send(m)
	routertest.Expect[*wamp.Published](p)
}

// getRetained subscribes and asks for retained events.
func getRetained(p *routertest.Peer, topic wamp.URI, match string) wamp.ID {
	p.T.Helper()
	p.Send(&wamp.Subscribe{Request: p.NextID(), Topic: topic, Options: wamp.SubscribeOptions{Match: match, GetRetained: wamp.True}})
	return routertest.Expect[*wamp.Subscribed](p).Subscription
}

// Alice's last word stays for those who come later and ask for it, by topic and
// by pattern, as it was sealed (WAMP, "Event Retention").
func TestRetained(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t, withRetained(router.RetainedLimits{}))
		alice := w.Join("alice", "rawsocket", s)
		if broker, _ := alice.Announced(wamp.EventRetention); !broker {
			t.Error("not announced")
		}
		retain(alice, "com.example.weather", form, "rain")
		retain(alice, "com.example.weather", form, "sun")
		a, p := alice.Payload(form, "not for long")
		alice.Publish("com.example.weather", a, p)
		routertest.Expect[*wamp.Published](alice)

		bob := w.Join("bob", "websocket", s)
		id := getRetained(bob, "com.example.weather", "")
		e := routertest.Expect[*wamp.Event](bob)
		if e.Subscription != id || !e.Details.Retained {
			t.Errorf("%+v", e)
		}
		bob.WantPayload(e, form, "sun")
		for pattern, match := range map[wamp.URI]string{"com.example.": "prefix", "com..weather": "wildcard"} {
			id := getRetained(bob, pattern, match)
			e := routertest.Expect[*wamp.Event](bob)
			if e.Subscription != id || !e.Details.Retained || e.Details.Topic != "com.example.weather" {
				t.Errorf("%s: %+v", match, e)
			}
			bob.WantPayload(e, form, "sun")
		}
		carol := w.Join("carol", "unix", s)
		carol.Subscribe("com.example.weather", wamp.MatchExact) // does not ask
		carol.ExpectNothing()
		bob.ExpectNothing()
		getRetained(alice, "com.example.weather", "") // exclude_me, as it was then
		alice.ExpectNothing()
	})
}

// An opaque event retained from a MessagePack session does not reach JSON, and
// the new subscriber gets nothing else either.
func TestRetainedConversion(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := routertest.NewWorld(t, withRetained(router.RetainedLimits{}))
		alice := w.Join("alice", "rawsocket", wamp.MsgPack)
		retain(alice, routertest.Topic, form, "sealed")
		bob := w.Join("bob", "websocket", wamp.JSON)
		getRetained(bob, routertest.Topic, "")
		bob.ExpectNothing()
		w.WantMetric(`blindfold_dropped_total{realm="realm1",reason="conversion"} 1`)
	})
}

// Who would not have got an event when it was published does not get it later,
// but the last one before that he would have got.
func TestRetainedReceivers(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRoles(t), withRetained(router.RetainedLimits{}))
	alice := w.Join("alice", "rawsocket", wamp.CBOR)
	retain(alice, routertest.Topic, wamp.FormNone, "for all")
	retain(alice, routertest.Topic, wamp.FormNone, "for staff", func(o *wamp.PublishOptions) { o.EligibleAuthRole = []string{"staff"} })
	for name, want := range map[string]string{"staff": "for staff", "anonymous": "for all"} {
		p := w.Join(name, "websocket", wamp.CBOR, routertest.As(name, name))
		getRetained(p, routertest.Topic, "")
		p.WantPayload(routertest.Expect[*wamp.Event](p), wamp.FormNone, want)
	}
}

// The number of topics and bytes is bounded: what is over it is delivered, and
// not retained. What it would have replaced goes: nobody gets that as the last.
func TestRetainedLimits(t *testing.T) {
	w := routertest.NewWorld(t, withRetained(router.RetainedLimits{Topics: 3, Bytes: 4000}))
	alice, bob := w.Join("alice", "rawsocket", wamp.CBOR), w.Join("bob", "websocket", wamp.CBOR)
	for i := range 5 {
		retain(alice, wamp.URI(fmt.Sprintf("com.example.t%d", i)), wamp.FormNone, "small")
	}
	retain(alice, "com.example.t0", wamp.FormNone, string(make([]byte, 5000)))
	getRetained(bob, "com.example.", "prefix")
	for range 2 {
		e := routertest.Expect[*wamp.Event](bob)
		if e.Details.Topic == "com.example.t0" {
			t.Error("an event that is not the last")
		}
		bob.WantPayload(e, wamp.FormNone, "small")
	}
	bob.ExpectNothing()
	retain(alice, "com.example.t3", wamp.FormNone, "small") // there is room again
	carol := w.Join("carol", "unix", wamp.CBOR)
	getRetained(carol, "com.example.t3", "")
	carol.WantPayload(routertest.Expect[*wamp.Event](carol), wamp.FormNone, "small")
	w.WantMetric(`blindfold_limits_total{limit="retained"} 3`)
}

// Nothing is retained unless configured.
func TestRetainedNotConfigured(t *testing.T) {
	w := routertest.NewWorld(t)
	alice, bob := w.Join("alice", "rawsocket", wamp.CBOR), w.Join("bob", "websocket", wamp.CBOR)
	if broker, _ := alice.Announced(wamp.EventRetention); broker {
		t.Error("announced")
	}
	retain(alice, routertest.Topic, wamp.FormNone, "gone")
	getRetained(bob, routertest.Topic, "")
	bob.ExpectNothing()
}

// For a pattern, retained events come in the order in which they were retained, so that
// the newest is the last.
func TestRetainedOrder(t *testing.T) {
	w := routertest.NewWorld(t, withRetained(router.RetainedLimits{}))
	alice := w.Join("alice", "rawsocket", wamp.CBOR)
	const n = 30
	for i := range n {
		retain(alice, wamp.URI(fmt.Sprintf("com.example.t%d", i)), wamp.FormNone, "old")
	}
	for i := range n { // in another order
		retain(alice, wamp.URI(fmt.Sprintf("com.example.t%d", (7*i)%n)), wamp.FormNone, fmt.Sprint(i))
	}
	for pattern, match := range map[wamp.URI]string{"com.example.": "prefix", "com.example": "prefix", "com..": "wildcard"} {
		bob := w.Join("bob", "websocket", wamp.CBOR)
		getRetained(bob, pattern, match)
		for i := range n {
			bob.WantPayload(routertest.Expect[*wamp.Event](bob), wamp.FormNone, fmt.Sprint(i))
		}
	}
}

// An event comes once, as a retained one or as it is published, however closely the
// subscription and the publication meet.
func TestRetainedComesOnce(t *testing.T) {
	held := &heldLog{appending: make(chan struct{}), resume: make(chan struct{})}
	w := routertest.NewWorld(t, withRetained(router.RetainedLimits{}), routertest.WithRealm(func(c *router.RealmConfig) {
		c.History, c.HistoryStore = []router.HistoryRule{{URI: routertest.Topic}}, held
	}))
	alice, bob := w.Join("alice", "rawsocket", wamp.CBOR), w.Join("bob", "rawsocket", wamp.CBOR)
	a, p := alice.Payload(wamp.FormNone, "news")
	alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: routertest.Topic, Payload: p,
		Options: wamp.PublishOptions{Acknowledge: wamp.True, Retain: wamp.True, Attributes: a}})
	routertest.Receive(t, held.appending) // it is retained, and about to be delivered
	getRetained(bob, routertest.Topic, "")
	e := routertest.Expect[*wamp.Event](bob)
	if bob.WantPayload(e, wamp.FormNone, "news"); !e.Details.Retained {
		t.Errorf("%+v", e)
	}
	close(held.resume)
	routertest.Expect[*wamp.Published](alice)
	bob.ExpectNothing()

	retain(alice, routertest.Topic, wamp.FormNone, "more")
	e = routertest.Expect[*wamp.Event](bob)
	if bob.WantPayload(e, wamp.FormNone, "more"); e.Details.Retained {
		t.Errorf("%+v", e)
	}
}

// heldLog is a store of which the first append waits.
type heldLog struct {
	eventstore.Log
	appending, resume chan struct{}
	first             sync.Once
}

func (l *heldLog) Open([]eventstore.Rule) ([]eventstore.Log, error) { return []eventstore.Log{l}, nil }

func (l *heldLog) Append(*eventstore.Event) {
	l.first.Do(func() { l.appending <- struct{}{} })
	<-l.resume
}

func (l *heldLog) Check() error { return nil }

func (l *heldLog) Close() error { return nil }
