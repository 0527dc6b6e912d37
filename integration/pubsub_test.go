package integration

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Bob learns who publishes if Alice says so (WAMP, "Publisher Identification").
func TestPublisherIdentification(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t, withRoles(t))
		alice, bob := w.join("alice", "websocket", s, as("alice", "staff")), w.join("bob", "rawsocket", s)
		bob.subscribe(topic, wamp.MatchExact)
		for _, disclose := range []wamp.Flag{wamp.Unset, wamp.True} {
			alice.say(topic, form, "hello", func(o *wamp.PublishOptions) { o.DiscloseMe = disclose })
			e := expect[*wamp.Event](bob)
			bob.carries(e, form, "hello")
			var id wamp.ID
			var authID, role string
			if disclose == wamp.True {
				id, authID, role = alice.id, "alice", "staff"
			}
			if e.Details.Publisher != id || e.Details.PublisherAuthID != authID || e.Details.PublisherAuthRole != role {
				t.Errorf("%+v", e)
			}
		}
	})
}

// Alice does not hear herself, unless she wants to (WAMP, "Publisher Exclusion").
func TestPublisherExclusion(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice, bob := w.join("alice", "websocket", s), w.join("bob", "rawsocket", s)
		alice.subscribe(topic, wamp.MatchExact)
		bob.subscribe(topic, wamp.MatchExact)
		for _, exclude := range []wamp.Flag{wamp.Unset, wamp.True} {
			alice.say(topic, form, "you", func(o *wamp.PublishOptions) { o.ExcludeMe = exclude })
			bob.carries(expect[*wamp.Event](bob), form, "you")
			alice.expectNothing()
		}
		a, payload := alice.payload(form, "us")
		alice.send(&wamp.Publish{Request: alice.next(), Topic: topic, Payload: payload,
			Options: wamp.PublishOptions{ExcludeMe: wamp.False, Attributes: a}})
		alice.carries(expect[*wamp.Event](alice), form, "us")
		bob.carries(expect[*wamp.Event](bob), form, "us")
	})
}

// Alice chooses who hears her (WAMP, "Subscriber Black- and Whitelisting").
func TestSubscriberBlackwhiteListing(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t, withRoles(t))
		alice := w.join("alice", "websocket", s)
		ann, ben, eve := w.join("ann", "rawsocket", s, as("ann", "staff")), w.join("ben", "unix", s, as("ben", "staff")), w.join("eve", "websocket", s, as("eve", "anonymous"))
		everybody := []*peer{ann, ben, eve}
		for _, p := range everybody {
			p.subscribe(topic, wamp.MatchExact)
		}
		for _, c := range []struct {
			o    wamp.PublishOptions
			want string
		}{
			{wamp.PublishOptions{}, "ann ben eve"},
			{wamp.PublishOptions{Exclude: []wamp.ID{ann.id}}, "ben eve"},
			{wamp.PublishOptions{Eligible: []wamp.ID{ann.id, eve.id}}, "ann eve"},
			{wamp.PublishOptions{Eligible: []wamp.ID{}}, ""},
			{wamp.PublishOptions{ExcludeAuthID: []string{"ann", "ben"}}, "eve"},
			{wamp.PublishOptions{EligibleAuthID: []string{"ben"}}, "ben"},
			{wamp.PublishOptions{ExcludeAuthRole: []string{"staff"}}, "eve"},
			{wamp.PublishOptions{EligibleAuthRole: []string{"staff"}}, "ann ben"},
			{wamp.PublishOptions{EligibleAuthRole: []string{"staff"}, ExcludeAuthID: []string{"ann"}}, "ben"},
			{wamp.PublishOptions{Eligible: []wamp.ID{ann.id, ben.id, eve.id}, Exclude: []wamp.ID{ann.id}}, "ben eve"},
			{wamp.PublishOptions{EligibleAuthID: []string{"ann", "eve"}, EligibleAuthRole: []string{"staff"}}, "ann"},
		} {
			alice.say(topic, form, c.want, func(o *wamp.PublishOptions) {
				a := o.Attributes
				*o = c.o
				o.Attributes, o.Acknowledge = a, wamp.True
			})
			got := ""
			for _, p := range everybody {
				p.send(&wamp.Unsubscribe{Request: p.next(), Subscription: 1})
				m := p.receive()
				if e, ok := m.(*wamp.Event); ok {
					p.carries(e, form, c.want)
					m = p.receive()
					if got != "" {
						got += " "
					}
					got += p.name
				}
				if _, ok := m.(*wamp.Error); !ok {
					t.Fatalf("%s: %v", p.name, m.Type())
				}
			}
			if got != c.want {
				t.Errorf("%+v: %q heard it, not %q", c.o, got, c.want)
			}
		}
	})
}

// The examples of WAMP, "Pattern-based Subscriptions".
func TestPatternBasedSubscription(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice, bob := w.join("alice", "websocket", s), w.join("bob", "rawsocket", s)
		prefix := bob.subscribe("com.myapp.topic.emergency", wamp.MatchPrefix)
		wildcard := bob.subscribe("com.myapp..userevent", wamp.MatchWildcard)
		exact := bob.subscribe("com.myapp.topic.emergency", wamp.MatchExact)
		for uri, want := range map[wamp.URI][]wamp.ID{
			"com.myapp.topic.emergency":                 {exact, prefix},
			"com.myapp.topic.emergency.11":              {prefix},
			"com.myapp.topic.emergency-low":             {prefix},
			"com.myapp.topic.emergency.category.severe": {prefix},
			"com.myapp.topic.emerge":                    nil,
			"com.myapp.foo.userevent":                   {wildcard},
			"com.myapp.bar.userevent":                   {wildcard},
			"com.myapp.foo.userevent.bar":               nil,
			"com.myapp.foo.user":                        nil,
			"com.myapp2.foo.userevent":                  nil,
		} {
			publication := alice.say(uri, form, string(uri))
			for _, id := range want {
				e := expect[*wamp.Event](bob)
				bob.carries(e, form, string(uri))
				// One publication, however many subscriptions; and its topic, where
				// the subscription does not say it.
				if e.Subscription != id || e.Publication != publication || (e.Details.Topic == uri) != (id != exact) {
					t.Errorf("%s: %+v", uri, e)
				}
			}
		}
		bob.expectNothing()
	})
}

// How far publishers and callers can be trusted is the router's to say, by their
// role (WAMP, "Publication Trust Levels", "Call Trust Levels").
func TestTrustLevels(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t, withRoles(t), withRealm(func(c *router.RealmConfig) { c.TrustLevels = map[string]uint64{"staff": 0, "admin": 5} }))
		bob := w.join("bob", "rawsocket", s)
		if broker, _ := bob.announced(wamp.PublicationTrustlevels); !broker {
			t.Error("publication_trustlevels is not announced")
		}
		if _, dealer := bob.announced(wamp.CallTrustlevels); !dealer {
			t.Error("call_trustlevels is not announced")
		}
		bob.subscribe(topic, wamp.MatchExact)
		bob.register(procedure, wamp.RegisterOptions{})
		for role, want := range map[string]wamp.Trust{"anonymous": 0, "staff": wamp.TrustLevel(0), "admin": wamp.TrustLevel(5)} {
			p := w.join(role, "websocket", s, as(role, role))
			p.say(topic, form, "trust me")
			e := expect[*wamp.Event](bob)
			bob.carries(e, form, "trust me")
			p.callWith(procedure, form, "trust me", wamp.CallOptions{})
			i := expect[*wamp.Invocation](bob)
			if e.Details.TrustLevel != want || i.Details.TrustLevel != want {
				t.Errorf("%s: %v, %v", role, e.Details.TrustLevel, i.Details.TrustLevel)
			}
		}
	})
}

// Without levels none are announced.
func TestTrustLevelsNotConfigured(t *testing.T) {
	w := newWorld(t)
	alice := w.join("alice", "rawsocket", wamp.CBOR)
	for _, f := range []wamp.Feature{wamp.PublicationTrustlevels, wamp.CallTrustlevels} {
		if broker, dealer := alice.announced(f); broker || dealer {
			t.Errorf("%s is announced", f)
		}
	}
}
