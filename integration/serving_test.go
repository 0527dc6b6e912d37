package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// certificate writes a self-signed certificate for 127.0.0.1 and its key, and
// returns it parsed.
func certificate(t *testing.T, certFile, keyFile, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// TLS on both transports, with client certificates as identities; the server
// takes a new certificate when its files change, and nobody loses a session.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	first, _ := certificate(t, at("cert.pem"), at("key.pem"), "first")
	_, _ = certificate(t, at("client.pem"), at("client-key.pem"), "alice")
	pair, err := tls.LoadX509KeyPair(at("client.pem"), at("client-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	p := startServer(t, fmt.Sprintf(`
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
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return transport.Dial(ctx, url, transport.DialOptions{TLS: config, Serializer: wamp.CBOR})
	}
	var peers []*peer
	for _, over := range []string{"websocket", "rawsocket"} {
		conn, err := dial(p.urls[over], &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		alice := &peer{t: t, name: "alice", conn: conn}
		alice.hello(func(h *wamp.Hello) { h.Details.AuthMethods = []string{"tls"} })
		if alice.welcome.AuthID != "alice" || alice.welcome.AuthRole != "user" || alice.welcome.AuthMethod != "tls" {
			t.Errorf("%s: %+v", over, alice.welcome)
		}
		peers = append(peers, alice)
		if conn, err := dial(p.urls[over], &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
			_ = conn.Close()
			t.Error("TLS 1.1 is spoken")
		}
	}
	if !served.Equal(first) {
		t.Error("another certificate")
	}
	second, _ := certificate(t, at("cert.pem"), at("key.pem"), "second")
	for deadline := time.Now().Add(patience); !served.Equal(second); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not served")
		}
		conn, err := dial(p.urls["rawsocket"], &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	for _, alice := range peers {
		alice.expectNothing()
		alice.sendRaw([]byte{0xff}) // no message: ABORT can be read though the connection ends
		alice.expectAbort(wamp.ErrProtocolViolation)
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
	p := startServer(t, fmt.Sprintf(`
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
      - {name: anonymous, permissions: [{uri: "", match: prefix, allow: [register, publish]}]}
      - {name: user, permissions: [{uri: com.example., match: prefix, allow: [publish]}]}
      - {name: asked, authorizer: com.example.authorize}
`, dir))
	login := func(authid, ticket string) (*peer, wamp.Message) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		conn, err := transport.Dial(ctx, p.urls["rawsocket"], transport.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		c := &peer{t: t, name: authid, conn: conn}
		h := &wamp.Hello{Realm: realm}
		allFeatures(h)
		h.Details.AuthMethods, h.Details.AuthID = []string{"ticket"}, authid
		c.send(h)
		expect[*wamp.Challenge](c)
		c.send(&wamp.Authenticate{Signature: ticket})
		return c, c.receive()
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
	component := joinServer(t, p, "component", wamp.JSON)
	component.register("com.example.authorize", wamp.RegisterOptions{})
	carol, _ := login("carol", "written here")
	for _, allow := range []bool{true, false} {
		request := carol.publish("com.other.topic", wamp.Attributes{}, carol.clear(1))
		invocation := expect[*wamp.Invocation](component)
		args, _, err := invocation.Payload.Decode()
		if err != nil || len(args) < 3 || args[1] != "com.other.topic" || args[2] != "publish" {
			t.Errorf("asked %v, %v", args, err)
		}
		component.send(&wamp.Yield{Request: invocation.Request, Payload: component.clear(allow)})
		if allow {
			expect[*wamp.Published](carol)
		} else {
			carol.expectError(request, wamp.ErrNotAuthorized)
		}
	}
}

// The admin address with TLS, users and profiles.
func TestGuardedAdmin(t *testing.T) {
	dir := t.TempDir()
	certificate(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), "admin")
	hash, err := bcrypt.GenerateFromPassword([]byte("password of the test"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	web := fmt.Sprintf("tls_server_config: {cert_file: %[1]s/cert.pem, key_file: %[1]s/key.pem}\nbasic_auth_users: {admin: %q}\n", dir, hash)
	if err := os.WriteFile(filepath.Join(dir, "web.yaml"), []byte(web), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServer(t, fmt.Sprintf("listeners: [{rawsocket: \"127.0.0.1:0\"}]\nadmin: {address: \"127.0.0.1:0\", web_config: %s/web.yaml, pprof: true}\n", dir))
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	client := http.Client{Timeout: patience, Transport: transport}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		for password, want := range map[string]int{"": 401, "another": 401, "password of the test": 200} {
			request, err := http.NewRequest("GET", p.urls["admin"]+path, nil)
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
	p := startServer(t, config)
	if page := p.get("/debug/pprof/"); strings.Contains(page, "goroutine") {
		t.Error("profiles are served without having been asked for")
	}
	p = startServer(t, "listeners: [{rawsocket: \"127.0.0.1:0\"}]\nadmin: {address: \"127.0.0.1:0\", pprof: true}\n")
	if page := p.get("/debug/pprof/"); !strings.Contains(page, "goroutine") {
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
		_ = notify.SetReadDeadline(time.Now().Add(patience))
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
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" --config "$1"`, binary(t), file)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=wamp", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr, cmd.Stdout = &testWriter{t: t}, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, urls: map[string]string{"rawsocket": "rs://" + listener.Addr().String()}}
	t.Cleanup(p.stop)
	if got := state(); got != "READY=1" {
		t.Errorf("state %q", got)
	}
	joinServer(t, p, "alice", wamp.JSON).expectNothing()
	p.rewriteFile(file, "listeners: [{rawsocket: \"systemd:wamp\"}]\nadmin: 127.0.0.1:0\nlimits: {calls: 5}\n")
	if got := state(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("state %q", got)
	}
	if got := state(); got != "READY=1" {
		t.Errorf("state %q", got)
	}
	p.stop()
	if got := state(); got != "STOPPING=1" {
		t.Errorf("state %q", got)
	}
}
