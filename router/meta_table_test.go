package router

import (
	"fmt"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// A repeated request for the list of all subscriptions, when nothing has changed, costs the
// router nothing but the answer; and a change shows at once.
func TestListsAreMadeOnce(t *testing.T) {
	r, err := New(Config{Realms: []RealmConfig{{Name: "realm1"}}})
	if err != nil {
		t.Fatal(err)
	}
	m := r.realms["realm1"]
	keep := true
	update := func(i int) {
		m.broker.topics.Update(wamp.MatchExact, wamp.URI(fmt.Sprintf("com.example.t%d", i)), func(*subscription, bool) (*subscription, bool) {
			return m.newSubscription("com.example", wamp.MatchExact), keep
		})
	}
	for i := range 10_000 {
		update(i)
	}
	c := &metaCall{realm: m}
	list := func() []wamp.ID {
		if refusal := subscriptions.list(c); refusal != nil {
			t.Fatal(refusal)
		}
		return c.result[0].(map[string]any)["exact"].([]wamp.ID)
	}
	if n := len(list()); n != 10_000 {
		t.Errorf("%d ids", n)
	}
	if n := testing.AllocsPerRun(10, func() { list() }); n > 1 {
		t.Errorf("%v allocations to list what was listed before", n)
	}
	update(10_000)
	if n := len(list()); n != 10_001 {
		t.Errorf("%d ids after one more", n)
	}
	keep = false
	update(3)
	if n := len(list()); n != 10_000 {
		t.Errorf("%d ids after one less", n)
	}
}
