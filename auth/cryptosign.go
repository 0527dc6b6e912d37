package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"encoding/hex"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/router"
)

// Cryptosign authenticates by an Ed25519 signature (WAMP, "Cryptosign-based
// Authentication"). A client that asks for the channel binding "tls-unique" (TLS
// up to 1.2) or "tls-exporter" (TLS 1.3) gets it. If the connection does not support it,
// CHALLENGE.Extra.channel_binding is null, and the client signs the challenge alone. The
// client may refuse that. Autobahn asks for "tls-unique" only. With TLS 1.3 it signs
// what its TLS library returns, which fails here.
//
// As specified, the binding stops only attackers who relay messages unchanged. The client
// signs the challenge XOR the channel ID of its end. An attacker between two TLS
// connections knows the channel IDs of both, and can XOR them into the challenge. The
// binding of SCRAM stops that attack, because it is signed in addition to the challenge.
//
// The optional parts of cryptosign are not implemented: router authentication, trustroots
// and certificates.
func Cryptosign(principals Principals) router.Authenticator {
	return &cryptosign{withDecoys(principals)}
}

type cryptosign struct{ principals camouflaged }

func (*cryptosign) Method() string { return "cryptosign" }

func (a *cryptosign) Authenticate(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
	text, _ := h.Hello.Details.AuthExtra["pubkey"].(string)
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, badPublicKey
	}
	p, known, denied, err := identify(ctx, a.principals, &Claim{
		Method: a.Method(), AuthID: h.Hello.Details.AuthID, Key: key, Handshake: h,
	})
	if err != nil {
		return nil, err
	}
	var challenge [32]byte
	_, _ = rand.Read(challenge[:])
	extra := map[string]any{"challenge": hex.EncodeToString(challenge[:]), "channel_binding": nil}
	binding, _ := h.Hello.Details.AuthExtra["channel_binding"].(string)
	channelID, bound := proof.ChannelID(binding, h.Connection.TLS)
	if bound {
		extra["channel_binding"] = binding
	} else {
		channelID = nil
	}
	reply, err := h.Challenge(extra)
	if err != nil {
		return nil, err
	}
	want := proof.CryptosignMessage(challenge[:], channelID)
	if right := signed(key, reply.Signature, want); !right || !known {
		return nil, denied
	}
	return p.identity(h)
}

// signed reports whether text is, in hex, a signature of message by key, followed by
// message.
func signed(key ed25519.PublicKey, text string, message []byte) bool {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != ed25519.SignatureSize+len(message) {
		return false
	}
	signature, repeated := b[:ed25519.SignatureSize], b[ed25519.SignatureSize:]
	right := ed25519.Verify(key, message, signature)
	return hmac.Equal(repeated, message) && right
}

var badPublicKey = failed("HELLO.Details.authextra.pubkey must be the hex of an Ed25519 public key")
