package client_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// joining starts to join, up to the router's HELLO.
func joining(t *testing.T, c client.Config) (*outcome[*client.Session], *server, *wamp.Hello) {
	t.Helper()
	conn, far := transport.Pipe(wamp.CBOR)
	r := &server{t, far}
	t.Cleanup(func() { _ = far.Close() })
	c.Realm = "realm1"
	joined := async(func() (*client.Session, error) { return client.Join(within(t), conn, c) })
	return joined, r, expect[*wamp.Hello](r)
}

// joined ends a session that was opened by joining.
func joined(t *testing.T, r *server, o *outcome[*client.Session]) {
	t.Helper()
	s := o.good(t)
	_ = r.conn.Close()
	_ = s.Close()
}

var opaqueForms = []wamp.Feature{wamp.PayloadPassthruMode, wamp.PayloadTransparency, wamp.PayloadEncryptionCryptobox}

func TestHelloAnnouncesWhatIsSupported(t *testing.T) {
	for _, sealing := range []bool{false, true} {
		c := client.Config{Agent: "me", AuthID: "alice"}
		if sealing {
			c.Sealer = &cryptobox.Box{Keys: new(cryptobox.KeyRing)}
		}
		o, r, hello := joining(t, c)
		d := hello.Details
		if hello.Realm != "realm1" || d.Agent != "me" || d.AuthID != "alice" || d.AuthMethods != nil {
			t.Errorf("HELLO %+v", hello)
		}
		for _, role := range []wamp.Role{d.Roles.Publisher, d.Roles.Subscriber, d.Roles.Caller, d.Roles.Callee} {
			for _, f := range opaqueForms {
				if role.Has(f) != sealing {
					t.Errorf("%v is announced: %v, sealing %v", f, role.Has(f), sealing)
				}
			}
		}
		for _, f := range []wamp.Feature{wamp.CallCanceling, wamp.ProgressiveCallResults, wamp.ProgressiveCallInvocations} {
			if !d.Roles.Callee.Has(f) || !d.Roles.Caller.Has(f) {
				t.Errorf("%v is not announced", f)
			}
		}
		r.send(&wamp.Welcome{Session: 9})
		joined(t, r, o)
	}
}

func TestAbortIsAnError(t *testing.T) {
	o, r, _ := joining(t, client.Config{})
	r.send(&wamp.Abort{Reason: wamp.ErrNoSuchRealm, Details: wamp.Closing{Message: "no such realm"}})
	err := o.bad(t, client.ErrURI(wamp.ErrNoSuchRealm))
	var e *client.Error
	if !errors.As(err, &e) || e.Message != "no such realm" {
		t.Errorf("%#v", err)
	}
	r.expectEnd()
}

func TestHandshakeIsBoundByContext(t *testing.T) {
	conn, far := transport.Pipe(wamp.CBOR)
	r := &server{t, far}
	defer far.Close()
	ctx, cancel := context.WithCancel(context.Background())
	o := async(func() (*client.Session, error) { return client.Join(ctx, conn, client.Config{Realm: "realm1"}) })
	expect[*wamp.Hello](r)
	cancel()
	o.bad(t, context.Canceled)
	r.expectEnd()
}

func TestHandshakeRefusesWhatIsOutOfPlace(t *testing.T) {
	for _, m := range []wamp.Message{
		&wamp.Published{Request: 1, Publication: 1},
		&wamp.Challenge{AuthMethod: "ticket", Extra: map[string]any{}}, // not offered
	} {
		o, r, _ := joining(t, client.Config{})
		r.send(m)
		if a := expect[*wamp.Abort](r); a.Reason != wamp.ErrProtocolViolation {
			t.Errorf("%T: ABORT %s", m, a.Reason)
		}
		o.bad(t, client.ErrURI(wamp.ErrProtocolViolation))
		r.expectEnd()
	}
}

func TestHandshakeRefusesMalformedMessages(t *testing.T) {
	o, r, _ := joining(t, client.Config{})
	r.sendFrame(transport.OpMessage, []byte{0x83, 0x02})
	expect[*wamp.Abort](r)
	o.bad(t, client.ErrURI(wamp.ErrProtocolViolation))
}

func TestChallengeIsAnswered(t *testing.T) {
	o, r, hello := joining(t, client.Config{Auth: []client.Authenticator{
		answer.Ticket("alice", proof.NewSecret("sesame")), answer.CRA("alice", proof.NewSecret("sesame")),
	}})
	if !reflect.DeepEqual(hello.Details.AuthMethods, []string{"ticket", "wampcra"}) || hello.Details.AuthID != "alice" {
		t.Errorf("HELLO %+v", hello.Details)
	}
	r.send(&wamp.Challenge{AuthMethod: "wampcra", Extra: map[string]any{"challenge": "{}"}})
	a := expect[*wamp.Authenticate](r)
	if want := proof.CRASignature(proof.NewSecret("sesame"), "{}"); a.Signature != want {
		t.Errorf("signature %q, not %q", a.Signature, want)
	}
	r.send(&wamp.Welcome{Session: 9, Details: wamp.WelcomeDetails{AuthMethod: "wampcra"}})
	joined(t, r, o)
}

func TestRouterMustProveItself(t *testing.T) {
	scram := answer.SCRAM("alice", proof.NewSecret("sesame"), "")
	for name, d := range map[string]wamp.WelcomeDetails{
		"without challenge, method named":     {AuthMethod: scram.Method()},
		"without challenge, method not named": {},
		"another method":                      {AuthMethod: "anonymous"},
	} {
		o, r, _ := joining(t, client.Config{Auth: []client.Authenticator{scram}})
		r.send(&wamp.Welcome{Session: 9, Details: d})
		expect[*wamp.Abort](r)
		if s, err := o.wait(t); err == nil {
			_ = s.Close()
			t.Errorf("%s: joined", name)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []client.Config{{URL: "ws://x"}, {Realm: "realm1"}, {Realm: "not a uri", URL: "ws://x"}} {
		if _, err := client.Dial(context.Background(), c); err == nil {
			t.Errorf("accepted: %+v", c)
		}
	}
}

// What HELLO can say only once is not left to whichever method comes last.
func TestMethodsHaveToAgree(t *testing.T) {
	secret := proof.NewSecret("sesame")
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for detail, c := range map[string]client.Config{
		"authid or authrole":        {Auth: []client.Authenticator{answer.Ticket("alice", secret), answer.CRA("bob", secret)}},
		"authextra.nonce":           {Auth: []client.Authenticator{answer.SCRAM("alice", secret, ""), answer.AutobahnSCRAM("alice", secret)}},
		"authextra.channel_binding": {Auth: []client.Authenticator{answer.Cryptosign("", key, ""), answer.SCRAM("alice", secret, "tls-exporter")}},
	} {
		slices.Reverse(c.Auth)
		for range 2 {
			slices.Reverse(c.Auth)
			near, far := transport.Pipe(wamp.CBOR)
			c.Realm = "realm1"
			s, err := client.Join(within(t), near, c)
			if err == nil {
				_ = s.Close()
			}
			var conflict *client.AuthConflictError
			if !errors.As(err, &conflict) || conflict.Detail != detail {
				t.Errorf("%s: %v", detail, err)
			}
			(&server{t, far}).expectEnd()
			_ = far.Close()
		}
	}
	c := client.Config{AuthID: "alice", AuthRole: "clerk", Auth: []client.Authenticator{
		answer.SCRAM("alice", secret, "tls-exporter"), answer.Cryptosign("", key, "tls-exporter"), answer.Anonymous(),
	}}
	o, r, hello := joining(t, c)
	d := hello.Details
	if d.AuthID != "alice" || d.AuthRole != "clerk" || d.AuthExtra["nonce"] == nil || d.AuthExtra["pubkey"] == nil || d.AuthExtra["channel_binding"] != "tls-exporter" {
		t.Errorf("HELLO %+v", d)
	}
	r.send(&wamp.Abort{Reason: wamp.ErrAuthenticationFailed})
	o.bad(t, client.ErrURI(wamp.ErrAuthenticationFailed))
}

// What this side refuses in a handshake has a URI, too, and is for good; the
// router is told no more than that.
func TestRefusalsOfThisSide(t *testing.T) {
	why := errors.New("the reason")
	for name, r := range map[string]refuser{"challenge": {answer: why}, "welcome": {welcome: why}} {
		o, far, _ := joining(t, client.Config{Auth: []client.Authenticator{r}})
		far.send(&wamp.Challenge{AuthMethod: "refuser"})
		if r.answer == nil {
			expect[*wamp.Authenticate](far)
			far.send(&wamp.Welcome{Session: 9})
		}
		abort := expect[*wamp.Abort](far)
		err := o.bad(t, client.ErrURI(wamp.ErrAuthenticationFailed))
		if abort.Reason != wamp.ErrAuthenticationFailed || strings.Contains(abort.Details.Message, "reason") || !errors.Is(err, why) {
			t.Errorf("%s: %v, ABORT %+v", name, err, abort)
		}
	}
	// Not tried again: the first reconnect is the last.
	s, r, rs := redial(t, client.Config{Auth: []client.Authenticator{refuser{answer: why}}})
	_ = r.conn.Close()
	rs.expect(client.Reconnecting)
	r = next(t, rs.dialed)
	expect[*wamp.Hello](r)
	r.send(&wamp.Challenge{AuthMethod: "refuser"})
	expect[*wamp.Abort](r)
	if err := rs.expect(client.Ended); !errors.Is(err, client.ErrURI(wamp.ErrAuthenticationFailed)) {
		t.Error(err)
	}
	next(t, s.Done())
}

// refuser is a method that refuses what the router says.
type refuser struct{ answer, welcome error }

func (refuser) Method() string { return "refuser" }

func (r refuser) Start(*wamp.HelloDetails) answer.Handshake { return r }

func (r refuser) Respond(context.Context, *wamp.Challenge, *transport.Info) (string, map[string]any, error) {
	return "", nil, r.answer
}
func (r refuser) VerifyRouter(*wamp.WelcomeDetails) error { return r.welcome }

// A connection that Join was given is closed whatever is wrong.
func TestJoinClosesTheConnection(t *testing.T) {
	near, far := transport.Pipe(wamp.CBOR)
	if _, err := client.Join(within(t), near, client.Config{Realm: "not a uri"}); err == nil {
		t.Error("joined")
	}
	(&server{t, far}).expectEnd()
	_ = far.Close()
}

// Sessions that share an authenticator don't get into each other's handshakes.
func TestSharedAuthenticators(t *testing.T) {
	scram := answer.SCRAM("alice", proof.NewSecret("sesame"), "")
	c := client.Config{Auth: []client.Authenticator{scram}}
	first, r1, hello1 := joining(t, c)
	second, r2, hello2 := joining(t, c)
	for _, begun := range []struct {
		o     *outcome[*client.Session]
		r     *server
		hello *wamp.Hello
	}{{first, r1, hello1}, {second, r2, hello2}} {
		nonce := begun.hello.Details.AuthExtra["nonce"].(string)
		begun.r.send(&wamp.Challenge{AuthMethod: scram.Method(), Extra: map[string]any{
			"nonce": nonce + "SBmkFIh7sSo=", "salt": "W22ZaJ0SNY7soEsUEjb6gQ==", "kdf": "pbkdf2", "iterations": 4096}})
		if a := expect[*wamp.Authenticate](begun.r); a.Extra["nonce"] != nonce+"SBmkFIh7sSo=" {
			t.Errorf("AUTHENTICATE %+v", a)
		}
		begun.r.send(&wamp.Abort{Reason: wamp.ErrAuthenticationFailed})
		begun.o.bad(t, client.ErrURI(wamp.ErrAuthenticationFailed))
	}
}
