package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

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
	routertest.NoError(t, err)
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
	a, stranger := routertest.NewAuthority(t), routertest.NewAuthority(t)
	p := routertest.StartProcess(t, a.Listeners())
	for _, over := range []string{"websocket", "rawsocket"} {
		t.Run(over, func(t *testing.T) {
			url := p.URLs[over]
			for _, serializer := range wamp.Serializers {
				c := client.Config{URL: url, Realm: routertest.Realm, Serializer: serializer, TLS: a.Trust()}
				alice, err := client.Dial(routertest.Context(t), c)
				routertest.NoError(t, err)
				bob, err := client.Dial(routertest.Context(t), c)
				routertest.NoError(t, err)
				talk(t, alice, bob, false)
			}
			for name, config := range map[string]*tls.Config{"wrong CA": stranger.Trust(), "the system's CAs": nil} {
				s, err := client.Dial(routertest.Context(t), client.Config{URL: url, Realm: routertest.Realm, TLS: config})
				var unknown x509.UnknownAuthorityError
				if !errors.As(err, &unknown) {
					t.Errorf("%s: session %v, error %v", name, s, err)
				}
			}
			elsewhere := a.Trust()
			elsewhere.ServerName = "router.example.com"
			s, err := client.Dial(routertest.Context(t), client.Config{URL: url, Realm: routertest.Realm, TLS: elsewhere})
			var name x509.HostnameError
			if !errors.As(err, &name) {
				t.Errorf("another name: session %v, error %v", s, err)
			}
			// TLS to who speaks none, and none to who does.
			plain := routertest.NewWorld(t).URLs[over]
			for _, wrong := range []string{strings.Replace(url, "ss://", "s://", 1), strings.Replace(plain, "s://", "ss://", 1)} {
				if s, err := client.Dial(routertest.Context(t), client.Config{URL: wrong, Realm: routertest.Realm, TLS: a.Trust()}); err == nil {
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
	a := routertest.NewAuthority(t)
	p := routertest.StartProcess(t, a.Listeners()+principals)
	for _, over := range []string{"websocket", "rawsocket"} {
		t.Run(over, func(t *testing.T) {
			direct, err := url.Parse(p.URLs[over])
			routertest.NoError(t, err)
			way := newRelay(t, direct.Host)
			relayed := *direct
			relayed.Host = way.Addr().String()
			states, events := make(chan client.State, 10), make(chan *client.Event, 10)
			c := client.Config{
				URL: relayed.String(), Realm: routertest.Realm, TLS: a.Trust(),
				Auth:      []client.Authenticator{answer.SCRAM("joe", proof.NewSecret(rightSecret), proof.TLSExporter)},
				Reconnect: &client.Reconnect{Min: time.Millisecond, Max: 20 * time.Millisecond},
				OnState:   func(s client.State, _ error) { states <- s },
				OnError:   func(err error) { t.Error(err) },
			}
			bob, err := client.Dial(routertest.Context(t), c)
			routertest.NoError(t, err)
			defer bob.Close()
			ctx := routertest.Context(t)
			_, err = bob.Subscribe(ctx, "com.topic", func(_ context.Context, e *client.Event) { events <- e }, client.SubscribeOptions{})
			routertest.NoError(t, err)
			_, err = bob.Register(ctx, "com.procedure", func(context.Context, *client.Invocation) (*client.Result, error) { return nil, nil }, client.RegisterOptions{})
			routertest.NoError(t, err)
			c.URL, c.Reconnect, c.OnState = direct.String(), nil, nil
			c.Auth = []client.Authenticator{answer.SCRAM("joe", proof.NewSecret(rightSecret), "")}
			alice, err := client.Dial(ctx, c)
			routertest.NoError(t, err)
			defer alice.Close()
			for range 3 {
				first := bob.ID()
				way.cut()
				for _, want := range []client.State{client.Reconnecting, client.Connected} {
					if got := routertest.Receive(t, states); got != want {
						t.Fatalf("%v, want %v", got, want)
					}
				}
				if welcome, ok := bob.Welcome(); !ok || welcome.AuthID != "joe" || bob.ID() == first {
					t.Errorf("session %d after %d, as %q", bob.ID(), first, welcome.AuthID)
				}
				_, err = alice.Publish(ctx, "com.topic", nil, nil, client.PublishOptions{Acknowledge: true})
				routertest.NoError(t, err)
				routertest.Receive(t, events)
				_, err = alice.Call(ctx, "com.procedure", nil, nil, client.CallOptions{})
				routertest.NoError(t, err)
			}
			routertest.NoError(t, bob.Close())
			if got := routertest.Receive(t, states); got != client.Ended {
				t.Errorf("%v after Close", got)
			}
		})
	}
}
