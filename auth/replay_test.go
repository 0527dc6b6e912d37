package auth

import (
	"context"
	"testing"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// overheard is what a client sent in one handshake, sent once more in another.
type overheard struct {
	method string
	hello  wamp.HelloDetails
	reply  wamp.Authenticate
	adapts bool // repeats the new nonce, where the answer has one (SCRAM)
}

func (o *overheard) Method() string { return o.method }

func (o *overheard) Start(d *wamp.HelloDetails) answer.Handshake {
	*d = o.hello
	return o
}

func (o *overheard) Respond(_ context.Context, c *wamp.Challenge, _ *transport.Info) (string, map[string]any, error) {
	if _, has := o.reply.Extra["nonce"]; has && o.adapts {
		o.reply.Extra["nonce"] = c.Extra["nonce"]
	}
	return o.reply.Signature, o.reply.Extra, nil
}

func (*overheard) VerifyRouter(*wamp.WelcomeDetails) error { return nil }

// An answer that was right once is worth nothing in any other handshake, though
// all that the client says is the same.
func TestAnswersCantBeReplayed(t *testing.T) {
	everybody := principals()
	for _, c := range []struct {
		name   string
		serve  router.Authenticator
		answer answer.Method
	}{
		{"wampcra", CRA(everybody), answer.CRA("cra", NewSecret(password))},
		{"wampcra, salted", CRA(everybody), answer.CRA("salted", NewSecret(password))},
		{"scram, argon2id13", SCRAM(everybody), answer.SCRAM("argon2", NewSecret(password), "")},
		{"scram, pbkdf2", SCRAM(everybody), answer.SCRAM("pbkdf2,=", NewSecret(password), "")},
		{"Autobahn's scram", AutobahnSCRAM(everybody), answer.AutobahnSCRAM("autobahn", NewSecret(password))},
		{"cryptosign", Cryptosign(everybody), answer.Cryptosign("joe", joeKey, "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			heard := &overheard{method: c.answer.Method()}
			hello := &wamp.Hello{Realm: "realm1"}
			begun := c.answer.Start(&hello.Details)
			heard.hello = hello.Details
			if _, err := authenticate(t, c.serve, hello, c.answer.Method(), begun, plain(), func(a *wamp.Authenticate) { heard.reply = *a }); err != nil {
				t.Fatal(err)
			}
			if heard.reply.Signature == "" {
				t.Fatal("there was no answer")
			}
			for range 2 {
				_, err := attempt(t, c.serve, heard, plain(), nil)
				refusedWith(t, err, wamp.ErrAuthenticationFailed)
				heard.adapts = true
			}
		})
	}
}
