package passthrough

import "github.com/blindfold-wamp/blindfold/wamp"

// Receive checks a message of a sender; see the package's documentation. The error is a
// *wamp.Refusal, which is shared and must not be changed. Messages other than PUBLISH,
// CALL, YIELD and ERROR are accepted.
func (i *Interceptor) Receive(t *wamp.RoutedMessage) error {
	p, a, role, _ := partsOf(t.Message)
	if role == noRole {
		return nil
	}
	request := role == publisher || role == caller

	form := wamp.FormOf(a, p)
	opaque := form != wamp.FormNone || p.Opaque()
	if opaque {
		if r := checkForm(a, p); r != nil {
			return r
		}
		if form != wamp.FormNone && t.From != nil && !announced(role.of(t.From), form, a) {
			return unannounced[form][role]
		}
	}
	if i.require.has(t.URI) && isClear(p, form, opaque, request) {
		if opaque {
			return cleartextElement
		}
		return cleartext
	}
	if request && i.validation.any {
		if r := i.validate(t.URI, p, opaque); r != nil {
			return r
		}
	}
	return nil
}

// isClear reports whether a payload counts as clear on a URI that requires opaque
// payloads.
func isClear(p *wamp.Payload, form wamp.Form, opaque, request bool) bool {
	empty := p.Shape() != wamp.ShapeBinary && p.Args() == 0 && p.Kwargs() == 0
	switch {
	case !opaque:
		return request || !empty
	case form == wamp.FormPassthru:
		// The content of a single binary is smaller than the tail, by the framing.
		// Anything else has the size of the tail.
		return !empty && p.Size() >= p.WireSize()
	}
	return false
}

func (i *Interceptor) validate(uri wamp.URI, p *wamp.Payload, opaque bool) *wamp.Refusal {
	matched, refuse, values := false, false, MaxValues
	i.validation.each(uri, func(v *Validation) bool {
		matched = true
		refuse = refuse || v.Opaque != Pass
		values = min(values, v.Elements)
		return true
	})
	switch {
	case !matched, opaque && !refuse:
		return nil
	case opaque:
		return validationOpaque
	}
	instance, refusal := decode(p, values)
	if refusal != nil {
		return refusal
	}
	i.validation.each(uri, func(v *Validation) bool {
		refusal = v.Schema.check(instance)
		return refusal == nil
	})
	return refusal
}
