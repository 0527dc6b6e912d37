package auth

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"

	"crypto/tls"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// python is a process that answers with Autobahn|Python's authenticators.
type python struct {
	t   *testing.T
	in  *json.Encoder
	out *bufio.Scanner
}

// startAutobahn starts testdata/answers.py with Debian's Python.
func startAutobahn(t *testing.T) *python {
	t.Helper()
	interpreter := testenv.Python()
	if err := exec.Command(interpreter, "-c", "import autobahn, nacl, argon2, passlib, cryptography").Run(); err != nil {
		testenv.SkipMissing(t, "Autobahn|Python is not installed: apt-get install python3-autobahn python3-nacl python3-argon2 python3-passlib")
	}
	cmd := exec.CommandContext(t.Context(), interpreter, "testdata/answers.py")
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	return &python{t, json.NewEncoder(in), bufio.NewScanner(out)}
}

func (p *python) ask(question map[string]any) map[string]any {
	p.t.Helper()
	if err := p.in.Encode(question); err != nil {
		p.t.Fatal(err)
	}
	if !p.out.Scan() {
		p.t.Fatal("the Python process has ended")
	}
	var reply map[string]any
	if err := json.Unmarshal(p.out.Bytes(), &reply); err != nil {
		p.t.Fatal(err)
	}
	return reply
}

// autobahnAnswer is an answer.Method whose answers Autobahn gives.
type autobahnAnswer struct {
	*python
	name, authID string
	arguments    map[string]any
}

func (a *autobahnAnswer) Method() string { return a.name }

func (a *autobahnAnswer) Start(d *wamp.HelloDetails) answer.Handshake {
	arguments := map[string]any{"name": a.name, "authid": a.authID}
	for k, v := range a.arguments {
		arguments[k] = v
	}
	d.AuthID = a.authID
	d.AuthExtra, _ = a.ask(map[string]any{"new": arguments})["authextra"].(map[string]any)
	return a
}

func (a *autobahnAnswer) Respond(_ context.Context, c *wamp.Challenge, info *transport.Info) (string, map[string]any, error) {
	var unique any
	if info.TLS != nil {
		unique = hex.EncodeToString(info.TLS.TLSUnique)
	}
	signature, _ := a.ask(map[string]any{"challenge": c.Extra, "tls_unique": unique})["signature"].(string)
	return signature, nil, nil
}

func (a *autobahnAnswer) VerifyRouter(d *wamp.WelcomeDetails) error {
	if text, failed := a.ask(map[string]any{"welcome": d.AuthExtra})["error"].(string); failed {
		return errors.New(text)
	}
	return nil
}

// TestAutobahnAuthenticates lets Autobahn|Python 22.7.1 answer our challenges.
func TestAutobahnAuthenticates(t *testing.T) {
	py, everybody := startAutobahn(t), principals()
	tls12 := overTLS(t, tls.VersionTLS12, tls.Certificate{}, tls.NoClientCert)
	seed := hex.EncodeToString(joeKey.Seed())
	for _, c := range []struct {
		name, method, authID string
		serve                func(Principals) router.Authenticator
		right, wrong         map[string]any
		over                 link
	}{
		{"ticket", "ticket", "ticket", Ticket, map[string]any{"ticket": password}, map[string]any{"ticket": "x"}, plain()},
		{"wampcra", "wampcra", "cra", CRA, map[string]any{"secret": password}, map[string]any{"secret": "x"}, plain()},
		{"wampcra, salted", "wampcra", "salted", CRA, map[string]any{"secret": password}, map[string]any{"secret": "x"}, plain()},
		{"scram", proof.AutobahnSCRAMMethod, "autobahn", AutobahnSCRAM, map[string]any{"password": password}, map[string]any{"password": "x"}, plain()},
		{"cryptosign", "cryptosign", "joe", Cryptosign, map[string]any{"privkey": seed},
			map[string]any{"privkey": hex.EncodeToString(evesKey.Seed())}, plain()},
		{"cryptosign, bound", "cryptosign", "joe", Cryptosign,
			map[string]any{"privkey": seed, "authextra": map[string]any{"channel_binding": "tls-unique"}},
			map[string]any{"privkey": hex.EncodeToString(evesKey.Seed()), "authextra": map[string]any{"channel_binding": "tls-unique"}}, tls12},
	} {
		t.Run(c.name, func(t *testing.T) {
			py.t = t
			identity, err := attempt(t, c.serve(everybody), &autobahnAnswer{py, c.method, c.authID, c.right}, c.over, nil)
			if err != nil || identity.AuthID != c.authID {
				t.Errorf("%+v, %v", identity, err)
			}
			_, err = attempt(t, c.serve(everybody), &autobahnAnswer{py, c.method, c.authID, c.wrong}, c.over, nil)
			refusedWith(t, err, wamp.ErrAuthenticationFailed)
		})
	}
}

// TestAnswersAreAutobahns compares our answers with Autobahn's to one challenge.
func TestAnswersAreAutobahns(t *testing.T) {
	py, info := startAutobahn(t), plain().client
	challenge := map[string]any{"challenge": "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d"}
	salted := map[string]any{"challenge": `{"nonce":"LHRTC9zeOIrt_9U3"}`, "salt": "salt123", "iterations": 1000, "keylen": 32}
	for _, c := range []struct {
		ours      answer.Method
		arguments map[string]any
		extra     map[string]any
	}{
		{answer.Cryptosign("joe", joeKey, ""), map[string]any{"privkey": hex.EncodeToString(joeKey.Seed())}, challenge},
		{answer.CRA("joe", NewSecret(password)), map[string]any{"secret": password}, challenge},
		{answer.CRA("joe", NewSecret(password)), map[string]any{"secret": password}, salted},
	} {
		message := &wamp.Challenge{AuthMethod: c.ours.Method(), Extra: c.extra}
		got, _, err := c.ours.Start(new(wamp.HelloDetails)).Respond(t.Context(), message, info)
		if err != nil {
			t.Fatal(err)
		}
		theirs := &autobahnAnswer{py, c.ours.Method(), "joe", c.arguments}
		theirs.Start(&wamp.HelloDetails{})
		if want, _, _ := theirs.Respond(t.Context(), message, info); got != want {
			t.Errorf("%s: ours %s, Autobahn's %s", c.ours.Method(), got, want)
		}
	}
}
