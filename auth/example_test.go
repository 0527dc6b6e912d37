package auth_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// accounts is an authenticator that asks a program's own table of users.
type accounts struct {
	passwords map[string]string
	locked    map[string]bool
}

// Principal returns an account; nil: there is none.
func (a *accounts) Principal(_ context.Context, claim *auth.Claim) (*auth.Principal, error) {
	if a.locked[claim.AuthID] {
		// The client learns only that authentication failed; the log has the text.
		return nil, fmt.Errorf("the account is locked: %w", auth.ErrDenied)
	}
	password, ok := a.passwords[claim.AuthID]
	if !ok {
		return nil, nil
	}
	return &auth.Principal{AuthID: claim.AuthID, Roles: []string{"member"}, Ticket: auth.NewSecret(password)}, nil
}

// mayRead is an authorizer: members may subscribe below their own name.
func mayRead(_ context.Context, who *wamp.Peer, action router.Action, uri wamp.URI, _ wamp.Match) (router.Decision, error) {
	own := strings.HasPrefix(string(uri), "com.example."+who.AuthID+".")
	return router.Decision{Allow: own && action == router.ActionSubscribe, Cacheable: true}, nil
}

// office is an interceptor that refuses publications at night.
type office struct{ now func() time.Time }

func (o office) Receive(m *wamp.RoutedMessage) error {
	if _, publication := m.Message.(*wamp.Publish); publication && o.now().Hour() < 8 {
		return &wamp.Refusal{Reason: wamp.ReasonInterceptor, URI: "com.example.error.closed", Text: "come back at eight"}
	}
	return nil
}

func (office) Deliver(*wamp.RoutedMessage, *wamp.Peer) error { return nil }

// sessions is an observer that counts.
type sessions struct{ opened, denied atomic.Int64 }

func (s *sessions) Observe(e *router.Observation) {
	switch e.Kind {
	case router.SessionOpened:
		s.opened.Add(1)
	case router.Rejected:
		s.denied.Add(1)
		fmt.Println("denied:", e.Login.Cause)
	}
}

// An authenticator, an authorizer, an interceptor and an observer of one's own.
func Example() {
	users := &accounts{passwords: map[string]string{"alice": "wonderland", "bob": "builder"}, locked: map[string]bool{"bob": true}}
	count := new(sessions)
	r, err := router.New(router.Config{
		Realms: []router.RealmConfig{{
			Name:           "realm1",
			Authenticators: []router.Authenticator{auth.Ticket(auth.PrincipalsFunc(users.Principal))},
			Authorizers:    []router.Authorizer{auth.AuthorizerFunc(mayRead)},
			Interceptors:   []router.Interceptor{office{time.Now}},
		}},
		Observers: []router.Observer{count},
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	join := func(who, password string) (*client.Session, error) {
		return client.Dial(ctx, client.Config{
			Realm: "realm1",
			Auth:  []client.Authenticator{answer.Ticket(who, answer.NewSecret(password))},
			Connect: func(context.Context) (transport.Conn, error) {
				near, far := transport.Pipe(wamp.CBOR)
				go r.Accept(far)
				return near, nil
			},
		})
	}
	alice, err := join("alice", "wonderland")
	if err != nil {
		panic(err)
	}
	for _, topic := range []wamp.URI{"com.example.alice.news", "com.example.bob.news"} {
		_, err := alice.Subscribe(ctx, topic, func(context.Context, *client.Event) {}, client.SubscribeOptions{})
		fmt.Println(topic, err)
	}
	alice.Close()
	_, err = join("bob", "builder")
	fmt.Println(err)
	_ = r.Close(ctx)
	fmt.Println(count.opened.Load(), "opened,", count.denied.Load(), "denied")
	// Output:
	// com.example.alice.news <nil>
	// com.example.bob.news wamp.error.not_authorized: this session's role has no permission for this action on this URI
	// denied: the account is locked: wamp.error.authentication_failed: authentication failed
	// wamp.error.authentication_failed: authentication failed
	// 1 opened, 1 denied
}
