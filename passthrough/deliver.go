package passthrough

import "github.com/blindfold-wamp/blindfold/wamp"

// Deliver refuses an opaque payload to a receiver that did not announce its form
// (wamp.ReasonUnsupported), or whose session uses another serializer than the
// payload (wamp.ReasonConversion). With Config.Conversion Reframe, it permits reframing
// instead. The error is a *wamp.Refusal, which is shared and must not be changed.
// Messages other than EVENT, INVOCATION, RESULT and ERROR are accepted.
func (i *Interceptor) Deliver(t *wamp.RoutedMessage, to *wamp.Peer) error {
	p, a, _, role := partsOf(t.Message)
	if role == noRole {
		return nil
	}

	form := wamp.FormOf(a, p)
	if form == wamp.FormNone && !p.Opaque() {
		return nil
	}
	if form != wamp.FormNone && !announced(role.of(to), form, a) {
		return unsupported[form][role]
	}
	if i.conversion == Reframe {
		p.PermitReframing() // here, not in Receive: stored events follow the present rule
	}
	from := p.Serializer()
	if from == 0 || from == to.Serializer || p.MayReframe() {
		return nil
	}
	if !from.Valid() || !to.Serializer.Valid() {
		return conversions[0][0]
	}
	return conversions[from][to.Serializer]
}
