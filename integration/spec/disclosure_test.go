package spec

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Where a permission says so, it is told who calls and publishes, whatever they
// want; elsewhere only they say so: a callee that asks for it (disclose_caller)
// is not told (WAMP, "Caller Identification", "Publisher Identification").
func TestDisclosureByPermission(t *testing.T) {
	all := []router.Action{router.ActionPublish, router.ActionSubscribe, router.ActionCall, router.ActionRegister}
	permissions, err := auth.NewPermissions([]auth.Role{{Name: "anonymous", Permissions: []auth.Permission{
		{URI: "", Match: wamp.MatchPrefix, Allow: all},
		{URI: "com.example.told.", Match: wamp.MatchPrefix, Allow: all, Disclose: true},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t, routertest.WithRealm(func(c *router.RealmConfig) { c.Authorizers = append(c.Authorizers, permissions) }))
		alice, bob := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s)
		for _, told := range []bool{true, false} {
			uri := wamp.URI("com.example.untold.it")
			if told {
				uri = "com.example.told.it"
			}
			bob.Subscribe(uri, wamp.MatchExact)
			bob.Register(uri, wamp.RegisterOptions{DiscloseCaller: wamp.True})
			say(alice, uri, form, "hello", func(o *wamp.PublishOptions) { o.DiscloseMe = wamp.False })
			e := routertest.Expect[*wamp.Event](bob)
			bob.WantPayload(e, form, "hello")
			alice.CallWith(uri, form, "hello", wamp.CallOptions{DiscloseMe: wamp.False})
			i := routertest.Expect[*wamp.Invocation](bob)
			bob.WantPayload(i, form, "hello")
			if (e.Details.Publisher == alice.ID) != told || (i.Details.Caller == alice.ID) != told ||
				(e.Details.PublisherAuthRole == "anonymous") != told || (i.Details.CallerAuthRole == "anonymous") != told {
				t.Errorf("told: %v: %+v, %+v", told, e.Details, i.Details)
			}
		}
	})
}
