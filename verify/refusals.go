package verify

import (
	"errors"
	"fmt"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// refusals checks that the router refuses what it could only do by reading, and
// payloads in the clear where it must not take them. What counts is that it
// refuses, not by which error: other routers have other URIs than this one.
func (t *tester) refusals(c *Result) {
	for _, form := range wamp.Forms {
		if err := t.mixedSerializers(form); err != nil {
			c.fail("delivery to another serializer, %s: %v", form, err)
		}
	}
	c.note("opaque payloads to receivers with other serializers: tried in both forms, all four ways")
	if t.o.RequiresSealed == "" {
		c.note("no clear message was tried: no URI is known that requires opaque payloads")
	} else if err := t.clearRefused(c); err != nil {
		c.fail("clear messages on a URI that requires opaque ones: %v", err)
	} else {
		c.note("clear messages on a URI that requires opaque ones are refused")
	}
	if t.o.Validated == "" {
		c.note("no opaque message was tried where payloads are validated: no such URI is known")
	} else if err := t.opaqueRefused(c); err != nil {
		c.fail("opaque messages on a URI that is validated: %v", err)
	} else {
		c.note("opaque messages on a URI that is validated are refused")
	}
	c.pass("the router refuses what it could only do by reading")
	t.o.Progress(Refusals, 1, 1)
}

// sealFrame seals something and frames it for a serializer.
func (t *tester) sealFrame(s wamp.Serializer, form wamp.Form, uri wamp.URI, originator bool) (opaquePayload, error) {
	args, kwargs := t.secrets.values(0, 10)
	a, content, err := t.sealFor(form, uri, originator, args, kwargs)
	if err != nil {
		return opaquePayload{}, err
	}
	t.addSealed(content)
	return frame(s, form, shortest, a, content), nil
}

// mixedSerializers sends opaque payloads to receivers with another serializer.
func (t *tester) mixedSerializers(form wamp.Form) error {
	alice, err := t.join("alice", t.urls[0], wamp.MsgPack)
	if err != nil {
		return err
	}
	defer alice.conn.Close()
	bob, err := t.join("bob", t.urls[len(t.urls)-1], wamp.JSON)
	if err != nil {
		return err
	}
	defer bob.conn.Close()
	carol, err := t.join("carol", t.urls[0], wamp.MsgPack)
	if err != nil {
		return err
	}
	defer carol.conn.Close()
	p := t.uris("mixed", wamp.MsgPack, form)
	for _, one := range []*peer{bob, carol} {
		if err := one.subscribe(p.topic); err != nil {
			return err
		}
	}
	if err := bob.register(p.procedure); err != nil {
		return err
	}
	if err := t.mixedEvent(p, alice, bob, carol); err != nil {
		return fmt.Errorf("EVENT: %w", err)
	}
	if err := t.mixedCall(p, alice, bob); err != nil {
		return err
	}
	return errors.Join(alice.leave(), bob.leave(), carol.leave())
}

// mixedEvent: Carol, who speaks what Alice speaks, gets the event; Bob does not.
func (t *tester) mixedEvent(p *pair, alice, bob, carol *peer) error {
	o, err := t.sealFrame(wamp.MsgPack, p.form, p.topic, true)
	if err != nil {
		return err
	}
	if _, err := alice.publish(p.topic, o); err != nil {
		return err
	}
	if _, err := await[*wamp.Published](alice); err != nil {
		return err
	}
	event, err := await[*wamp.Event](carol)
	if err != nil {
		return err
	}
	if event.Payload.Digest() != o.payload.Digest() {
		return errors.New("the payload differs")
	}
	return bob.expectNothing()
}

// mixedCall: a CALL does not reach Bob; Bob's RESULT and ERROR don't reach Alice.
// That Bob is reached by calls without a payload shows that it is due to the payload.
func (t *tester) mixedCall(p *pair, alice, bob *peer) error {
	o, err := t.sealFrame(wamp.MsgPack, p.form, p.procedure, true)
	if err != nil {
		return err
	}
	request, err := alice.call(p.procedure, o)
	if err != nil {
		return err
	}
	if _, err := alice.refused(request); err != nil {
		return fmt.Errorf("CALL: %w", errors.Join(err, bob.expectNothing()))
	}
	if err := bob.expectNothing(); err != nil {
		return fmt.Errorf("CALL: %w", err)
	}
	for _, answer := range []string{"RESULT", "ERROR"} {
		if err := t.mixedAnswer(p, alice, bob, answer == "ERROR"); err != nil {
			return fmt.Errorf("%s: %w", answer, err)
		}
	}
	return nil
}

func (t *tester) mixedAnswer(p *pair, alice, bob *peer, failure bool) error {
	request, err := alice.call(p.procedure, opaquePayload{})
	if err != nil {
		return err
	}
	invocation, err := await[*wamp.Invocation](bob)
	if err != nil {
		return err
	}
	uri := p.procedure
	if failure {
		uri = p.failure
	}
	o, err := t.sealFrame(wamp.JSON, p.form, uri, false)
	if err != nil {
		return err
	}
	var m wamp.Message = &wamp.Yield{Request: invocation.Request, Payload: o.payload,
		Options: wamp.ResultDetails{Attributes: o.attributes}}
	if failure {
		m = &wamp.Error{RequestType: wamp.TypeInvocation, Request: invocation.Request, Error: uri, Payload: o.payload,
			Details: wamp.ErrorDetails{Attributes: o.attributes}}
	}
	if err := bob.send(m); err != nil {
		return err
	}
	e, err := alice.refused(request)
	if err == nil && failure && e.Error == p.failure {
		return errors.New("alice got bob's ERROR, and no refusal")
	}
	return err
}

// refused waits for the ERROR that answers a request.
func (p *peer) refused(request wamp.ID) (*wamp.Error, error) {
	e, err := await[*wamp.Error](p)
	if err == nil && e.Request != request {
		return nil, fmt.Errorf("%s: got an ERROR for another request", p.name)
	}
	return e, err
}

// clearRefused sends in the clear what may only be sent sealed: events and calls.
// The same, sealed, must reach Bob.
func (t *tester) clearRefused(c *Result) error {
	return t.onURI(t.o.RequiresSealed, func(alice, bob *peer, s wamp.Serializer) error {
		clear, err := codec.EncodePayload(s, []any{t.secrets.clear}, nil)
		if err != nil {
			return err
		}
		sealed, err := t.sealFrame(s, wamp.FormTransparency, t.o.RequiresSealed, true)
		if err != nil {
			return err
		}
		return t.refusedAt(c, t.o.RequiresSealed, opaquePayload{payload: clear}, sealed, true, alice, bob)
	})
}

// opaqueRefused sends sealed what may only be sent where it can be validated. An
// event or a call without a payload may reach Bob: whether it does is up to a rule that is
// not known here.
func (t *tester) opaqueRefused(c *Result) error {
	for _, form := range wamp.Forms {
		err := t.onURI(t.o.Validated, func(alice, bob *peer, s wamp.Serializer) error {
			sealed, err := t.sealFrame(s, form, t.o.Validated, true)
			if err != nil {
				return err
			}
			return t.refusedAt(c, t.o.Validated, sealed, opaquePayload{}, false, alice, bob)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// onURI runs a test with each serializer, where Bob subscribes to the URI and serves
// it, as far as the router lets Bob.
func (t *tester) onURI(uri wamp.URI, test func(alice, bob *peer, s wamp.Serializer) error) error {
	for _, s := range wamp.Serializers {
		alice, err := t.join("alice", t.urls[0], s)
		if err != nil {
			return err
		}
		bob, err := t.join("bob", t.urls[len(t.urls)-1], s)
		if err != nil {
			_ = alice.conn.Close()
			return err
		}
		if err = bob.subscribe(uri); err == nil {
			if err = bob.register(uri); err == nil {
				err = test(alice, bob, s)
			}
		}
		err = errors.Join(err, alice.leave(), bob.leave())
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// refusedAt shows that bad gets to Bob neither as an event nor as a call, and that
// good does, if it has to: so bad is refused for what it carries.
func (t *tester) refusedAt(c *Result, uri wamp.URI, bad, good opaquePayload, mustReach bool, alice, bob *peer) error {
	for _, way := range []string{"PUBLISH", "CALL"} {
		send := alice.publish
		if way == "CALL" {
			send = alice.call
		}
		request, err := send(uri, bad)
		if err != nil {
			return err
		}
		e, err := alice.refused(request)
		if err == nil {
			err = errors.Join(dueToPayload(e), bob.expectNothing())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
		if request, err = send(uri, good); err != nil {
			return err
		}
		reached, err := t.reaches(request, way, alice, bob)
		switch {
		case err != nil:
			return fmt.Errorf("%s of what should pass: %w", way, err)
		case !reached && mustReach:
			return fmt.Errorf("%s: void: what should pass is refused, too", way)
		case !reached:
			c.note("%s without a payload on a URI that is validated is refused, too", way)
		}
	}
	return nil
}

// dueToPayload returns an error if a refusal has another reason than the payload.
func dueToPayload(e *wamp.Error) error {
	switch e.Error {
	case wamp.ErrNotAuthorized, wamp.ErrNoSuchProcedure, wamp.ErrInvalidURI, wamp.ErrUnavailable:
		return fmt.Errorf("void: it is refused for another reason than its payload: %s", e.Error)
	}
	return nil
}

// reaches reports whether what Alice has sent gets to Bob, and ends the call if it
// is one.
func (t *tester) reaches(request wamp.ID, way string, alice, bob *peer) (bool, error) {
	if way == "PUBLISH" {
		switch m, err := alice.receive(); m.(type) {
		case *wamp.Published:
			_, err := await[*wamp.Event](bob)
			return err == nil, err
		case *wamp.Error:
			return false, bob.expectNothing()
		default:
			return false, errors.Join(err, unexpected(m, "PUBLISHED"))
		}
	}
	// The answer to Alice's next request comes behind a refusal of the call. While Bob
	// has the call, Alice gets no other.
	own := alice.next()
	if err := alice.send(&wamp.Unsubscribe{Request: own, Subscription: wamp.MaxID}); err != nil {
		return false, err
	}
	e, err := await[*wamp.Error](alice)
	if err != nil {
		return false, err
	}
	if e.Request == request {
		_, err := alice.refused(own)
		return false, errors.Join(err, bob.expectNothing())
	}
	i, err := await[*wamp.Invocation](bob)
	if errors.Is(err, errSilence) { // a router that answers requests out of order
		_, err := alice.refused(request)
		return false, err
	}
	if err != nil {
		return false, err
	}
	if err := bob.send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: i.Request, Error: "com.blindfold.verify.done"}); err != nil {
		return false, err
	}
	_, err = alice.refused(request)
	return true, err
}
