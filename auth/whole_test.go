package auth

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// failures is what an operator is told of authenticators, and whether the client
// got a challenge.
type failures struct {
	texts      []string
	challenged bool
	hello      time.Duration // the router's limit; 0: its default
}

func (f *failures) Observe(e *router.Observation) {
	if e.Kind == router.AuthenticatorFailed {
		f.texts = append(f.texts, e.Realm+" "+e.Method+" "+e.Connection.Address+" "+e.Refusal.Text)
	}
}

func (f *failures) text() string { return strings.Join(f.texts, "\n") }

// noticing is an answer that says whether it was asked for.
type noticing struct {
	by  answer.Method
	log *failures
}

func (n noticing) Method() string { return n.by.Method() }

func (n noticing) Start(d *wamp.HelloDetails) answer.Handshake {
	return noticed{n.by.Start(d), n.log}
}

type noticed struct {
	proof answer.Handshake
	log   *failures
}

func (n noticed) Respond(ctx context.Context, c *wamp.Challenge, over *transport.Info) (string, map[string]any, error) {
	n.log.challenged = true
	return n.proof.Respond(ctx, c, over)
}

func (n noticed) VerifyRouter(d *wamp.WelcomeDetails) error { return n.proof.VerifyRouter(d) }

// overRouter logs in to a router with the one authenticator, and out again.
func overRouter(t *testing.T, a router.Authenticator, by answer.Method, log *failures) (*client.Session, error) {
	t.Helper()
	r := must(router.New(router.Config{
		Realms:    []router.RealmConfig{{Name: "realm1", Authenticators: []router.Authenticator{a}}},
		Observers: []router.Observer{log},
		Limits:    router.Limits{Hello: log.hello},
	}))
	near, far := transport.Pipe(wamp.CBOR)
	served := make(chan struct{})
	go func() {
		defer close(served)
		r.Accept(far)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := client.Join(ctx, near, client.Config{Realm: "realm1", Auth: []client.Authenticator{noticing{by, log}}})
	if err == nil {
		_ = s.Close()
	}
	<-served // after which nobody observes anything
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
	return s, err
}
