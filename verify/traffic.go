package verify

import (
	"errors"
	"fmt"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// pair is Alice, who publishes and calls, and Bob, who subscribes and serves.
type pair struct {
	alice, bob *peer
	form       wamp.Form
	serializer wamp.Serializer
	topic      wamp.URI
	procedure  wamp.URI
	failure    wamp.URI
}

// newPair joins two peers that use the URIs of that tag. n chooses among the
// router's URLs.
func (t *tester) newPair(tag string, s wamp.Serializer, form wamp.Form, n int) (*pair, error) {
	p := t.uris(tag, s, form)
	var err error
	if p.alice, err = t.join("alice", t.urls[n%len(t.urls)], s); err != nil {
		return nil, err
	}
	if p.bob, err = t.join("bob", t.urls[(n+1)%len(t.urls)], s); err != nil {
		p.close()
		return nil, err
	}
	if err = p.bob.subscribe(p.topic); err == nil {
		err = p.bob.register(p.procedure)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// uris returns a pair that has URIs, and no peers yet.
func (t *tester) uris(tag string, s wamp.Serializer, form wamp.Form) *pair {
	base := t.base + wamp.URI(fmt.Sprintf("%s.%s.%s.", tag, s, form))
	return &pair{form: form, serializer: s, topic: base + "topic", procedure: base + "procedure", failure: base + "error"}
}

// name says which of all combinations the pair is.
func (p *pair) name() string {
	return fmt.Sprintf("%s, %s, %s to %s", p.serializer, p.form, p.alice.conn.Info().Transport, p.bob.conn.Info().Transport)
}

func (p *pair) close() {
	for _, one := range []*peer{p.alice, p.bob} {
		if one != nil {
			_ = one.conn.Close()
		}
	}
}

// leave ends both sessions with GOODBYE.
func (p *pair) leave() error { return errors.Join(p.alice.leave(), p.bob.leave()) }

// delivery is one payload on its way through the router.
type delivery struct {
	kind       string // what was sent and what came of it
	uri        wamp.URI
	originator bool // of who sent it
	sent       opaquePayload
	got        wamp.Payload
	attributes wamp.Attributes
}

// source makes the payload that a peer sends on a URI.
type source func(p *pair, uri wamp.URI, originator bool) (opaquePayload, error)

// perRound is how many payloads a round sends.
const perRound = 6

// round sends a payload by every kind of message, and shows each delivery. After an error
// the two sessions cannot be used any more.
func (p *pair) round(next source, show func(delivery)) error {
	if err := p.event(next, show); err != nil {
		return err
	}
	invocation, request, err := p.invoke(next, show)
	if err != nil {
		return err
	}
	for _, progress := range []bool{true, false} {
		if err := p.result(next, show, invocation, request, progress); err != nil {
			return err
		}
	}
	if invocation, request, err = p.invoke(next, show); err != nil {
		return err
	}
	return p.fail(next, show, invocation, request)
}

func (p *pair) event(next source, show func(delivery)) error {
	o, err := next(p, p.topic, true)
	if err != nil {
		return err
	}
	if _, err := p.alice.publish(p.topic, o); err != nil {
		return err
	}
	if _, err := await[*wamp.Published](p.alice); err != nil {
		return fmt.Errorf("PUBLISH: %w", err)
	}
	event, err := await[*wamp.Event](p.bob)
	if err != nil {
		return fmt.Errorf("EVENT: %w", err)
	}
	show(delivery{"PUBLISH to EVENT", p.topic, true, o, event.Payload, event.Details.Attributes})
	return nil
}

func (p *pair) invoke(next source, show func(delivery)) (invocation, request wamp.ID, err error) {
	o, err := next(p, p.procedure, true)
	if err != nil {
		return 0, 0, err
	}
	if request, err = p.alice.call(p.procedure, o); err != nil {
		return 0, 0, err
	}
	m, err := await[*wamp.Invocation](p.bob)
	if err != nil {
		return 0, 0, fmt.Errorf("CALL: %w", err)
	}
	show(delivery{"CALL to INVOCATION", p.procedure, true, o, m.Payload, m.Details.Attributes})
	return m.Request, request, nil
}

func (p *pair) result(next source, show func(delivery), invocation, request wamp.ID, progress bool) error {
	o, err := next(p, p.procedure, false)
	if err != nil {
		return err
	}
	kind := "YIELD to RESULT"
	if progress {
		kind = "progressive YIELD to RESULT"
	}
	if err := p.bob.send(&wamp.Yield{Request: invocation, Payload: o.payload,
		Options: wamp.ResultDetails{Progress: progress, Attributes: o.attributes}}); err != nil {
		return err
	}
	m, err := await[*wamp.Result](p.alice)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if m.Request != request || m.Details.Progress != progress {
		return fmt.Errorf("%s: it is another call's result", kind)
	}
	show(delivery{kind, p.procedure, false, o, m.Payload, m.Details.Attributes})
	return nil
}

func (p *pair) fail(next source, show func(delivery), invocation, request wamp.ID) error {
	o, err := next(p, p.failure, false)
	if err != nil {
		return err
	}
	if err := p.bob.send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: invocation, Error: p.failure,
		Payload: o.payload, Details: wamp.ErrorDetails{Attributes: o.attributes}}); err != nil {
		return err
	}
	m, err := await[*wamp.Error](p.alice)
	if err != nil {
		return fmt.Errorf("ERROR: %w", err)
	}
	if m.Request != request || m.Error != p.failure {
		return fmt.Errorf("ERROR: %w", unexpected(m, "ERROR "+string(p.failure)))
	}
	show(delivery{"ERROR to ERROR", p.failure, false, o, m.Payload, m.Details.Attributes})
	return nil
}

// large is more than a length of two bytes can say, and than a common buffer holds.
const large = 70_000

// seal returns genuine sealed payloads, of many sizes and in every encoding.
func (t *tester) seal(p *pair, uri wamp.URI, originator bool) (opaquePayload, error) {
	n := int(t.sent.Add(1))
	size := n * 37 % 300
	switch n % 500 {
	case 50:
		size = large
	case 300:
		size = 20_000
	}
	args, kwargs := t.secrets.values(n, size)
	attributes, payload, err := t.sealFor(p.form, uri, originator, args, kwargs)
	if p.form == wamp.FormPassthru && uri == p.topic {
		switch n % 3 {
		case 1:
			attributes, payload, err = t.scoped.seal(uri, args, kwargs)
		case 2:
			attributes, payload = bundleAttributes, t.scoped.bundle
		}
	}
	if err != nil {
		return opaquePayload{}, err
	}
	return frame(p.serializer, p.form, n%encodingStyles, attributes, payload), nil
}

func (t *tester) sealFor(form wamp.Form, uri wamp.URI, originator bool, args []any, kwargs map[string]any) (wamp.Attributes, []byte, error) {
	attributes, payload, sealed, err := t.sealer(form).Seal(&wamp.Subject{URI: uri, Originator: originator}, args, kwargs)
	if err == nil && !sealed {
		err = fmt.Errorf("there is no key for %s", uri)
	}
	return attributes, payload, err
}

func (t *tester) sealer(form wamp.Form) *cryptobox.Forms {
	return &cryptobox.Forms{Form: form, Box: cryptobox.Box{Keys: t.secrets.ring}, Passthru: cryptobox.Passthru{Keys: t.secrets.ring}}
}

// opens returns nil if what was delivered can be opened.
func (t *tester) opens(p *pair, h delivery) error {
	content, ok := codec.Binary(&h.got)
	if !ok {
		return fmt.Errorf("it is not one binary any more")
	}
	if h.attributes.PPTScheme == bundleAttributes.PPTScheme {
		return t.scoped.opens(h.uri, &h.attributes, content)
	}
	_, _, err := t.sealer(p.form).Open(&wamp.Subject{URI: h.uri, Originator: !h.originator}, &h.attributes, content)
	return err
}

// pairs joins a pair for each serializer and form.
func (t *tester) pairs(tag string) (out []*pair, err error) {
	for _, s := range wamp.Serializers {
		for _, form := range wamp.Forms {
			p, err := t.newPair(tag, s, form, len(out))
			if err != nil {
				leaveAll(out)
				return nil, err
			}
			out = append(out, p)
		}
	}
	return out, nil
}

func leaveAll(pairs []*pair) {
	for _, p := range pairs {
		_ = p.leave()
	}
}
