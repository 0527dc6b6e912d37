package cryptobox

import "github.com/blindfold-wamp/blindfold/wamp"

// Forms seals in one form and opens both, depending on the form that a payload declares.
// It is for clients whose peers use different forms. It is a client.Sealer and may be
// used concurrently.
type Forms struct {
	// Form is the form to seal in: wamp.FormPassthru, or else that of Box.
	Form     wamp.Form
	Box      Box
	Passthru Passthru
}

// Keyed reports as the one that seals.
func (s *Forms) Keyed(on *wamp.Subject) bool {
	if s.Form == wamp.FormPassthru {
		return s.Passthru.Keyed(on)
	}
	return s.Box.Keyed(on)
}

// Seal seals as Box or Passthru does.
func (s *Forms) Seal(on *wamp.Subject, args []any, kwargs map[string]any) (attrs wamp.Attributes, payload []byte, sealed bool, err error) {
	if s.Form == wamp.FormPassthru {
		return s.Passthru.Seal(on, args, kwargs)
	}
	return s.Box.Seal(on, args, kwargs)
}

// Open opens as Box or Passthru does.
func (s *Forms) Open(on *wamp.Subject, attrs *wamp.Attributes, payload []byte) (args []any, kwargs map[string]any, err error) {
	if attrs.Declared() == wamp.FormPassthru {
		return s.Passthru.Open(on, attrs, payload)
	}
	return s.Box.Open(on, attrs, payload)
}
