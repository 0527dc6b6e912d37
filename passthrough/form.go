package passthrough

import "github.com/blindfold-wamp/blindfold/wamp"

// checkForm applies the rules of both forms. A payload that violates them would end the
// session of an Autobahn client that received it, or violate WAMP's "Payload Passthru
// Mode".
func checkForm(a *wamp.Attributes, p *wamp.Payload) *wamp.Refusal {
	enc := a.EncAlgo != "" || a.EncKey != "" || a.EncSerializer != ""
	ppt := a.PPTScheme != "" || a.PPTSerializer != "" || a.PPTCipher != "" || a.PPTKeyID != ""
	binary := p.Shape() == wamp.ShapeBinary
	switch {
	case enc && ppt:
		return bothForms
	case enc && a.EncAlgo == "" && a.EncKey != "":
		return keyWithoutAlgo
	case enc && a.EncAlgo == "":
		return serializerWithoutAlgo
	case enc && !validAlgo(a.EncAlgo):
		return badAlgo
	case a.EncSerializer != "" && !validSerializer(a.EncSerializer):
		return badSerializer
	case enc && !binary && (p.Args() > 0 || p.Kwargs() > 0):
		return algoWithList
	case binary && p.Elements() > 1:
		return binaryWithKwargs
	case ppt && binary:
		return schemeWithBinary
	case ppt && a.PPTScheme == "":
		return withoutScheme
	case ppt && p.Kwargs() > 0:
		return schemeWithKwargs
	case ppt && p.Args() > 1:
		return schemeWithList
	}
	return nil
}

func validAlgo(s string) bool {
	switch s {
	case "cryptobox", "mqtt", "xbr":
		return true
	}
	return isCustomName(s)
}

func validSerializer(s string) bool {
	switch s {
	case "json", "msgpack", "cbor", "ubjson", "flatbuffers":
		return true
	}
	return isCustomName(s)
}

// isCustomName matches ^x_([a-z][\da-z_]+)?$ in ASCII.
func isCustomName(s string) bool {
	if len(s) < 2 || s[:2] != "x_" {
		return false
	}
	s = s[2:]
	if s == "" {
		return true
	}
	if len(s) < 2 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// role is the role in which a client sends or receives a message.
type role uint8

const (
	publisher role = iota
	subscriber
	caller
	callee
	roles

	noRole = roles
)

var roleNames = [roles]string{"publisher", "subscriber", "caller", "callee"}

func (r role) of(p *wamp.Peer) *wamp.Role {
	switch r {
	case publisher:
		return &p.Roles.Publisher
	case subscriber:
		return &p.Roles.Subscriber
	case caller:
		return &p.Roles.Caller
	}
	return &p.Roles.Callee
}

// partsOf returns a message's payload and attributes, and the roles in which a client
// sends it to the router and receives it from the router: noRole if clients don't.
func partsOf(m wamp.Message) (p *wamp.Payload, a *wamp.Attributes, sender, receiver role) {
	switch m := m.(type) {
	case *wamp.Publish:
		return &m.Payload, &m.Options.Attributes, publisher, noRole
	case *wamp.Event:
		return &m.Payload, &m.Details.Attributes, noRole, subscriber
	case *wamp.Call:
		return &m.Payload, &m.Options.Attributes, caller, noRole
	case *wamp.Invocation:
		return &m.Payload, &m.Details.Attributes, noRole, callee
	case *wamp.Yield:
		return &m.Payload, &m.Options.Attributes, callee, noRole
	case *wamp.Result:
		return &m.Payload, &m.Details.Attributes, noRole, caller
	case *wamp.Error:
		return &m.Payload, &m.Details.Attributes, callee, caller
	}
	return nil, nil, noRole, noRole
}

// announced reports whether a role has announced a form.
func announced(r *wamp.Role, form wamp.Form, a *wamp.Attributes) bool {
	if form == wamp.FormPassthru {
		return r.Has(wamp.PayloadPassthruMode)
	}
	// The scheme cryptobox exists in the transparency form only.
	return r.Has(wamp.PayloadTransparency) ||
		a.EncAlgo == "cryptobox" && r.Has(wamp.PayloadEncryptionCryptobox)
}
