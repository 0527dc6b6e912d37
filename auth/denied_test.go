package auth

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// The client is told the same whatever is wrong; the operator is told what it is, and
// which principal it is about.
func TestDeniedNamesTheCause(t *testing.T) {
	principals := must(NewStatic([]Principal{
		{AuthID: "alice", Roles: []string{"user"}, Ticket: NewSecret("alice's ticket")},
		{AuthID: "bob", Roles: []string{"user"}, CRA: &CRACredential{Secret: NewSecret("bob's secret")}},
	}))
	refused := PrincipalsFunc(func(context.Context, *Claim) (*Principal, error) { return nil, nil })
	for _, c := range []struct {
		name          string
		by            router.Authenticator
		as            answer.Method
		authid, cause string
	}{
		{"wrong ticket", Ticket(principals), answer.Ticket("alice", NewSecret("wrong")), "alice", "wrong proof: the secret, key or signature is not the principal's"},
		{"unknown", Ticket(principals), answer.Ticket("mallory", NewSecret("wrong")), "", "no such principal"},
		{"no ticket", Ticket(principals), answer.Ticket("bob", NewSecret("wrong")), "bob", "the principal has no credentials for this method"},
		{"wrong signature", CRA(principals), answer.CRA("bob", NewSecret("wrong")), "bob", "wrong proof: the secret, key or signature is not the principal's"},
		{"refused by a service", CRA(refused), answer.CRA("bob", NewSecret("wrong")), "", "no such principal"},
	} {
		_, err := attempt(t, c.by, c.as, plain(), nil)
		if text := refusedWith(t, err, wamp.ErrAuthenticationFailed); text != "authentication failed" {
			t.Errorf("%s: the client is told %q", c.name, text)
		}
		var d *router.Denied
		if !errors.As(err, &d) || d.AuthID != c.authid || d.Cause != c.cause {
			t.Errorf("%s: %+v", c.name, err)
		}
	}
}

func TestErrDenied(t *testing.T) {
	err := fmt.Errorf("the account is locked: %w", ErrDenied)
	if text := refusedWith(t, err, wamp.ErrAuthenticationFailed); text != "authentication failed" {
		t.Error(text)
	}
}
