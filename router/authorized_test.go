package router

import (
	"context"
	"slices"
	"testing"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// asked counts how often it is, and allows everything.
type asked struct {
	times    int
	standing bool
}

func (a *asked) Authorize(context.Context, *wamp.Peer, Action, wamp.URI, wamp.Match) (Decision, error) {
	a.times++
	return Decision{Allow: true, Cacheable: a.standing}, nil
}

// An authorizer is asked for every publication and call, unless it has said that
// its answer stands; then it is asked again for another URI, another session, and
// after a reload.
func TestStandingDecision(t *testing.T) {
	for name, request := range requests {
		t.Run(name, func(t *testing.T) { testStanding(t, request) })
	}
}

var requests = map[string]func(id wamp.ID, uri wamp.URI) wamp.Message{
	"publish": func(id wamp.ID, topic wamp.URI) wamp.Message {
		return &wamp.Publish{Request: id, Topic: topic, Options: wamp.PublishOptions{Acknowledge: wamp.True}}
	},
	"call": func(id wamp.ID, procedure wamp.URI) wamp.Message {
		return &wamp.Call{Request: id, Procedure: procedure}
	},
}

func testStanding(t *testing.T, request func(wamp.ID, wamp.URI) wamp.Message) {
	for _, standing := range []bool{false, true} {
		authorizer := &asked{standing: standing}
		config := Config{Realms: []RealmConfig{{Name: "realm1", Authorizers: []Authorizer{authorizer}}}}
		r, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		alice, bob := attach(r, wamp.CBOR, transport.FramingRaw), attach(r, wamp.CBOR, transport.FramingRaw)
		b := r.newBatch()
		expect := func(what string, from *session, topic wamp.URI, always, whenStanding int) {
			t.Helper()
			want := always
			if standing {
				want = whenStanding
			}
			authorizer.times = 0
			for range 3 {
				from.message(b, frame(t, wamp.CBOR, request(1, topic)))
			}
			if authorizer.times != want {
				t.Errorf("%s: standing %v: asked %d times, not %d", what, standing, authorizer.times, want)
			}
		}
		expect("a topic", alice, "com.example.one", 3, 1)
		expect("the same", alice, "com.example.one", 3, 0)
		expect("another", alice, "com.example.two", 3, 1)
		expect("another session", bob, "com.example.two", 3, 1)
		if err := r.Reload(config); err != nil {
			t.Fatal(err)
		}
		expect("after a reload", bob, "com.example.two", 3, 1)
		b.end()
	}
}

// denying denies one session, or all (0), what it asks for.
type denying struct{ session wamp.ID }

func (d denying) Authorize(_ context.Context, who *wamp.Peer, action Action, _ wamp.URI, _ wamp.Match) (Decision, error) {
	denied := action != ActionSubscribe && action != ActionRegister && (d.session == 0 || who.Session == d.session)
	return Decision{Allow: !denied, Cacheable: true}, nil
}

// What changes while a b lasts, changes what becomes of its next message.
func TestChangesWithinATurn(t *testing.T) {
	const uri = "com.example.one"
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			config := Config{Realms: []RealmConfig{{Name: "realm1", Authorizers: []Authorizer{denying{1}}}}}
			r, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			var alice, bob, carol, dave *session
			all := []**session{&alice, &bob, &carol, &dave}
			for _, s := range all {
				*s = attach(r, wamp.CBOR, transport.FramingRaw)
				(*s).out.Conn.(*sink).keep = true
			}
			enter := func(s *session, uri wamp.URI, match string) {
				say(s, frame(t, wamp.CBOR, &wamp.Subscribe{Request: 1, Topic: uri, Options: wamp.SubscribeOptions{Match: match}}))
				say(s, frame(t, wamp.CBOR, &wamp.Register{Request: 1, Procedure: uri, Options: wamp.RegisterOptions{Match: match}}))
			}
			b, id := r.newBatch(), wamp.ID(0)
			defer b.end()
			expect := func(what string, from *session, uri wamp.URI, receivers ...*session) {
				t.Helper()
				for _, s := range all {
					(*s).out.Conn.(*sink).last = nil
				}
				id++
				from.message(b, frame(t, wamp.CBOR, request(id, uri)))
				b.flush()
				for i, s := range all {
					got := len((*s).out.Conn.(*sink).last) > 0
					if *s != from && got != slices.Contains(receivers, *s) {
						t.Errorf("%s: receiver %d: %v", what, i, got)
					}
				}
			}
			expect("nobody there", alice, uri)
			enter(bob, uri, "exact")
			expect("Bob has come", alice, uri, bob)
			expect("the same again", alice, uri, bob)
			bob.leave()
			expect("Bob has left", alice, uri)
			enter(carol, "com.example.", "prefix")
			expect("Carol has come", alice, uri, carol)
			expect("another URI", alice, "com.other.one")
			expect("the first again", alice, uri, carol)
			config.Realms[0].Authorizers = []Authorizer{denying{dave.peer.Session}}
			if err := r.Reload(config); err != nil {
				t.Fatal(err)
			}
			expect("allowed to Alice", alice, uri, carol)
			expect("denied to Dave", dave, uri)
			expect("allowed to Alice still", alice, uri, carol)
			config.Realms[0].Authorizers = []Authorizer{denying{}}
			if err := r.Reload(config); err != nil {
				t.Fatal(err)
			}
			expect("denied to all", alice, uri)
		})
	}
}

// overtaken allows what it is asked for, but while it is asked a reload takes that away.
type overtaken struct {
	r     *Router
	after Config
}

func (o *overtaken) Authorize(ctx context.Context, _ *wamp.Peer, _ Action, _ wamp.URI, _ wamp.Match) (Decision, error) {
	return Decision{Allow: true}, o.r.Reload(o.after)
}

// A reload that looks at a session just before it gets a subscription or registration
// takes it away all the same.
func TestReloadWhileASessionSubscribes(t *testing.T) {
	overtaking := &overtaken{after: Config{Realms: []RealmConfig{{Name: "realm1", Authorizers: []Authorizer{nobody{}}}}}}
	r, err := New(Config{Realms: []RealmConfig{{Name: "realm1", Authorizers: []Authorizer{overtaking}}}})
	if err != nil {
		t.Fatal(err)
	}
	overtaking.r = r
	alice := attach(r, wamp.CBOR, transport.FramingRaw)
	for _, m := range []wamp.Message{&wamp.Subscribe{Request: 1, Topic: "com.topic"}, &wamp.Register{Request: 2, Procedure: "com.procedure"}} {
		r.realms["realm1"].setHooks(&RealmConfig{Authorizers: []Authorizer{overtaking}})
		say(alice, frame(t, wamp.CBOR, m))
		if stats := r.Stats()[0]; stats.Subscriptions+stats.Registrations > 0 || len(alice.subscriptions)+len(alice.registrations) > 0 {
			t.Errorf("%s: it is there: %+v", m.Type(), stats)
		}
	}
}

// undecided allows once, and says that it does not know if it is given no time.
type undecided struct{ asked int }

func (u *undecided) Authorize(ctx context.Context, _ *wamp.Peer, _ Action, _ wamp.URI, _ wamp.Match) (Decision, error) {
	u.asked++
	return Decision{Allow: u.asked == 1}, ctx.Err()
}

// What an authorizer can't decide at once stays over a reload.
func TestReloadDoesNotWait(t *testing.T) {
	authorizer := &undecided{}
	config := Config{Realms: []RealmConfig{{Name: "realm1", Authorizers: []Authorizer{authorizer}}}}
	r, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	alice := attach(r, wamp.CBOR, transport.FramingRaw)
	say(alice, frame(t, wamp.CBOR, &wamp.Subscribe{Request: 1, Topic: "com.topic"}))
	if err := r.Reload(config); err != nil {
		t.Fatal(err)
	}
	if authorizer.asked != 2 || len(alice.subscriptions) != 1 {
		t.Errorf("asked %d times, %d subscriptions", authorizer.asked, len(alice.subscriptions))
	}
}
