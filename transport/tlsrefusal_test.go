package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// A TLS handshake that fails says why: the same line for all of them helps nobody.
func TestTLSRefusalSaysWhy(t *testing.T) {
	server, client := testTLS(t)
	server.MinVersion = tls.VersionTLS12
	required := server.Clone()
	required.ClientAuth, required.ClientCAs = tls.RequireAndVerifyClientCert, client.RootCAs
	for _, c := range []struct {
		name   string
		server *tls.Config
		client func(*tls.Config) // nil: plain text
		want   string
	}{
		{"plain text", server, nil, "the client does not speak TLS"},
		{"unknown authority of the router", server, func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, "does not accept the router's certificate"},
		{"another host name", server, func(c *tls.Config) { c.ServerName = "example.com" }, "does not accept the router's certificate"},
		{"old version", server, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "older than version 1.2"},
		{"another protocol", withProtocols(server, "h2"), func(c *tls.Config) { c.NextProtos = []string{"x"} }, "ALPN"},
		{"no client certificate", required, func(*tls.Config) {}, "the client has none"},
		{"foreign client certificate", required, func(c *tls.Config) { c.Certificates = []tls.Certificate{clientCertificate(t, time.Hour)} }, "client_ca does not have"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			refused := make(chan string, 1)
			s := &Server{Handle: func(conn Conn) { _ = conn.Close(); refused <- "nobody" },
				Rejected: func(r *wamp.Refusal, _ *Info) { refused <- r.Text }}
			served := make(chan struct{})
			go func() {
				defer close(served)
				_ = s.Serve(tls.NewListener(l, c.server), ListenOptions{})
			}()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if c.client == nil {
				_, _ = conn.Write([]byte("GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n"))
			} else {
				config := client.Clone()
				c.client(config)
				_ = tls.Client(conn, config).HandshakeContext(t.Context())
			}
			if text := <-refused; !strings.Contains(text, c.want) || !strings.HasPrefix(text, "TLS handshake failed: ") {
				t.Errorf("%q, want %q", text, c.want)
			}
			_ = s.Close()
			<-served
		})
	}
}

func TestTLSCauseOfAnExpiredCertificate(t *testing.T) {
	expired := &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}
	if text := tlsCause(expired); !strings.Contains(text, "has expired") {
		t.Error(text)
	}
}

func withProtocols(c *tls.Config, names ...string) *tls.Config {
	c = c.Clone()
	c.NextProtos = names
	return c
}

// clientCertificate makes a certificate that no authority has signed.
func clientCertificate(t testing.TB, valid time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
