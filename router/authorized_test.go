package router

import (
	"context"
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
	return Decision{Allow: true, Standing: a.standing}, nil
}

// An authorizer is asked for every publication, unless it has said that its
// answer stands; then it is asked again for another topic, another session, and
// after a reload.
func TestStandingDecision(t *testing.T) {
	for _, standing := range []bool{false, true} {
		authorizer := &asked{standing: standing}
		config := Config{Realms: []RealmConfig{{Name: "realm1", Authorizers: []Authorizer{authorizer}}}}
		r, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		alice, bob := attach(r, wamp.CBOR, transport.FramingRaw), attach(r, wamp.CBOR, transport.FramingRaw)
		turn := r.newTurn()
		expect := func(what string, from *session, topic wamp.URI, always, whenStanding int) {
			t.Helper()
			want := always
			if standing {
				want = whenStanding
			}
			authorizer.times = 0
			for range 3 {
				from.message(turn, frame(t, wamp.CBOR, &wamp.Publish{Request: 1, Topic: topic}))
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
		turn.end()
	}
}
