package auth

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"maps"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// SCRAM authenticates both sides by a password that neither sends and the router does not
// store (WAMP, "Salted Challenge Response Authentication"). Clients can ask for the
// channel bindings "tls-unique" and "tls-exporter".
func SCRAM(principals Principals) router.Authenticator { return &scram{withDecoys(principals), false} }

// AutobahnSCRAM is the variant of SCRAM that Autobahn and Crossbar use; see
// proof.AutobahnSCRAMMethod. It has no channel binding.
func AutobahnSCRAM(principals Principals) router.Authenticator {
	return &scram{withDecoys(principals), true}
}

type scram struct {
	principals camouflaged
	autobahn   bool
}

func (a *scram) Method() string {
	if a.autobahn {
		return proof.AutobahnSCRAMMethod
	}
	return proof.SCRAMMethod
}

func (a *scram) Authenticate(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
	x := proof.SCRAMExchange{Autobahn: a.autobahn}
	if h.Hello.Details.AuthID == "" {
		return nil, noAuthID
	}
	var err error
	if x.AuthID, err = proof.PrepareAuthID(h.Hello.Details.AuthID); err != nil {
		return nil, badAuthID
	}
	if refusal := a.hello(&x, h); refusal != nil {
		return nil, refusal
	}
	p, known, denied, err := identify(ctx, a.principals, &Claim{Method: a.Method(), AuthID: x.AuthID, Handshake: h})
	if err != nil {
		return nil, err
	}
	c := p.SCRAM
	x.Nonce, x.Salt, x.Iterations = x.ClientNonce+nonce(), base64.StdEncoding.EncodeToString(c.Salt), c.Iterations
	extra := map[string]any{"nonce": x.Nonce, "salt": x.Salt, "kdf": c.KDF, "iterations": c.Iterations}
	switch {
	case c.KDF != proof.PBKDF2:
		extra["memory"] = c.Memory
	case !a.autobahn: // Autobahn requires memory to be a number
		extra["memory"] = nil
	}
	reply, err := h.Challenge(extra)
	if err != nil {
		return nil, err
	}
	clientProof, err := base64.StdEncoding.DecodeString(reply.Signature)
	authMessage := x.AuthMessage()
	right := proof.CheckClientProof(c.StoredKey, clientProof, authMessage)
	if repeated := a.repeated(&x, reply); !right || err != nil || !known || !repeated {
		return nil, denied
	}
	identity, err := p.identity(h)
	if err != nil {
		return nil, err
	}
	identity.Extra = maps.Clone(identity.Extra)
	if identity.Extra == nil {
		identity.Extra = map[string]any{}
	}
	verifier := "verifier"
	if a.autobahn {
		verifier = "scram_server_signature"
	}
	identity.Extra[verifier] = base64.StdEncoding.EncodeToString(proof.ServerSignature(c.ServerKey, authMessage))
	return identity, nil
}

// hello reads the client's nonce and the channel binding from HELLO.
func (a *scram) hello(x *proof.SCRAMExchange, h *router.Handshake) *wamp.Refusal {
	extra := h.Hello.Details.AuthExtra
	x.ClientNonce, _ = extra["nonce"].(string)
	if b, err := base64.StdEncoding.DecodeString(x.ClientNonce); err != nil || len(b) == 0 || len(b) > 256 {
		return badNonce
	}
	binding, isString := extra["channel_binding"].(string)
	if a.autobahn || extra["channel_binding"] == nil {
		return nil
	}
	data, ok := proof.Binding(binding, h.Connection.TLS)
	if !isString || !ok {
		return noBinding
	}
	x.Binding, x.BindingData = binding, data
	return nil
}

// repeated reports whether nonce and channel binding in AUTHENTICATE.Extra are those of
// HELLO and CHALLENGE. Autobahn sends no Extra.
func (a *scram) repeated(x *proof.SCRAMExchange, reply *wamp.Authenticate) bool {
	if a.autobahn {
		return true
	}
	again, _ := reply.Extra["nonce"].(string)
	binding, _ := reply.Extra["channel_binding"].(string)
	text, _ := reply.Extra["cbind_data"].(string)
	data, err := base64.StdEncoding.DecodeString(text)
	return err == nil && again == x.Nonce && binding == x.Binding && hmac.Equal(data, x.BindingData)
}

var (
	badAuthID = failed("HELLO.Details.authid is empty, or holds characters that SASLprep prohibits")
	badNonce  = failed("HELLO.Details.authextra.nonce must be the base64 of 1 to 256 bytes")
	noBinding = failed("this connection does not support the channel binding in HELLO.Details.authextra.channel_binding")
)
