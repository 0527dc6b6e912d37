package verify

import (
	"errors"
	"fmt"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// refusals checks that the router refuses what it could only do by reading, and
// what would let plaintext through where it must not.
func (t *target) refusals(c *Result) {
	for _, form := range wamp.Forms {
		if err := t.mixed(form); err != nil {
			c.fail("delivery to another serializer, %s: %v", form, err)
		}
	}
	c.note("opaque payloads to receivers with other serializers: tried in both forms, all four ways")
	if t.o.Required == "" {
		c.note("no clear message was tried: --required is not given")
	} else if err := t.cleartext(); err != nil {
		c.fail("clear messages on a URI that requires opaque ones: %v", err)
	} else {
		c.note("clear messages on a URI that requires opaque ones are refused")
	}
	if t.o.Validated == "" {
		c.note("no opaque message was tried where payloads are validated: --validated is not given")
	} else if err := t.validated(); err != nil {
		c.fail("opaque messages on a URI that is validated: %v", err)
	} else {
		c.note("opaque messages on a URI that is validated are refused")
	}
	c.pass("the router refuses what it could only do by reading")
	t.o.Progress(Refusals, 1, 1)
}

// mixed has opaque payloads go to receivers with another serializer.
func (t *target) mixed(form wamp.Form) error {
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

// opaqueFor seals something and frames it for a serializer.
func (t *target) opaqueFor(s wamp.Serializer, form wamp.Form, uri wamp.URI, originator bool) (opaque, error) {
	args, kwargs := t.secrets.values(0, 10)
	a, content, err := t.sealed(form, uri, originator, args, kwargs)
	if err != nil {
		return opaque{}, err
	}
	t.remember(content)
	return frame(s, form, usual, a, content), nil
}

// mixedEvent: Carol, who speaks what Alice speaks, gets the event; Bob does not.
func (t *target) mixedEvent(p *pair, alice, bob, carol *peer) error {
	o, err := t.opaqueFor(wamp.MsgPack, p.form, p.topic, true)
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
	return bob.nothing()
}

// mixedCall: a CALL does not reach Bob; his RESULT and ERROR don't reach Alice.
func (t *target) mixedCall(p *pair, alice, bob *peer) error {
	o, err := t.opaqueFor(wamp.MsgPack, p.form, p.procedure, true)
	if err != nil {
		return err
	}
	request, err := alice.call(p.procedure, o)
	if err != nil {
		return err
	}
	if err := alice.wantRefusal(request, wamp.ErrConversionRefused); err != nil {
		return fmt.Errorf("CALL: %w", errors.Join(err, bob.nothing()))
	}
	if err := bob.nothing(); err != nil {
		return fmt.Errorf("CALL: %w", err)
	}
	for _, answer := range []string{"RESULT", "ERROR"} {
		if err := t.mixedAnswer(p, alice, bob, answer == "ERROR"); err != nil {
			return fmt.Errorf("%s: %w", answer, err)
		}
	}
	return nil
}

func (t *target) mixedAnswer(p *pair, alice, bob *peer, failure bool) error {
	request, err := alice.call(p.procedure, opaque{})
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
	o, err := t.opaqueFor(wamp.JSON, p.form, uri, false)
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
	return alice.wantRefusal(request, wamp.ErrConversionRefused)
}

// wantRefusal waits for an ERROR of that URI.
func (p *peer) wantRefusal(request wamp.ID, want wamp.URI) error {
	got, err := p.refused(request)
	if err == nil && got != want {
		err = fmt.Errorf("%s: got ERROR %s in place of %s", p.name, got, want)
	}
	return err
}

// cleartext sends in the clear what may only be sent sealed: events, calls and
// their results.
func (t *target) cleartext() error {
	return t.onURI(t.o.Required, func(alice, bob *peer, s wamp.Serializer) error {
		payload, err := codec.EncodePayload(s, []any{t.secrets.clear}, nil)
		if err != nil {
			return err
		}
		return t.refusedAt(t.o.Required, opaque{payload: payload}, wamp.ErrCleartextRefused, alice, bob)
	})
}

// validated sends sealed what may only be sent where it can be validated.
func (t *target) validated() error {
	for _, form := range wamp.Forms {
		err := t.onURI(t.o.Validated, func(alice, bob *peer, s wamp.Serializer) error {
			o, err := t.opaqueFor(s, form, t.o.Validated, true)
			if err != nil {
				return err
			}
			return t.refusedAt(t.o.Validated, o, wamp.ErrValidationRefused, alice, bob)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// onURI runs a story with each serializer, where Bob subscribes to the URI.
func (t *target) onURI(uri wamp.URI, story func(alice, bob *peer, s wamp.Serializer) error) error {
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
			err = story(alice, bob, s)
		}
		err = errors.Join(err, alice.leave(), bob.leave())
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// refusedAt shows that neither an event nor a call with that payload gets
// through. The call is refused for what it carries, not because nobody serves it.
func (t *target) refusedAt(uri wamp.URI, o opaque, want wamp.URI, alice, bob *peer) error {
	request, err := alice.publish(uri, o)
	if err != nil {
		return err
	}
	if err := alice.wantRefusal(request, want); err != nil {
		return fmt.Errorf("PUBLISH: %w", err)
	}
	if err := bob.nothing(); err != nil {
		return fmt.Errorf("PUBLISH: %w", err)
	}
	if request, err = alice.call(uri, o); err != nil {
		return err
	}
	if err := alice.wantRefusal(request, want); err != nil {
		return fmt.Errorf("CALL: %w", err)
	}
	return nil
}
