package answer

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// SCRAM proves knowledge of a password without revealing it, and makes the router prove
// that it knows the password as well (WAMP, "Salted Challenge Response Authentication"). binding is
// "tls-unique", "tls-exporter" or "".
func SCRAM(authID string, password Secret, binding string) Method {
	return withAuthID{authID, scram{password, proof.SCRAMExchange{AuthID: authID, Binding: binding}}}
}

// AutobahnSCRAM is the variant of SCRAM that Autobahn and Crossbar use; see
// proof.AutobahnSCRAMMethod.
func AutobahnSCRAM(authID string, password Secret) Method {
	return withAuthID{authID, scram{password, proof.SCRAMExchange{AuthID: authID, Autobahn: true}}}
}

type scram struct {
	password Secret
	exchange proof.SCRAMExchange // the fields that all handshakes share
}

func (s scram) Method() string {
	if s.exchange.Autobahn {
		return proof.AutobahnSCRAMMethod
	}
	return proof.SCRAMMethod
}

func (s scram) Start(d *wamp.HelloDetails) Handshake {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	a := &scramHandshake{scram: s}
	a.begin(d, nonce[:])
	return a
}

// scramHandshake is the state of one handshake.
type scramHandshake struct {
	scram
	serverKey []byte // after Respond
}

func (a *scramHandshake) begin(d *wamp.HelloDetails, nonce []byte) {
	a.exchange.ClientNonce = base64.StdEncoding.EncodeToString(nonce)
	extra := map[string]any{"nonce": a.exchange.ClientNonce}
	if a.exchange.Binding != "" {
		extra["channel_binding"] = a.exchange.Binding
	}
	addExtra(d, extra)
}

func (a *scramHandshake) Respond(_ context.Context, c *wamp.Challenge, info *transport.Info) (string, map[string]any, error) {
	x := &a.exchange
	prepared, err := proof.PrepareAuthID(x.AuthID)
	if err != nil {
		return "", nil, err
	}
	x.AuthID = prepared
	var ok1, ok2, ok3, ok4 bool
	var parameters proof.SCRAMParameters
	x.Nonce, ok1 = c.Extra["nonce"].(string)
	x.Salt, ok2 = c.Extra["salt"].(string)
	x.Iterations, ok3 = proof.Integer(c.Extra["iterations"])
	parameters.KDF, ok4 = c.Extra["kdf"].(string)
	if !ok1 || !ok2 || !ok3 || !ok4 || strings.Contains(x.Nonce, ",") || (parameters.KDF == proof.Argon2idText) && !x.Autobahn {
		return "", nil, errChallenge
	}
	if len(x.Nonce) <= len(x.ClientNonce) || !strings.HasPrefix(x.Nonce, x.ClientNonce) {
		// The draft joins the nonces' bytes, not their texts.
		if !x.Autobahn || !joinedNonce(x.Nonce, x.ClientNonce) {
			return "", nil, errNonce
		}
	}
	parameters.Iterations = x.Iterations
	parameters.Memory, _ = proof.Integer(c.Extra["memory"])
	if parameters.Salt, err = base64.StdEncoding.DecodeString(x.Salt); err != nil {
		return "", nil, errChallenge
	}
	if x.Binding != "" {
		if x.BindingData, ok1 = proof.Binding(x.Binding, info.TLS); !ok1 {
			return "", nil, errBinding
		}
	}
	salted, err := parameters.SaltedPassword(a.password)
	if err != nil {
		return "", nil, err
	}
	clientKey, storedKey, serverKey := proof.SCRAMKeys(salted)
	a.serverKey = serverKey
	signature := base64.StdEncoding.EncodeToString(proof.ClientProof(clientKey, storedKey, x.AuthMessage()))
	if x.Autobahn {
		return signature, nil, nil
	}
	extra := map[string]any{"nonce": x.Nonce, "channel_binding": nil, "cbind_data": nil}
	if x.Binding != "" {
		extra["channel_binding"] = x.Binding
		extra["cbind_data"] = base64.StdEncoding.EncodeToString(x.BindingData)
	}
	return signature, extra, nil
}

// joinedNonce reports whether the bytes behind nonce begin with those behind
// client, and go on.
func joinedNonce(nonce, client string) bool {
	long, err1 := base64.StdEncoding.DecodeString(nonce)
	short, err2 := base64.StdEncoding.DecodeString(client)
	return err1 == nil && err2 == nil && len(long) > len(short) && string(long[:len(short)]) == string(short)
}

// VerifyRouter checks the server's signature. It is an error if there is none: a
// router that can't make it doesn't know the password's keys.
func (a *scramHandshake) VerifyRouter(d *wamp.WelcomeDetails) error {
	key := "verifier"
	if a.exchange.Autobahn {
		key = "scram_server_signature"
	}
	text, _ := d.AuthExtra[key].(string)
	// The specification's text says base64, its example puts RFC 5802's "v="
	// before it.
	signature, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "v="))
	if err != nil || a.serverKey == nil || !hmac.Equal(signature, proof.ServerSignature(a.serverKey, a.exchange.AuthMessage())) {
		return errServer
	}
	return nil
}

var (
	errNonce  = errors.New("the router's nonce doesn't begin with the client's")
	errServer = errors.New("the router has not proved that it knows the password's keys")
)
