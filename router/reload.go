package router

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// hooksre what can be replaced in a realm at work. They are replaced as one,
// so that a message never meets half of the old and half of the new.
type hooks struct {
	authenticators []Authenticator
	authorizers    []Authorizer
	interceptors   []Interceptor
	reserved       map[wamp.URI]bool
	features       wamp.Roles // of the realm and its interceptors
}

// setHooks puts in what c says.
func (m *realm) setHooks(c *RealmConfig) {
	p := &hooks{authenticators: c.Authenticators, authorizers: c.Authorizers, interceptors: c.Interceptors,
		reserved: reserve(c.ReservedProcedures), features: m.features}
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
// (Limits.Message) hold for connections that come after. Subscriptions and
// registrations that the new authorizers refuse end; these are asked with a context
// that has ended, and what they can't answer at once stays. The rest of c must be
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
	before := r.currentLimits.Swap(limits)
	for i := range c.Realms {
		r.realms[c.Realms[i].Name].setHooks(&c.Realms[i])
	}
	for _, m := range r.order {
		for _, s := range m.allSessions() {
			s.out.SetLimits(&limits.queue)
			if limits.PingEvery != before.PingEvery {
				s.setReadDeadline(limits.nextPing())
			}
			b := r.newBatch()
			s.revokeForbidden(b)
			b.end()
		}
	}
	return nil
}

// endedContext is a context that is over.
var endedContext = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// revokeForbidden ends the subscriptions and registrations that the session may not
// have any more, and tells it if it understands. A session that gets one while the
// hooks are replaced does this itself, in subscribe and register.
func (s *session) revokeForbidden(b *batch) {
	s.mu.Lock()
	subscriptions := slices.Clone(s.subscriptions)
	registrations := slices.Collect(maps.Values(s.registrations))
	s.mu.Unlock()
	forbidden := func(action Action, uri wamp.URI, match wamp.Match) bool {
		_, refusal, err := s.decision(endedContext, action, uri, match)
		return err == nil && refusal != nil
	}
	for _, me := range subscriptions {
		if sub := me.subscription; forbidden(ActionSubscribe, sub.uri, sub.match) && s.endSubscription(b, sub, noLongerAllowed) {
			b.begin(s, sub.uri, &wamp.Subscribe{Topic: sub.uri, Options: wamp.SubscribeOptions{Match: sub.match.String()}})
			b.refused(s, subscriptionRevoked)
		}
	}
	for _, reg := range registrations {
		if forbidden(ActionRegister, reg.uri, reg.match) && s.endRegistration(b, reg, noLongerAllowed) {
			b.begin(s, reg.uri, &wamp.Register{Procedure: reg.uri, Options: wamp.RegisterOptions{Match: reg.match.String()}})
			b.refused(s, registrationRevoked)
		}
	}
	s.realm.meta.events.publish(b, s)
}

// noLongerAllowed is the reason that UNSUBSCRIBED and UNREGISTERED give.
const noLongerAllowed = string(wamp.ErrNotAuthorized)

var (
	subscriptionRevoked = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNotAuthorized,
		Text: "the new configuration no longer allows this subscription: it has ended"}
	registrationRevoked = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNotAuthorized,
		Text: "the new configuration no longer allows this registration: it has ended"}
)

var errRealms = errors.New("router: realms can't be added or removed while the router runs")

// limits returns what holds now.
func (r *Router) limits() *limitsInForce { return r.currentLimits.Load() }
