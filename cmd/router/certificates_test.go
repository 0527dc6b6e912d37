package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

const day = 24 * time.Hour

// --check warns of each certificate that is not valid, or will soon not be, wherever
// the configuration names one.
func TestCertificateWarnings(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	create := func(name string, from, until time.Duration) (cert string) {
		routertest.SelfSignedFor(t, at(name+".pem"), at(name+"-key.pem"), name, from, until)
		text, err := os.ReadFile(at(name + ".pem"))
		routertest.NoError(t, err)
		return string(text)
	}
	write := func(name, text string) { routertest.NoError(t, os.WriteFile(at(name), []byte(text), 0o600)) }
	good := create("good", -day, 15*day)
	soon := create("soon", -day, 13*day)
	create("past", -9*day, -day)
	create("future", day, 90*day)
	write("bundle.pem", good+soon)
	write("web.yaml", "tls_server_config: {cert_file: past.pem, key_file: past-key.pem}\n")
	write("router.yaml", `listeners:
  - {websocket: "127.0.0.1:1", tls: {cert: good.pem, key: good-key.pem}}
  - {websocket: "127.0.0.1:2", tls: {cert: soon.pem, key: soon-key.pem}}
  - {websocket: "127.0.0.1:3", tls: {cert: past.pem, key: past-key.pem}}
  - {websocket: "127.0.0.1:4", tls: {cert: future.pem, key: future-key.pem}}
  - websocket: 127.0.0.1:5
    tls: {cert: good.pem, key: good-key.pem, client_ca: bundle.pem}
admin: {address: "127.0.0.1:6", web_config: web.yaml}
cluster: {nats: ["tls://127.0.0.1:7"], tls: {cert: past.pem, key: past-key.pem, ca: good.pem}}
realms: [{name: a}]
`)
	var stdout, stderr bytes.Buffer
	if status := run([]string{"--check", "--config", at("router.yaml")}, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
	want := []string{
		`3: listeners[1].tls.cert: the certificate of "CN=soon" expires at `,
		`4: listeners[2].tls.cert: the certificate of "CN=past" expired at `,
		`5: listeners[3].tls.cert: the certificate of "CN=future" is not valid before `,
		`7: listeners[4].tls.client_ca: the certificate of "CN=soon" expires at `,
		`8: admin.web_config: the certificate of "CN=past" expired at `,
		`9: cluster.tls.cert: the certificate of "CN=past" expired at `,
	}
	if len(lines) != len(want) {
		t.Fatalf("%d warnings, want %d:\n%s", len(lines), len(want), stderr.String())
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, at("router.yaml")+":"+want[i]) {
			t.Errorf("%s\nwant %s…", line, want[i])
		}
	}
}

// A start and a reload warn in the log.
func TestCertificateWarningsInTheLog(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	routertest.SelfSignedFor(t, at("cert.pem"), at("key.pem"), "first", -day, 90*day)
	routertest.SelfSignedFor(t, at("ca.pem"), at("ca-key.pem"), "authority", -day, 60*day)
	text := fmt.Sprintf("listeners:\n  - rawsocket: 127.0.0.1:0\n  - {rawsocket: \"127.0.0.1:0\", tls: {cert: %[1]s/cert.pem, key: %[1]s/key.pem%%s}}\nadmin: 127.0.0.1:0\nrealms: [{name: a}]\n", dir)
	routertest.NoError(t, os.WriteFile(at("router.yaml"), fmt.Appendf(nil, text, ", client_ca: ca.pem"), 0o600))
	log := new(errorLog)
	c, err := load(at("router.yaml"))
	routertest.NoError(t, err)
	s, err := start(c, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})))
	routertest.NoError(t, err)
	defer s.shutdown()
	if got := log.String(); got != "" {
		t.Errorf("logged: %s", got)
	}
	routertest.SelfSignedFor(t, at("cert.pem"), at("key.pem"), "second", -day, 3*day)
	routertest.NoError(t, os.WriteFile(at("router.yaml"), fmt.Appendf(nil, text, ""), 0o600))
	if s.reload(at("router.yaml"), c) == nil {
		t.Fatalf("logged: %s", log.String())
	}
	const warning = `listeners[1].tls.cert: the certificate of \"CN=second\" expires at `
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, warning) {
		t.Errorf("logged: %s", got)
	}
	// A start warns before it opens a listener, here one whose address is taken.
	taken := strings.TrimPrefix(urlOf(s.addresses[0]), "rs://")
	routertest.NoError(t, os.WriteFile(at("router.yaml"), []byte(strings.Replace(text[:strings.LastIndex(text, "%s")]+"}}\n", "127.0.0.1:0", taken, 1)), 0o600))
	var stdout, stderr bytes.Buffer
	if status := run([]string{"--config", at("router.yaml")}, &stdout, &stderr); status != 1 || !strings.Contains(stderr.String(), warning) {
		t.Errorf("status %d, %s", status, stderr.String())
	}
}
