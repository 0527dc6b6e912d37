// Package integration tells stories about named peers (Alice publishes, Bob
// subscribes) and a router between them, over real sockets. It is the only
// place where the router and clients meet.
package integration

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/metrics"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if built.dir != "" {
			_ = os.RemoveAll(built.dir)
		}
		os.Exit(status)
	}))
}

// The compiler keeps what the packages promise each other without importing
// each other.
var (
	_ router.Interceptor = (*passthrough.Interceptor)(nil)
	_ router.Announcer   = (*passthrough.Interceptor)(nil)
	_ router.Observer    = (*metrics.Metrics)(nil)
	_ router.Authorizer  = (*auth.Permissions)(nil)
	_ metrics.Source     = (*router.Router)(nil)
)

const realm = "realm1"

// world is a router and all the ways to it.
type world struct {
	t        testing.TB
	router   *router.Router
	registry *prometheus.Registry
	urls     map[string]string // by transport
}

// transports are the ways to a router; "memory" has no URL.
var transports = []string{"websocket", "rawsocket", "unix", "memory"}

// option changes what the router of a world is made of.
type option func(*router.Config, *passthrough.Config)

func withPassthrough(f func(*passthrough.Config)) option {
	return func(_ *router.Config, p *passthrough.Config) { f(p) }
}

func withRouter(f func(*router.Config)) option {
	return func(c *router.Config, _ *passthrough.Config) { f(c) }
}

// newWorld starts a router with the passthrough interceptor, metrics and three
// listeners. It ends with the test, and then checks the router's tables.
func newWorld(t testing.TB, options ...option) *world {
	t.Helper()
	w := &world{t: t, registry: prometheus.NewRegistry(), urls: make(map[string]string)}
	observer, err := metrics.New(w.registry, metrics.Options{Realms: []string{realm}, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c := router.Config{
		Realms:    []router.RealmConfig{{Name: realm, Authenticators: []router.Authenticator{router.Anonymous("anonymous")}}},
		Observers: []router.Observer{observer, router.LogTo(slog.New(slog.DiscardHandler))},
		Limits:    router.Limits{Message: 16 << 20, Queue: 64 << 20},
	}
	var p passthrough.Config
	for _, o := range options {
		o(&c, &p)
	}
	interceptor, err := passthrough.New(p)
	if err != nil {
		t.Fatal(err)
	}
	c.Realms[0].Interceptors = append(c.Realms[0].Interceptors, interceptor)
	if w.router, err = router.New(c); err != nil {
		t.Fatal(err)
	}
	observer.Watch(w.router)
	server := &transport.Server{Handle: w.router.Accept, Rejected: w.router.Rejected, Limits: transport.Limits{MaxMessage: 16 << 20}}
	w.listen(server, "websocket", "tcp", "127.0.0.1:0", func(a net.Addr) string { return "ws://" + a.String() + "/ws" })
	w.listen(server, "rawsocket", "tcp", "127.0.0.1:0", func(a net.Addr) string { return "rs://" + a.String() })
	w.listen(server, "unix", "unix", filepath.Join(t.TempDir(), "s"), func(a net.Addr) string { return "unix://" + a.String() })
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := w.router.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := w.router.Check(); err != nil {
			t.Errorf("the router's tables: %v", err)
		}
	})
	return w
}

func (w *world) listen(server *transport.Server, name, network, address string, url func(net.Addr) string) {
	l, err := net.Listen(network, address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.urls[name] = url(l.Addr())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l, transport.ListenOptions{})
	}()
	w.t.Cleanup(func() { <-done })
}

// dial connects to the world's router.
func (w *world) dial(over string, s wamp.Serializer) transport.Conn {
	w.t.Helper()
	if over == "memory" {
		client, server := transport.Pipe(s)
		go w.router.Accept(server)
		return client
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := transport.Dial(ctx, w.urls[over], transport.DialOptions{Serializer: s})
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// join connects a peer and opens its session.
func (w *world) join(name, over string, s wamp.Serializer, change ...func(*wamp.Hello)) *peer {
	w.t.Helper()
	p := &peer{t: w.t, name: name, conn: w.dial(over, s)}
	w.t.Cleanup(func() { _ = p.conn.Close() })
	p.hello(change...)
	return p
}

// scrape returns what Prometheus would see.
func (w *world) scrape() string {
	w.t.Helper()
	rec := httptest.NewRecorder()
	metrics.Handler(w.registry, w.router.Ready).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	return rec.Body.String()
}

// settle waits until the router has n sessions.
func (w *world) settle(n int) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); w.router.Sessions() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("the router has %d sessions, not %d", w.router.Sessions(), n)
		}
	}
}
