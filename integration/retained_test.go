package integration

import (
	"fmt"
	"testing"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func withRetained(l router.RetainedLimits) option {
	return withRealm(func(c *router.RealmConfig) { c.Retained = &l })
}

// retain publishes an event that is to be retained.
func (p *peer) retain(topic wamp.URI, form wamp.Form, data string, change ...func(*wamp.PublishOptions)) {
	p.t.Helper()
	a, payload := p.payload(form, data)
	m := &wamp.Publish{Request: p.next(), Topic: topic, Payload: payload,
		Options: wamp.PublishOptions{Acknowledge: wamp.True, Retain: wamp.True, Attributes: a}}
	for _, f := range change {
		f(&m.Options)
	}
	p.send(m)
	expect[*wamp.Published](p)
}

// getRetained subscribes and asks for retained events.
func (p *peer) getRetained(topic wamp.URI, match string) wamp.ID {
	p.t.Helper()
	p.send(&wamp.Subscribe{Request: p.next(), Topic: topic, Options: wamp.SubscribeOptions{Match: match, GetRetained: wamp.True}})
	return expect[*wamp.Subscribed](p).Subscription
}

// Alice's last word stays for those who come later and ask for it, by topic and
// by pattern, as it was sealed (WAMP, "Event Retention").
func TestRetained(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t, withRetained(router.RetainedLimits{}))
		alice := w.join("alice", "rawsocket", s)
		if broker, _ := alice.announced(wamp.EventRetention); !broker {
			t.Error("not announced")
		}
		alice.retain("com.example.weather", form, "rain")
		alice.retain("com.example.weather", form, "sun")
		a, p := alice.payload(form, "not for long")
		alice.publish("com.example.weather", a, p)
		expect[*wamp.Published](alice)

		bob := w.join("bob", "websocket", s)
		id := bob.getRetained("com.example.weather", "")
		e := expect[*wamp.Event](bob)
		if e.Subscription != id || !e.Details.Retained {
			t.Errorf("%+v", e)
		}
		bob.carries(e, form, "sun")
		for pattern, match := range map[wamp.URI]string{"com.example.": "prefix", "com..weather": "wildcard"} {
			id := bob.getRetained(pattern, match)
			e := expect[*wamp.Event](bob)
			if e.Subscription != id || !e.Details.Retained || e.Details.Topic != "com.example.weather" {
				t.Errorf("%s: %+v", match, e)
			}
			bob.carries(e, form, "sun")
		}
		carol := w.join("carol", "unix", s)
		carol.subscribe("com.example.weather", wamp.MatchExact) // does not ask
		carol.expectNothing()
		bob.expectNothing()
		alice.getRetained("com.example.weather", "") // exclude_me, as it was then
		alice.expectNothing()
	})
}

// An opaque event retained from a MessagePack session does not reach JSON, and
// the new subscriber gets nothing else either.
func TestRetainedConversion(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t, withRetained(router.RetainedLimits{}))
		alice := w.join("alice", "rawsocket", wamp.MsgPack)
		alice.retain(topic, form, "sealed")
		bob := w.join("bob", "websocket", wamp.JSON)
		bob.getRetained(topic, "")
		bob.expectNothing()
		w.wantMetric(`blindfold_dropped_total{realm="realm1",reason="conversion"} 1`)
	})
}

// Who would not have got an event when it was published does not get it later,
// but the last one before that he would have got.
func TestRetainedForSome(t *testing.T) {
	w := newWorld(t, withRoles(t), withRetained(router.RetainedLimits{}))
	alice := w.join("alice", "rawsocket", wamp.CBOR)
	alice.retain(topic, wamp.FormNone, "for all")
	alice.retain(topic, wamp.FormNone, "for staff", func(o *wamp.PublishOptions) { o.EligibleAuthRole = []string{"staff"} })
	for name, want := range map[string]string{"staff": "for staff", "anonymous": "for all"} {
		p := w.join(name, "websocket", wamp.CBOR, as(name, name))
		p.getRetained(topic, "")
		p.carries(expect[*wamp.Event](p), wamp.FormNone, want)
	}
}

// The number of topics and bytes is bounded: what is over it is delivered, and
// not retained. What it would have replaced goes: nobody gets that as the last.
func TestRetainedLimits(t *testing.T) {
	w := newWorld(t, withRetained(router.RetainedLimits{Topics: 3, Bytes: 4000}))
	alice, bob := w.join("alice", "rawsocket", wamp.CBOR), w.join("bob", "websocket", wamp.CBOR)
	for i := range 5 {
		alice.retain(wamp.URI(fmt.Sprintf("com.example.t%d", i)), wamp.FormNone, "small")
	}
	alice.retain("com.example.t0", wamp.FormNone, string(make([]byte, 5000)))
	bob.getRetained("com.example.", "prefix")
	for range 2 {
		e := expect[*wamp.Event](bob)
		if e.Details.Topic == "com.example.t0" {
			t.Error("an event that is not the last")
		}
		bob.carries(e, wamp.FormNone, "small")
	}
	bob.expectNothing()
	alice.retain("com.example.t3", wamp.FormNone, "small") // there is room again
	carol := w.join("carol", "unix", wamp.CBOR)
	carol.getRetained("com.example.t3", "")
	carol.carries(expect[*wamp.Event](carol), wamp.FormNone, "small")
	w.wantMetric(`blindfold_limits_total{limit="retained"} 3`)
}

// Nothing is retained unless configured.
func TestRetainedNotConfigured(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.join("alice", "rawsocket", wamp.CBOR), w.join("bob", "websocket", wamp.CBOR)
	if broker, _ := alice.announced(wamp.EventRetention); broker {
		t.Error("announced")
	}
	alice.retain(topic, wamp.FormNone, "gone")
	bob.getRetained(topic, "")
	bob.expectNothing()
}
