package auth

import (
	"errors"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A role that the realm lacks lets nobody in, and the operator is told which it was.
func TestUnknownRoles(t *testing.T) {
	for name, c := range map[string]struct {
		role string
		a    func(Caller) router.Authenticator
		by   answer.Method
	}{
		"ticket":  {"usr", func(c Caller) router.Authenticator { return Procedure("ticket", c, "com.example.ask") }, answer.Ticket("joe", NewSecret(password))},
		"wampcra": {"usr", func(c Caller) router.Authenticator { return Procedure("wampcra", c, "com.example.ask") }, answer.CRA("joe", NewSecret(password))},
		"a list":  {"", func(Caller) router.Authenticator { return Ticket(principals()) }, answer.Ticket("hashed", NewSecret(password))},
		"known":   {"member", func(c Caller) router.Authenticator { return Procedure("ticket", c, "com.example.ask") }, answer.Ticket("joe", NewSecret(password))},
	} {
		t.Run(name, func(t *testing.T) {
			caller := &callee{procedure: func([]any) (any, error) {
				return map[string]any{"role": c.role, "secret": password}, nil
			}}
			var log failures
			_, err := overRouter(t, KnownRoles(c.a(caller), []string{"member"}), c.by, &log)
			if name == "known" {
				if err != nil || log.text() != "" {
					t.Errorf("%v, %s", err, log.text())
				}
				return
			}
			if !errors.Is(err, client.ErrURI(wamp.ErrNoSuchRole)) {
				t.Errorf("let in: %v", err)
			}
			if !strings.Contains(log.text(), "which the realm does not have") {
				t.Errorf("the operator is told %q", log.text())
			}
		})
	}
}
