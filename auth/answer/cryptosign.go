package answer

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Cryptosign signs with an Ed25519 key (WAMP, "Cryptosign-based
// Authentication"). authID may be "": the key identifies its owner. With
// binding "tls-unique" or "tls-exporter", the proof is bound to the connection, and a
// router that does not support that gets no proof. "" means no binding. The binding does
// not stop an attacker between two TLS connections who changes the challenge: see
// auth.Cryptosign.
func Cryptosign(authID string, key ed25519.PrivateKey, binding string) Method {
	return withAuthID{authID, &cryptosignMethod{key: func() ed25519.PrivateKey { return key }, binding: binding}}
}

type cryptosignMethod struct {
	noRouterProof
	key     func() ed25519.PrivateKey // a closure, like Secret
	binding string
}

func (*cryptosignMethod) Method() string { return "cryptosign" }

func (a *cryptosignMethod) Start(d *wamp.HelloDetails) Handshake {
	extra := map[string]any{"pubkey": hex.EncodeToString(a.key().Public().(ed25519.PublicKey))}
	if a.binding != "" {
		extra["channel_binding"] = a.binding
	}
	addExtra(d, extra)
	return a
}

func (a *cryptosignMethod) Respond(_ context.Context, c *wamp.Challenge, info *transport.Info) (string, map[string]any, error) {
	text, ok := c.Extra["challenge"].(string)
	challenge, err := hex.DecodeString(text)
	if !ok || err != nil || len(challenge) != 32 {
		return "", nil, errChallenge
	}
	binding, _ := c.Extra["channel_binding"].(string)
	if binding != a.binding {
		return "", nil, errBinding
	}
	var channelID []byte
	if binding != "" {
		if channelID, ok = proof.ChannelID(binding, info.TLS); !ok {
			return "", nil, errBinding
		}
	}
	message := proof.CryptosignMessage(challenge, channelID)
	signed := append(ed25519.Sign(a.key(), message), message...)
	return hex.EncodeToString(signed), nil, nil
}

var errBinding = errors.New("the requested channel binding is not available on this connection")
