package router

import (
	"context"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// intercepted asks the interceptors whether the inbound message may be routed.
func (b *batch) intercepted(realm *realm) *wamp.Refusal {
	for _, i := range realm.hooks.Load().interceptors {
		if err := i.Receive(&b.inbound); err != nil {
			return b.router.interceptorRefusal(err)
		}
	}
	return nil
}

// authorized asks the authorizers whether a session may do something. Only Disclose and
// Cacheable of the decision are valid.
func (b *batch) authorized(s *session, action Action, uri wamp.URI, match wamp.Match) (Decision, *wamp.Refusal) {
	d, refusal, err := s.decision(context.Background(), action, uri, match)
	if err != nil {
		b.router.log.Warn("authorizer failed", "realm", s.peer.Realm, "error", err)
		refusal = authorizationFailed
	}
	return d, refusal
}

// decision combines the decisions of all authorizers. It returns an error if one of
// them does.
func (s *session) decision(ctx context.Context, action Action, uri wamp.URI, match wamp.Match) (Decision, *wamp.Refusal, error) {
	all := Decision{Allow: true, Cacheable: true}
	if s.internal {
		return all, nil, nil
	}
	hooks := s.realm.hooks.Load()
	for _, a := range hooks.authorizers {
		d, err := a.Authorize(ctx, &s.peer, action, uri, match)
		if err != nil {
			return Decision{}, nil, err
		}
		if !d.Allow {
			return Decision{}, notAuthorized, nil
		}
		all.Disclose = all.Disclose || d.Disclose
		all.Explicit = all.Explicit || d.Explicit
		all.Cacheable = all.Cacheable && d.Cacheable
	}
	if match == wamp.MatchExact && !all.Explicit && hooks.needsExplicit(action, uri) {
		return Decision{}, needsExplicitPermission, nil
	}
	return all, nil, nil
}

func (r *Router) interceptorRefusal(err error) *wamp.Refusal {
	refusal, meant := InterceptorRefusal(err)
	if !meant {
		r.log.Warn("interceptor failed", "error", err)
	}
	return refusal
}

var (
	notAuthorized = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNotAuthorized,
		Text: "this session's role has no permission for this action on this URI"}
	authorizationFailed = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrAuthorizationFailed,
		Text: "the authorizer could not decide"}
	refusedByInterceptor = &wamp.Refusal{Reason: wamp.ReasonInterceptor, URI: wamp.ErrNotAuthorized,
		Text: "refused by the router's configuration"}
)
