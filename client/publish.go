package client

import (
	"context"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// PublishOptions are the options of a publication. The zero value is WAMP's
// default. The lists of receivers are nil if absent; an empty Eligible means no
// receivers.
type PublishOptions struct {
	// Acknowledge makes Publish wait until the router has accepted or refused the event.
	// Without it, Publish does not return the router's refusal.
	Acknowledge bool
	// ExcludeMe is wamp.False if this session should receive its own event.
	ExcludeMe  wamp.Flag
	DiscloseMe bool
	Retain     bool

	Exclude, Eligible                []wamp.ID
	ExcludeAuthID, ExcludeAuthRole   []string
	EligibleAuthID, EligibleAuthRole []string
}

func (o *PublishOptions) wire(a wamp.Attributes) wamp.PublishOptions {
	return wamp.PublishOptions{
		Acknowledge: flag(o.Acknowledge), ExcludeMe: o.ExcludeMe,
		DiscloseMe: flag(o.DiscloseMe), Retain: flag(o.Retain),
		Exclude: o.Exclude, Eligible: o.Eligible,
		ExcludeAuthID: o.ExcludeAuthID, ExcludeAuthRole: o.ExcludeAuthRole,
		EligibleAuthID: o.EligibleAuthID, EligibleAuthRole: o.EligibleAuthRole,
		Attributes: a,
	}
}

// subject returns the context that the payload is sealed in.
func (o *PublishOptions) subject(topic wamp.URI) sealContext {
	return sealContext{Subject: wamp.Subject{
		Type: wamp.TypePublish, URI: topic, Originator: true, ToSelf: o.ExcludeMe == wamp.False,
		Listed: o.Exclude != nil || o.Eligible != nil || o.ExcludeAuthID != nil ||
			o.ExcludeAuthRole != nil || o.EligibleAuthID != nil || o.EligibleAuthRole != nil,
	}}
}

func flag(v bool) wamp.Flag {
	if v {
		return wamp.True
	}
	return wamp.Unset
}

// Publish publishes an event. args and kwargs are values as wamp.Payload.Decode
// returns them, and others that codec.EncodePayload or the Sealer accepts. They
// are not kept. Without Acknowledge the publication id is 0.
//
// If the context ends while Publish waits for the acknowledgement, the event may have
// been published.
func (s *Session) Publish(ctx context.Context, topic wamp.URI, args []any, kwargs map[string]any, o PublishOptions) (publication wamp.ID, err error) {
	l, err := s.current()
	if err != nil {
		return 0, err
	}
	m := new(wamp.Publish)
	if m.Topic, err = s.scramble(topic, wamp.MatchExact); err != nil {
		return 0, err
	}
	payload, attributes, _, err := l.seal(o.subject(topic), args, kwargs)
	if err != nil {
		return 0, err
	}
	m.Payload, m.Options = payload, o.wire(attributes)
	if !o.Acknowledge {
		return 0, l.sendRequest(ctx, m, &m.Request, nil)
	}
	w, err := l.startRequest(ctx, m, &m.Request, nil)
	if err != nil {
		return 0, err
	}
	select {
	case <-w.done:
		return w.id, w.err
	case <-ctx.Done():
		l.forget(m.Request)
		return 0, ctx.Err()
	}
}

// forget stops waiting for the answer to a request.
func (l *link) forget(request wamp.ID) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	delete(l.requests, request)
	delete(l.calls, request)
}
