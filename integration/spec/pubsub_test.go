package spec

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Bob learns who publishes if Alice says so (WAMP, "Publisher Identification").
func TestPublisherIdentification(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t, routertest.WithRoles(t))
		alice, bob := w.Join("alice", "websocket", s, routertest.As("alice", "staff")), w.Join("bob", "rawsocket", s)
		bob.Subscribe(routertest.Topic, wamp.MatchExact)
		for _, disclose := range []wamp.Flag{wamp.Unset, wamp.True} {
			say(alice, routertest.Topic, form, "hello", func(o *wamp.PublishOptions) { o.DiscloseMe = disclose })
			e := routertest.Expect[*wamp.Event](bob)
			bob.WantPayload(e, form, "hello")
			var id wamp.ID
			var authID, role string
			if disclose == wamp.True {
				id, authID, role = alice.ID, "alice", "staff"
			}
			if e.Details.Publisher != id || e.Details.PublisherAuthID != authID || e.Details.PublisherAuthRole != role {
				t.Errorf("%+v", e)
			}
		}
	})
}

// Alice does not hear herself, unless she wants to (WAMP, "Publisher Exclusion").
func TestPublisherExclusion(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s)
		alice.Subscribe(routertest.Topic, wamp.MatchExact)
		bob.Subscribe(routertest.Topic, wamp.MatchExact)
		for _, exclude := range []wamp.Flag{wamp.Unset, wamp.True} {
			say(alice, routertest.Topic, form, "you", func(o *wamp.PublishOptions) { o.ExcludeMe = exclude })
			bob.WantPayload(routertest.Expect[*wamp.Event](bob), form, "you")
			alice.ExpectNothing()
		}
		a, payload := alice.Payload(form, "us")
		alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: routertest.Topic, Payload: payload,
			Options: wamp.PublishOptions{ExcludeMe: wamp.False, Attributes: a}})
		alice.WantPayload(routertest.Expect[*wamp.Event](alice), form, "us")
		bob.WantPayload(routertest.Expect[*wamp.Event](bob), form, "us")
	})
}

// Alice chooses who hears her (WAMP, "Subscriber Black- and Whitelisting").
func TestSubscriberBlackwhiteListing(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t, routertest.WithRoles(t))
		alice := w.Join("alice", "websocket", s)
		ann, ben, eve := w.Join("ann", "rawsocket", s, routertest.As("ann", "staff")), w.Join("ben", "unix", s, routertest.As("ben", "staff")), w.Join("eve", "websocket", s, routertest.As("eve", "anonymous"))
		everybody := []*routertest.Peer{ann, ben, eve}
		const fence wamp.URI = "com.example.fence"
		heard := make(map[*routertest.Peer]wamp.ID) // the subscription of each
		for _, p := range everybody {
			heard[p] = p.Subscribe(routertest.Topic, wamp.MatchExact)
			p.Subscribe(fence, wamp.MatchExact)
		}
		for _, c := range []struct {
			o    wamp.PublishOptions
			want string
		}{
			{wamp.PublishOptions{}, "ann ben eve"},
			{wamp.PublishOptions{Exclude: []wamp.ID{ann.ID}}, "ben eve"},
			{wamp.PublishOptions{Eligible: []wamp.ID{ann.ID, eve.ID}}, "ann eve"},
			{wamp.PublishOptions{Eligible: []wamp.ID{}}, ""},
			{wamp.PublishOptions{ExcludeAuthID: []string{"ann", "ben"}}, "eve"},
			{wamp.PublishOptions{EligibleAuthID: []string{"ben"}}, "ben"},
			{wamp.PublishOptions{ExcludeAuthRole: []string{"staff"}}, "eve"},
			{wamp.PublishOptions{EligibleAuthRole: []string{"staff"}}, "ann ben"},
			{wamp.PublishOptions{EligibleAuthRole: []string{"staff"}, ExcludeAuthID: []string{"ann"}}, "ben"},
			{wamp.PublishOptions{Eligible: []wamp.ID{ann.ID, ben.ID, eve.ID}, Exclude: []wamp.ID{ann.ID}}, "ben eve"},
			{wamp.PublishOptions{EligibleAuthID: []string{"ann", "eve"}, EligibleAuthRole: []string{"staff"}}, "ann"},
		} {
			say(alice, routertest.Topic, form, c.want, func(o *wamp.PublishOptions) {
				a := o.Attributes
				*o = c.o
				o.Attributes, o.Acknowledge = a, wamp.True
			})
			a, payload := alice.Payload(form, "fence") // comes after it, to all
			alice.Publish(fence, a, payload)
			routertest.Expect[*wamp.Published](alice)
			got := ""
			for _, p := range everybody {
				e := routertest.Expect[*wamp.Event](p)
				if e.Subscription == heard[p] {
					p.WantPayload(e, form, c.want)
					e = routertest.Expect[*wamp.Event](p)
					if got != "" {
						got += " "
					}
					got += p.Name
				}
				p.WantPayload(e, form, "fence")
			}
			if got != c.want {
				t.Errorf("%+v: %q heard it, not %q", c.o, got, c.want)
			}
		}
	})
}

// The examples of WAMP, "Pattern-based Subscriptions".
func TestPatternBasedSubscription(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s)
		prefix := bob.Subscribe("com.myapp.topic.emergency", wamp.MatchPrefix)
		wildcard := bob.Subscribe("com.myapp..userevent", wamp.MatchWildcard)
		exact := bob.Subscribe("com.myapp.topic.emergency", wamp.MatchExact)
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
			publication := say(alice, uri, form, string(uri))
			for _, id := range want {
				e := routertest.Expect[*wamp.Event](bob)
				bob.WantPayload(e, form, string(uri))
				// One publication, however many subscriptions; and its topic, where
				// the subscription does not say it.
				if e.Subscription != id || e.Publication != publication || (e.Details.Topic == uri) != (id != exact) {
					t.Errorf("%s: %+v", uri, e)
				}
			}
		}
		bob.ExpectNothing()
	})
}

// How far publishers and callers can be trusted is the router's to say, by their
// role (WAMP, "Publication Trust Levels", "Call Trust Levels").
func TestTrustLevels(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t, routertest.WithRoles(t), routertest.WithRealm(func(c *router.RealmConfig) { c.TrustLevels = map[string]uint64{"staff": 0, "admin": 5} }))
		bob := w.Join("bob", "rawsocket", s)
		if broker, _ := bob.Announced(wamp.PublicationTrustlevels); !broker {
			t.Error("publication_trustlevels is not announced")
		}
		if _, dealer := bob.Announced(wamp.CallTrustlevels); !dealer {
			t.Error("call_trustlevels is not announced")
		}
		bob.Subscribe(routertest.Topic, wamp.MatchExact)
		bob.Register(routertest.Procedure, wamp.RegisterOptions{})
		for role, want := range map[string]wamp.Trust{"anonymous": 0, "staff": wamp.TrustLevel(0), "admin": wamp.TrustLevel(5)} {
			p := w.Join(role, "websocket", s, routertest.As(role, role))
			say(p, routertest.Topic, form, "trust me")
			e := routertest.Expect[*wamp.Event](bob)
			bob.WantPayload(e, form, "trust me")
			p.CallWith(routertest.Procedure, form, "trust me", wamp.CallOptions{})
			i := routertest.Expect[*wamp.Invocation](bob)
			if e.Details.TrustLevel != want || i.Details.TrustLevel != want {
				t.Errorf("%s: %v, %v", role, e.Details.TrustLevel, i.Details.TrustLevel)
			}
		}
	})
}

// Without levels none are announced.
func TestTrustLevelsNotConfigured(t *testing.T) {
	w := routertest.NewWorld(t)
	alice := w.Join("alice", "rawsocket", wamp.CBOR)
	for _, f := range []wamp.Feature{wamp.PublicationTrustlevels, wamp.CallTrustlevels} {
		if broker, dealer := alice.Announced(f); broker || dealer {
			t.Errorf("%s is announced", f)
		}
	}
}
