package router

import (
	"errors"
	"fmt"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// hooksre what can be replaced in a realm at work. They are replaced as one,
// so that a message never meets half of the old and half of the new.
type hooks struct {
	authenticators []Authenticator
	authorizers    []Authorizer
	interceptors   []Interceptor
	features       wamp.Roles // of the realm and its interceptors
}

// setHooks puts in what c says.
func (m *realm) setHooks(c *RealmConfig) {
	p := &hooks{authenticators: c.Authenticators, authorizers: c.Authorizers, interceptors: c.Interceptors,
		features: m.features}
	for _, i := range c.Interceptors {
		if a, ok := i.(Announcer); ok {
			for _, f := range a.Features() {
				p.features.Broker.Features.Add(f)
				p.features.Dealer.Features.Add(f)
			}
		}
	}
	m.hooks.Store(p)
}

// Reload replaces limits, and the authenticators, authorizers and interceptors
// of all realms, while sessions go on: they keep their identities, and meet the
// new rules with their next message. Bounds on what a connection carries
// (Limits.Message) hold for connections that come after. The rest of c must be
// as it was; realms can't be added or removed. After an error everything is as
// before.
func (r *Router) Reload(c Config) error {
	if len(c.Realms) != len(r.order) {
		return errRealms
	}
	for i := range c.Realms {
		if r.realms[c.Realms[i].Name] == nil {
			return errRealms
		}
		for _, other := range c.Realms[:i] {
			if other.Name == c.Realms[i].Name {
				return fmt.Errorf("router: realm %q is configured twice", other.Name)
			}
		}
	}
	limits := newLimits(c.Limits)
	r.currentLimits.Store(limits)
	for i := range c.Realms {
		r.realms[c.Realms[i].Name].setHooks(&c.Realms[i])
	}
	for _, m := range r.order {
		for _, s := range m.allSessions() {
			s.out.SetLimits(&limits.queue)
		}
	}
	return nil
}

var errRealms = errors.New("router: realms can't be added or removed while the router runs")

// limits returns what holds now.
func (r *Router) limits() *limitsInForce { return r.currentLimits.Load() }
