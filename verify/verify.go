// Package verify checks that a WAMP router is blind: that it forwards sealed
// payloads without having seen what is in them, and without a way to.
//
// It sends sealed traffic that is full of random canaries through the router and
// looks for them, and for the keys, wherever the router could have left them.
// What each check proves, and what not, is in docs/threat-model.md.
package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Options say which router to check, and what is known of it. Exec or URLs are
// needed; the rest widens what can be checked.
type Options struct {
	// URLs of the router. With Exec they may be left out if the router prints
	// them.
	URLs   []string
	Realm  wamp.URI
	TLS    *tls.Config
	Auth   []client.Authenticator
	AuthID string

	// Exec is a command that runs the router; "{config}" in it stands for a
	// configuration for cmd/router, which is added to a lone cmd/router.
	Exec []string
	// PID is the router's process, where it runs already.
	PID int
	// Binary is the router's executable. Default: that of the process.
	Binary string
	// Logs and Data are files and folders that the router writes to; Metrics is
	// the URL of its metrics.
	Logs, Data []string
	Metrics    string

	// Required and Validated are URIs with such rules at the router.
	Required, Validated wamp.URI
	// Keyring is a file with the keys to seal with and to look for. Default:
	// keys made for the occasion.
	Keyring string
	// Messages to compare in the check of byte identity. Default 10000.
	Messages int
	// Optional names checks that need not be run.
	Optional []string
	// Progress is told how far a check has come.
	Progress func(check string, done, total int)
}

// Run checks a router. The error says why it could not begin; what is found is
// in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Messages <= 0 {
		o.Messages = 10_000
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	for _, name := range o.Optional {
		if !slices.Contains(Checks, name) {
			return nil, fmt.Errorf("there is no check %q", name)
		}
	}
	if len(o.Exec) == 0 && len(o.URLs) == 0 {
		return nil, errors.New("which router? give a URL, or a command that runs it")
	}
	r := newReport()
	for _, c := range r.Results {
		c.Optional = slices.Contains(o.Optional, c.Check)
	}
	t, err := newTarget(ctx, o, r)
	if err != nil {
		return nil, err
	}
	defer t.close()
	if err := t.reach(); err != nil {
		return nil, err
	}
	t.describe()
	// What comes first wakes a router that changes its ways with the traffic.
	t.identity(r.Result(Identity))
	t.interference(r.Result(Interference))
	t.refusals(r.Result(Refusals))
	t.memory(r.Result(Memory))
	t.build(r.Result(Build))
	t.residue(r.Result(Residue))
	t.stop()
	t.ingress(r.Result(Ingress))
	t.leftovers(r.Result(Residue))
	r.conclude()
	return r, ctx.Err()
}
