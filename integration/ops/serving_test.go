package ops

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// TLS on both transports, with client certificates as identities; the server
// takes a new certificate when its files change, and nobody loses a session.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	first, _ := routertest.SelfSigned(t, at("cert.pem"), at("key.pem"), "first")
	_, _ = routertest.SelfSigned(t, at("client.pem"), at("client-key.pem"), "alice")
	pair, err := tls.LoadX509KeyPair(at("client.pem"), at("client-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	p := routertest.StartProcess(t, fmt.Sprintf(`
listeners:
  - rawsocket: 127.0.0.1:0
    tls: {cert: %[1]s/cert.pem, key: %[1]s/key.pem, client_ca: %[1]s/client.pem}
  - websocket: 127.0.0.1:0
    tls: {cert: %[1]s/cert.pem, key: %[1]s/key.pem, client_ca: %[1]s/client.pem}
admin: 127.0.0.1:0
realms:
  - name: realm1
    auth: {tls: {}}
    principals: [{authid: alice, role: user, tls: {names: [alice]}}]
    roles: [{name: user, permissions: [{uri: "", match: prefix, allow: [publish, subscribe, call, register]}]}]
`, dir))
	var served *x509.Certificate
	dial := func(url string, config *tls.Config) (transport.Conn, error) {
		config.InsecureSkipVerify = true // it is looked at here
		config.VerifyConnection = func(s tls.ConnectionState) error { served = s.PeerCertificates[0]; return nil }
		ctx, cancel := context.WithTimeout(context.Background(), routertest.Timeout)
		defer cancel()
		return transport.Dial(ctx, url, transport.DialOptions{TLS: config, Serializer: wamp.CBOR})
	}
	var peers []*routertest.Peer
	for _, over := range []string{"websocket", "rawsocket"} {
		conn, err := dial(p.URLs[over], &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		alice := &routertest.Peer{T: t, Name: "alice", Conn: conn}
		alice.Hello(func(h *wamp.Hello) { h.Details.AuthMethods = []string{"tls"} })
		if alice.Welcome.AuthID != "alice" || alice.Welcome.AuthRole != "user" || alice.Welcome.AuthMethod != "tls" {
			t.Errorf("%s: %+v", over, alice.Welcome)
		}
		peers = append(peers, alice)
		if conn, err := dial(p.URLs[over], &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
			_ = conn.Close()
			t.Error("TLS 1.1 is spoken")
		}
	}
	if !served.Equal(first) {
		t.Error("another certificate")
	}
	second, _ := routertest.SelfSigned(t, at("cert.pem"), at("key.pem"), "second")
	for deadline := time.Now().Add(routertest.Timeout); !served.Equal(second); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not served")
		}
		conn, err := dial(p.URLs["rawsocket"], &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	for _, alice := range peers {
		alice.ExpectNothing()
		alice.SendRaw([]byte{0xff}) // no message: ABORT can be read though the connection ends
		alice.ExpectAbort(wamp.ErrProtocolViolation)
	}
}

// Principals of the configuration, and a procedure that is asked: for those who
// come in, and for what they may.
func TestAuthenticationConfigured(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ticket"), []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BLINDFOLD_TEST_TICKET", "from the environment")
	p := routertest.StartProcess(t, fmt.Sprintf(`
listeners: [{rawsocket: "127.0.0.1:0"}]
admin: 127.0.0.1:0
realms:
  - name: realm1
    anonymous: {role: anonymous}
    auth:
      ticket: {}
      wampcra: {procedure: com.example.authenticate}
    principals:
      - {authid: alice, role: user, ticket: {file: %s/ticket}}
      - {authid: bob, role: user, ticket: {env: BLINDFOLD_TEST_TICKET}}
      - {authid: carol, role: asked, ticket: {value: written here}}
    roles:
      - {name: anonymous, permissions: [{uri: "", match: prefix, allow: [publish]}, {uri: com.example.authorize, allow: [register]}]}
      - {name: user, permissions: [{uri: com.example., match: prefix, allow: [publish]}]}
      - {name: asked, authorizer: com.example.authorize}
`, dir))
	login := func(authid, ticket string) (*routertest.Peer, wamp.Message) {
		ctx, cancel := context.WithTimeout(context.Background(), routertest.Timeout)
		defer cancel()
		conn, err := transport.Dial(ctx, p.URLs["rawsocket"], transport.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		c := &routertest.Peer{T: t, Name: authid, Conn: conn}
		h := &wamp.Hello{Realm: routertest.Realm}
		routertest.AllFeatures(h)
		h.Details.AuthMethods, h.Details.AuthID = []string{"ticket"}, authid
		c.Send(h)
		routertest.Expect[*wamp.Challenge](c)
		c.Send(&wamp.Authenticate{Signature: ticket})
		return c, c.Receive()
	}
	for authid, ticket := range map[string]string{"alice": "from a file", "bob": "from the environment", "carol": "written here"} {
		if _, m := login(authid, ticket); m.Type() != wamp.TypeWelcome {
			t.Errorf("%s: %+v", authid, m)
		}
		if _, m := login(authid, "wrong"); m.Type() != wamp.TypeAbort {
			t.Errorf("%s with another ticket: %+v", authid, m)
		}
	}
	// A component serves the authorizer.
	component := routertest.JoinProcess(t, p, "component", wamp.JSON)
	component.Register("com.example.authorize", wamp.RegisterOptions{})
	carol, _ := login("carol", "written here")
	for _, allow := range []bool{true, false} {
		request := carol.Publish("com.other.topic", wamp.Attributes{}, carol.Clear(1))
		invocation := routertest.Expect[*wamp.Invocation](component)
		args, _, err := invocation.Payload.Decode()
		if err != nil || len(args) < 3 || args[1] != "com.other.topic" || args[2] != "publish" {
			t.Errorf("asked %v, %v", args, err)
		}
		component.Send(&wamp.Yield{Request: invocation.Request, Payload: component.Clear(allow)})
		if allow {
			routertest.Expect[*wamp.Published](carol)
		} else {
			carol.ExpectError(request, wamp.ErrNotAuthorized)
		}
	}
}

// The admin address with TLS, users and profiles.
func TestGuardedAdmin(t *testing.T) {
	dir := t.TempDir()
	routertest.SelfSigned(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), "admin")
	hash, err := bcrypt.GenerateFromPassword([]byte("password of the test"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	web := fmt.Sprintf("tls_server_config: {cert_file: %[1]s/cert.pem, key_file: %[1]s/key.pem}\nbasic_auth_users: {admin: %q}\n", dir, hash)
	if err := os.WriteFile(filepath.Join(dir, "web.yaml"), []byte(web), 0o600); err != nil {
		t.Fatal(err)
	}
	p := routertest.StartProcess(t, fmt.Sprintf("listeners: [{rawsocket: \"127.0.0.1:0\"}]\nadmin: {address: \"127.0.0.1:0\", web_config: %s/web.yaml, pprof: true}\n", dir))
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	client := http.Client{Timeout: routertest.Timeout, Transport: transport}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		for password, want := range map[string]int{"": 401, "another": 401, "password of the test": 200} {
			request, err := http.NewRequest("GET", p.URLs["admin"]+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if password != "" {
				request.SetBasicAuth("admin", password)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s with the password %q: %d, want %d", path, password, response.StatusCode, want)
			}
		}
	}
}

// Profiles are there only where they are asked for.
func TestProfilesOnlyWhenAskedFor(t *testing.T) {
	p := routertest.StartProcess(t, routertest.Config)
	if page := p.Get("/debug/pprof/"); strings.Contains(page, "goroutine") {
		t.Error("profiles are served without having been asked for")
	}
	p = routertest.StartProcess(t, "listeners: [{rawsocket: \"127.0.0.1:0\"}]\nadmin: {address: \"127.0.0.1:0\", pprof: true}\n")
	if page := p.Get("/debug/pprof/"); !strings.Contains(page, "goroutine") {
		t.Errorf("no profiles: %q", page)
	}
}

// A service manager passes a socket, and is told how the server is.
func TestServiceManager(t *testing.T) {
	dir := t.TempDir()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = notify.Close() }()
	state := func() string {
		var b [1024]byte
		_ = notify.SetReadDeadline(time.Now().Add(routertest.Timeout))
		n, err := notify.Read(b[:])
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	file := filepath.Join(dir, "blindfold.yaml")
	if err := os.WriteFile(file, []byte("listeners: [{rawsocket: \"systemd:wamp\"}]\nadmin: 127.0.0.1:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// LISTEN_PID must be the server's own: the shell becomes it.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" --config "$1"`, routertest.RouterBinary(t), file)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=wamp", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr, cmd.Stdout = &routertest.LogWriter{T: t}, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &routertest.Process{T: t, Cmd: cmd, URLs: map[string]string{"rawsocket": "rs://" + listener.Addr().String()}}
	t.Cleanup(p.Stop)
	if got := state(); got != "READY=1" {
		t.Errorf("state %q", got)
	}
	routertest.JoinProcess(t, p, "alice", wamp.JSON).ExpectNothing()
	p.RewriteFile(file, "listeners: [{rawsocket: \"systemd:wamp\"}]\nadmin: 127.0.0.1:0\nlimits: {calls: 5}\n")
	if got := state(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("state %q", got)
	}
	if got := state(); got != "READY=1" {
		t.Errorf("state %q", got)
	}
	p.Stop()
	if got := state(); got != "STOPPING=1" {
		t.Errorf("state %q", got)
	}
}
