package integration

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// authority issues certificates for a test.
type authority struct {
	t    testing.TB
	dir  string // of the files: ca.pem, and NAME.pem and NAME-key.pem
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key = a.sign("ca", template)
	return a
}

// issue makes a certificate for 127.0.0.1, as a server and as a client.
func (a *authority) issue(name string) tls.Certificate {
	a.t.Helper()
	cert, key := a.sign(name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *authority) sign(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noError(a.t, err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	noError(a.t, err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	issuer, with := a.cert, a.key
	if issuer == nil {
		issuer, with = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, with)
	noError(a.t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	noError(a.t, err)
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+"-key.pem", "PRIVATE KEY", pkcs8)
	cert, err := x509.ParseCertificate(der)
	noError(a.t, err)
	return cert, key
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	noError(a.t, os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// trust is a client's configuration that trusts the authority, and no other.
func (a *authority) trust(certificates ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, Certificates: certificates}
}

// listeners is the part of a configuration for TLS on both transports, where
// clients may show a certificate of the authority.
func (a *authority) listeners() string {
	a.issue("router")
	return fmt.Sprintf(`
listeners:
  - websocket: 127.0.0.1:0
    tls: {cert: %[1]s/router.pem, key: %[1]s/router-key.pem, client_ca: %[1]s/ca.pem, client_certificates: optional}
  - rawsocket: 127.0.0.1:0
    tls: {cert: %[1]s/router.pem, key: %[1]s/router-key.pem, client_ca: %[1]s/ca.pem, client_certificates: optional}
admin: 127.0.0.1:0
`, a.dir)
}

// relay is a way to an address that can be cut, and that remembers what came
// from there.
type relay struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
	came  bytes.Buffer
	all   sync.WaitGroup
}

func (r *relay) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.came.Write(b)
}

func (r *relay) heard() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.came.Bytes())
}

func newRelay(t testing.TB, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	r := &relay{Listener: l}
	r.all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			r.all.Go(func() {
				_, _ = io.Copy(out, in)
				_ = out.Close()
			})
			r.all.Go(func() {
				_, _ = io.Copy(in, io.TeeReader(out, r))
				_ = in.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
		r.all.Wait()
	})
	return r
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

// A client dials wss and rss, and takes only certificates that it can verify,
// for the name that it dials.
func TestClientDialsTLS(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	p := startServer(t, a.listeners())
	for _, over := range []string{"websocket", "rawsocket"} {
		t.Run(over, func(t *testing.T) {
			url := p.urls[over]
			for _, serializer := range wamp.Serializers {
				c := client.Config{URL: url, Realm: realm, Serializer: serializer, TLS: a.trust()}
				alice, err := client.Dial(patiently(t), c)
				noError(t, err)
				bob, err := client.Dial(patiently(t), c)
				noError(t, err)
				talk(t, alice, bob, false)
			}
			for name, config := range map[string]*tls.Config{"wrong CA": stranger.trust(), "the system's CAs": nil} {
				s, err := client.Dial(patiently(t), client.Config{URL: url, Realm: realm, TLS: config})
				var unknown x509.UnknownAuthorityError
				if !errors.As(err, &unknown) {
					t.Errorf("%s: session %v, error %v", name, s, err)
				}
			}
			elsewhere := a.trust()
			elsewhere.ServerName = "router.example.com"
			s, err := client.Dial(patiently(t), client.Config{URL: url, Realm: realm, TLS: elsewhere})
			var name x509.HostnameError
			if !errors.As(err, &name) {
				t.Errorf("another name: session %v, error %v", s, err)
			}
			// TLS to who speaks none, and none to who does.
			plain := newWorld(t).urls[over]
			for _, wrong := range []string{strings.Replace(url, "ss://", "s://", 1), strings.Replace(plain, "s://", "ss://", 1)} {
				if s, err := client.Dial(patiently(t), client.Config{URL: wrong, Realm: realm, TLS: a.trust()}); err == nil {
					_ = s.Close()
					t.Errorf("%s: a session", wrong)
				}
			}
		})
	}
}

// A lost connection is made again over TLS, with a full handshake and a new
// proof of who one is, and what was subscribed and registered is there again.
func TestClientReconnectsOverTLS(t *testing.T) {
	a := newAuthority(t)
	p := startServer(t, a.listeners()+principals)
	for _, over := range []string{"websocket", "rawsocket"} {
		t.Run(over, func(t *testing.T) {
			direct, err := url.Parse(p.urls[over])
			noError(t, err)
			way := newRelay(t, direct.Host)
			relayed := *direct
			relayed.Host = way.Addr().String()
			states, events := make(chan client.State, 10), make(chan *client.Event, 10)
			c := client.Config{
				URL: relayed.String(), Realm: realm, TLS: a.trust(),
				Auth:      []client.Authenticator{answer.SCRAM("joe", proof.NewSecret(rightSecret), proof.TLSExporter)},
				Reconnect: &client.Reconnect{Min: time.Millisecond, Max: 20 * time.Millisecond},
				OnState:   func(s client.State, _ error) { states <- s },
				OnError:   func(err error) { t.Error(err) },
			}
			bob, err := client.Dial(patiently(t), c)
			noError(t, err)
			defer bob.Close()
			ctx := patiently(t)
			_, err = bob.Subscribe(ctx, "com.topic", func(_ context.Context, e *client.Event) { events <- e }, client.SubscribeOptions{})
			noError(t, err)
			_, err = bob.Register(ctx, "com.procedure", func(context.Context, *client.Invocation) (*client.Result, error) { return nil, nil }, client.RegisterOptions{})
			noError(t, err)
			c.URL, c.Reconnect, c.OnState = direct.String(), nil, nil
			c.Auth = []client.Authenticator{answer.SCRAM("joe", proof.NewSecret(rightSecret), "")}
			alice, err := client.Dial(ctx, c)
			noError(t, err)
			defer alice.Close()
			for range 3 {
				first := bob.ID()
				way.cut()
				for _, want := range []client.State{client.Reconnecting, client.Connected} {
					if got := comes(t, states); got != want {
						t.Fatalf("%v, want %v", got, want)
					}
				}
				if welcome, ok := bob.Welcome(); !ok || welcome.AuthID != "joe" || bob.ID() == first {
					t.Errorf("session %d after %d, as %q", bob.ID(), first, welcome.AuthID)
				}
				_, err = alice.Publish(ctx, "com.topic", nil, nil, client.PublishOptions{Acknowledge: true})
				noError(t, err)
				comes(t, events)
				_, err = alice.Call(ctx, "com.procedure", nil, nil, client.CallOptions{})
				noError(t, err)
			}
			noError(t, bob.Close())
			if got := comes(t, states); got != client.Ended {
				t.Errorf("%v after Close", got)
			}
		})
	}
}
