package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// CRA authenticates by a signature with a shared secret, plain or salted (WAMP,
// "Challenge Response Authentication"). The specification puts the role into the
// challenge, so anyone who knows an authid can find out its role.
func CRA(principals Principals) router.Authenticator { return &cra{withDecoys(principals)} }

type cra struct{ principals camouflaged }

func (*cra) Method() string { return "wampcra" }

// craChallenge is what the client signs.
type craChallenge struct {
	Nonce        string  `json:"nonce"`
	AuthProvider string  `json:"authprovider"`
	AuthID       string  `json:"authid"`
	Timestamp    string  `json:"timestamp"`
	AuthRole     string  `json:"authrole"`
	AuthMethod   string  `json:"authmethod"`
	Session      wamp.ID `json:"session"`
}

func (a *cra) Authenticate(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
	if h.Hello.Details.AuthID == "" {
		return nil, noAuthID
	}
	p, known, denied, err := identify(ctx, a.principals, &Claim{Method: a.Method(), AuthID: h.Hello.Details.AuthID, Handshake: h})
	if err != nil {
		return nil, err
	}
	challenge, err := json.Marshal(craChallenge{
		// The authid of HELLO. Another one from the principals would reveal that the principal exists.
		Nonce: nonce(), AuthProvider: p.provider(), AuthID: h.Hello.Details.AuthID,
		Timestamp: time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		AuthRole:  p.role(h), AuthMethod: a.Method(), Session: h.Session,
	})
	if err != nil {
		return nil, err
	}
	extra := map[string]any{"challenge": string(challenge)}
	if p.CRA.Salt != "" {
		extra["salt"], extra["iterations"], extra["keylen"] = p.CRA.Salt, p.CRA.Iterations, p.CRA.KeyLength
	}
	reply, err := h.Challenge(extra)
	if err != nil {
		return nil, err
	}
	want := proof.CRASignature(p.CRA.Secret, string(challenge))
	if right := hmac.Equal([]byte(reply.Signature), []byte(want)); !right || !known {
		return nil, denied
	}
	return p.identity(h)
}

// nonce returns 128 random bits in base64.
func nonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}
