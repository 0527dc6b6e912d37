package interop

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// What those who log in know. Their names say by which method.
const loginSecret = "correct horse battery staple"

var (
	loginSeed = []byte("a seed of the tests, of 32 bytes")
	otherSeed = []byte("some other seed, also 32 bytes !")
)

// startLoginServer runs the built server with a principal for each method, on
// WebSocket and RawSocket, by TLS if asked.
func startLoginServer(t *testing.T, overTLS bool) *routertest.Process {
	t.Helper()
	listeners := "listeners: [{websocket: \"127.0.0.1:0\"}, {rawsocket: \"127.0.0.1:0\"}]\n"
	if overTLS {
		dir := t.TempDir()
		cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		routertest.SelfSigned(t, cert, key, "router")
		listeners = fmt.Sprintf("listeners: [{websocket: \"127.0.0.1:0\", tls: {cert: %[1]s, key: %[2]s}}, {rawsocket: \"127.0.0.1:0\", tls: {cert: %[1]s, key: %[2]s}}]\n", cert, key)
	}
	public := ed25519.NewKeyFromSeed(loginSeed).Public().(ed25519.PublicKey)
	return routertest.StartProcess(t, listeners+fmt.Sprintf(`
admin: 127.0.0.1:0
realms:
  - name: realm1
    auth: {ticket: {}, wampcra: {}, scram: {}, cryptosign: {}}
    principals:
      - {authid: ticket, role: user, ticket: {value: %[1]s}}
      - {authid: hashed, role: user, ticket: {hash: "$argon2id$v=19$m=256,t=4,p=1$MTYgYnl0ZXMgb2Ygc2FsdA$RYqGDReXKxswgpA7yddWm06OBJV6ZzNM7SYxfmBHM4E"}}
      - {authid: cra, role: user, wampcra: {secret: {value: %[1]s}}}
      - {authid: salted, role: user, wampcra: {password: {value: %[1]s}, salt: salt123, iterations: 1000}}
      - {authid: pbkdf2, role: user, scram: {password: {value: %[1]s}, kdf: pbkdf2, salt: "c0ffee00c0ffee00", iterations: 4096}}
      - {authid: autobahn, role: user, scram: {password: {value: %[1]s}, kdf: argon2id-13, salt: "c0ffee00c0ffee00", iterations: 16, memory: 512}}
      - {authid: joe, role: user, cryptosign: [%[2]x]}
    roles: [{name: user}]
  - name: realm2
    auth: {scram: {}}
    principals:
      - {authid: argon2, role: user, scram: {password: {value: %[1]s}, kdf: argon2id13, salt: "c0ffee00c0ffee00", iterations: 16, memory: 512}}
      - {authid: autobahn, role: user, scram: {password: {value: %[1]s}, kdf: argon2id-13, salt: "c0ffee00c0ffee00", iterations: 16, memory: 512}}
    roles: [{name: user}]
`, loginSecret, []byte(public)))
}

// attempts are logins in a client's own words, and what comes of them.
type attempt struct {
	name   string
	ask    map[string]any
	answer map[string]any
}

// welcomed is what a client says that was let in.
func welcomed(authID, method string) map[string]any {
	return map[string]any{"authid": authID, "authrole": "user", "authmethod": method}
}

var turnedAway = map[string]any{"left": "wamp.error.authentication_failed"}

// logIn runs a client that takes attempts from its standard input.
func logIn(t *testing.T, name string, cmd *exec.Cmd, cancel context.CancelFunc, first map[string]any, attempts []attempt) {
	t.Helper()
	cmd.Stderr = &routertest.LogWriter{T: t}
	stdin, err := cmd.StdinPipe()
	routertest.NoError(t, err)
	client := runScript(t, name, cmd, cancel)
	if first != nil {
		client.want(first)
	}
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			client.t = t
			line, err := json.Marshal(a.ask)
			routertest.NoError(t, err)
			_, err = stdin.Write(append(line, '\n'))
			routertest.NoError(t, err)
			client.want(a.answer)
		})
	}
	client.t = t
	routertest.NoError(t, stdin.Close())
	client.wantEnd("done")
}

func pythonLogin(t *testing.T, url string, s wamp.Serializer, realm string, attempts []attempt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, testenv.Python(), "login.py", url, s.String(), realm)
	cmd.Dir = "testdata/autobahn"
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	logIn(t, "login.py", cmd, cancel, nil, attempts)
}

// Autobahn|Python logs in by each method that it has, and does not with another
// secret, nor as somebody who does not exist.
func TestAutobahnLogsIn(t *testing.T) {
	needAutobahn(t)
	if out, err := exec.Command(testenv.Python(), "-c", "import argon2, passlib").CombinedOutput(); err != nil {
		testenv.SkipMissing(t, "Autobahn|Python has no SCRAM: apt-get install python3-argon2 python3-passlib\n"+string(out))
	}
	seed := hex.EncodeToString(loginSeed)
	attempts := []attempt{
		{"ticket", map[string]any{"name": "ticket", "authid": "ticket", "ticket": loginSecret}, welcomed("ticket", "ticket")},
		{"ticket, wrong", map[string]any{"name": "ticket", "authid": "ticket", "ticket": "wrong"}, turnedAway},
		{"ticket, hashed", map[string]any{"name": "ticket", "authid": "hashed", "ticket": loginSecret}, welcomed("hashed", "ticket")},
		{"ticket, hashed, wrong", map[string]any{"name": "ticket", "authid": "hashed", "ticket": "wrong"}, turnedAway},
		{"ticket, nobody", map[string]any{"name": "ticket", "authid": "nobody", "ticket": loginSecret}, turnedAway},
		{"wampcra", map[string]any{"name": "wampcra", "authid": "cra", "secret": loginSecret}, welcomed("cra", "wampcra")},
		{"wampcra, wrong", map[string]any{"name": "wampcra", "authid": "cra", "secret": "wrong"}, turnedAway},
		{"wampcra, salted", map[string]any{"name": "wampcra", "authid": "salted", "secret": loginSecret}, welcomed("salted", "wampcra")},
		{"wampcra, salted, wrong", map[string]any{"name": "wampcra", "authid": "salted", "secret": "wrong"}, turnedAway},
		{"wampcra, nobody", map[string]any{"name": "wampcra", "authid": "nobody", "secret": loginSecret}, turnedAway},
		{"scram, argon2id-13", map[string]any{"name": "scram", "authid": "autobahn", "password": loginSecret}, welcomed("autobahn", "scram")},
		{"scram, argon2id-13, wrong", map[string]any{"name": "scram", "authid": "autobahn", "password": "wrong"}, turnedAway},
		// Autobahn hands the salt to PBKDF2 as text, which that refuses: it never
		// answers such a challenge.
		{"scram, pbkdf2", map[string]any{"name": "scram", "authid": "pbkdf2", "password": loginSecret}, map[string]any{"failed": "ValueError: Invalid argument types"}},
		{"cryptosign", map[string]any{"name": "cryptosign", "authid": "joe", "privkey": seed}, welcomed("joe", "cryptosign")},
		{"cryptosign, another key", map[string]any{"name": "cryptosign", "authid": "joe", "privkey": hex.EncodeToString(otherSeed)}, turnedAway},
		{"cryptosign, as another", map[string]any{"name": "cryptosign", "authid": "cra", "privkey": seed}, turnedAway},
	}
	p := startLoginServer(t, false)
	for _, over := range []string{"websocket", "rawsocket"} {
		for _, s := range wamp.Serializers {
			t.Run(over+"/"+s.String(), func(t *testing.T) { pythonLogin(t, p.URLs[over], s, routertest.Realm, attempts) })
		}
	}
	// A password that was hashed for the specification's SCRAM can't serve
	// Autobahn's: its owner looks like nobody.
	pythonLogin(t, p.URLs["websocket"], wamp.JSON, "realm2", []attempt{
		{"realm2: scram, argon2id13", map[string]any{"name": "scram", "authid": "argon2", "password": loginSecret}, turnedAway},
		{"realm2: scram, argon2id-13", map[string]any{"name": "scram", "authid": "autobahn", "password": loginSecret}, welcomed("autobahn", "scram")},
	})
}

// With TLS 1.2 Autobahn|Python binds its signature to the connection.
func TestAutobahnLogsInBoundToTLS(t *testing.T) {
	needAutobahn(t)
	p := startLoginServer(t, true)
	bound := func(seed []byte) map[string]any {
		return map[string]any{"name": "cryptosign", "authid": "joe", "privkey": hex.EncodeToString(seed), "tls": true,
			"authextra": map[string]any{"channel_binding": "tls-unique"}}
	}
	pythonLogin(t, p.URLs["websocket"], wamp.CBOR, routertest.Realm, []attempt{
		{"cryptosign", bound(loginSeed), welcomed("joe", "cryptosign")},
		{"cryptosign, another key", bound(otherSeed), turnedAway},
		{"wampcra", map[string]any{"name": "wampcra", "authid": "cra", "secret": loginSecret, "tls": true}, welcomed("cra", "wampcra")},
	})
}

// Autobahn|JS logs in by each method that it has, and by the specification's
// SCRAM, which it leaves to the application.
func TestAutobahnJSLogsIn(t *testing.T) {
	needJavaScript(t, "autobahn")
	ask := func(method, authID, secret string) map[string]any {
		return map[string]any{"method": method, "authid": authID, "secret": secret}
	}
	attempts := []attempt{
		{"ticket", ask("ticket", "ticket", loginSecret), welcomed("ticket", "ticket")},
		{"ticket, wrong", ask("ticket", "ticket", "wrong"), turnedAway},
		{"wampcra", ask("wampcra", "cra", loginSecret), welcomed("cra", "wampcra")},
		{"wampcra, wrong", ask("wampcra", "cra", "wrong"), turnedAway},
		{"wampcra, salted", ask("wampcra", "salted", loginSecret), welcomed("salted", "wampcra")},
		{"wampcra, salted, wrong", ask("wampcra", "salted", "wrong"), turnedAway},
		{"wamp-scram, pbkdf2", ask("wamp-scram", "pbkdf2", loginSecret), welcomed("pbkdf2", "wamp-scram")},
		{"wamp-scram, pbkdf2, wrong", ask("wamp-scram", "pbkdf2", "wrong"), turnedAway},
		{"cryptosign", ask("cryptosign", "joe", hex.EncodeToString(loginSeed)), welcomed("joe", "cryptosign")},
		{"cryptosign, another key", ask("cryptosign", "joe", hex.EncodeToString(otherSeed)), turnedAway},
		{"cryptosign, as another", ask("cryptosign", "cra", hex.EncodeToString(loginSeed)), turnedAway},
	}
	p := startLoginServer(t, false)
	for _, s := range wamp.Serializers {
		t.Run(s.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			cmd := exec.CommandContext(ctx, "node", "login.mjs", p.URLs["websocket"], s.String())
			cmd.Dir = "js"
			// When Autobahn|JS gets a SCRAM of its own, this is to use that.
			has := map[string]any{"methods": []any{"auth_persona", "auth_cra", "auth_cryptosign"}}
			logIn(t, "login.mjs", cmd, cancel, has, attempts)
		})
	}
}
