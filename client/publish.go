package client

import (
	"context"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// PublishOptions are the options of a publication. The zero value is WAMP's
// default. The lists of receivers are nil if absent; an empty Eligible admits
// nobody.
type PublishOptions struct {
	// Acknowledge makes Publish wait until the router has taken the event, and
	// return its refusal. Without it, a refusal is not told.
	Acknowledge bool
	// ExcludeMe is wamp.False to get one's own event.
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

// subject is what the payload belongs to.
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
// returns them, and others that codec.EncodePayload or the Sealer takes; they
// are not kept. The publication id is 0 without Acknowledge.
//
// Where the context ends while Publish waits for the acknowledgement, the event
// may have been published.
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

// forget gives up waiting for an answer.
func (l *link) forget(request wamp.ID) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	delete(l.requests, request)
	delete(l.calls, request)
}
