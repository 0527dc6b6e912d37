package router

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// hooks are the parts of a realm that Reload replaces. They are replaced as one, so
// that no message meets some old and some new ones.
type hooks struct {
	authenticators []Authenticator
	authorizers    []Authorizer
	interceptors   []Interceptor
	reserved       map[wamp.URI]bool
	features       wamp.Roles // of the realm and its interceptors
}

// setHooks installs the hooks of a configuration.
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

// Reload replaces the limits, and the authenticators, authorizers and interceptors of
// all realms, while sessions go on. Sessions keep their identities; the new rules apply
// to their next message. The limits of a connection (Limits.Message) apply to new
// connections. Subscriptions and registrations that the new authorizers refuse are
// ended. The authorizers are asked about these with a context that has ended; what they
// can't answer at once stays, unless it is a registration of a reserved procedure. The rest of c must be unchanged: realms can't be added or
// removed. After an error nothing has changed.
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

// endedContext is a context that has ended.
var endedContext = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// revokeForbidden ends the subscriptions and registrations that the session is no
// longer allowed to have, and notifies it if it supports that. A session that gets one
// while the hooks are replaced does this itself, in subscribe and register.
func (s *session) revokeForbidden(b *batch) {
	s.mu.Lock()
	subscriptions := slices.Clone(s.subscriptions)
	registrations := slices.Collect(maps.Values(s.registrations))
	s.mu.Unlock()
	forbidden := func(action Action, uri wamp.URI, match wamp.Match) bool {
		_, refusal, err := s.decision(endedContext, action, uri, match)
		if err != nil { // no answer at once
			return s.realm.hooks.Load().needsExplicit(action, uri)
		}
		return refusal != nil
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

// noLongerAllowed is the reason in UNSUBSCRIBED and UNREGISTERED.
const noLongerAllowed = string(wamp.ErrNotAuthorized)

var (
	subscriptionRevoked = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNotAuthorized,
		Text: "subscription ended: the new configuration does not allow it"}
	registrationRevoked = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNotAuthorized,
		Text: "registration ended: the new configuration does not allow it"}
)

var errRealms = errors.New("router: realms can't be added or removed while the router runs")

// limits returns the current limits.
func (r *Router) limits() *limitsInForce { return r.currentLimits.Load() }
