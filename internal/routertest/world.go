package routertest

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/metrics"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Main is for a package's TestMain: it runs the tests, and fails if they leave
// goroutines behind.
func Main(m *testing.M) {
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

// Realm is the realm of a World, and of Config.
const Realm = "realm1"

// World is a router in the test's process, and all the ways to it.
type World struct {
	T        testing.TB
	Router   *router.Router
	registry *prometheus.Registry
	URLs     map[string]string // by transport

	next  *World // another node, see Nodes: a ring
	joins *World // where the next peer goes; of the world that the test has
}

// Nodes, if it is set before tests run, makes every world two nodes of a cluster: peers
// join one and the other by turns. The fields of a World are those of the first. start
// is called with the router that the cluster was made for.
var Nodes func(t testing.TB) (nodes [2]router.Cluster, start func(i int, r *router.Router))

// Transports are the ways to a router; "memory" has no URL.
var Transports = []string{"websocket", "rawsocket", "unix", "memory"}

// Option changes what the router of a world is made of.
type Option func(*router.Config, *passthrough.Config)

// WithPassthrough changes the configuration of the passthrough interceptor.
func WithPassthrough(f func(*passthrough.Config)) Option {
	return func(_ *router.Config, p *passthrough.Config) { f(p) }
}

// WithRouter changes the configuration of the router.
func WithRouter(f func(*router.Config)) Option {
	return func(c *router.Config, _ *passthrough.Config) { f(c) }
}

// NewWorld starts a router with the passthrough interceptor, metrics and three
// listeners. It ends with the test, and then checks the router's tables.
func NewWorld(t testing.TB, options ...Option) *World {
	t.Helper()
	if Nodes == nil {
		return newWorld(t, options)
	}
	nodes, start := Nodes(t)
	var worlds [2]*World
	for i, n := range nodes {
		worlds[i] = newWorld(t, append([]Option{WithRouter(func(c *router.Config) { c.Cluster = n })}, options...))
		start(i, worlds[i].Router)
	}
	worlds[0].next, worlds[1].next = worlds[1], worlds[0]
	worlds[0].joins = worlds[0]
	return worlds[0]
}

func newWorld(t testing.TB, options []Option) *World {
	t.Helper()
	w := &World{T: t, registry: prometheus.NewRegistry(), URLs: make(map[string]string)}
	observer, err := metrics.New(w.registry, metrics.Options{Realms: []string{Realm}, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c := router.Config{
		Realms:    []router.RealmConfig{{Name: Realm, Authenticators: []router.Authenticator{router.Anonymous("anonymous")}}},
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
	if w.Router, err = router.New(c); err != nil {
		t.Fatal(err)
	}
	observer.Watch(w.Router)
	server := &transport.Server{Handle: w.Router.Accept, Rejected: w.Router.Rejected, Limits: transport.Limits{MaxMessage: 16 << 20}}
	w.listen(server, "websocket", "tcp", "127.0.0.1:0", func(a net.Addr) string { return "ws://" + a.String() + "/ws" })
	w.listen(server, "rawsocket", "tcp", "127.0.0.1:0", func(a net.Addr) string { return "rs://" + a.String() })
	w.listen(server, "unix", "unix", filepath.Join(t.TempDir(), "s"), func(a net.Addr) string { return "unix://" + a.String() })
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := w.Router.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		// Changes by other nodes of a cluster may be under way.
		err := w.Router.Check()
		for end := time.Now().Add(time.Second); err != nil && time.Now().Before(end); err = w.Router.Check() {
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			t.Errorf("the router's tables: %v", err)
		}
	})
	return w
}

func (w *World) listen(server *transport.Server, name, network, address string, url func(net.Addr) string) {
	l, err := net.Listen(network, address)
	if err != nil {
		w.T.Fatal(err)
	}
	w.URLs[name] = url(l.Addr())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l, transport.ListenOptions{})
	}()
	w.T.Cleanup(func() { <-done })
}

// Dial connects to the world's router.
func (w *World) Dial(over string, s wamp.Serializer) transport.Conn {
	w.T.Helper()
	if w.joins != nil {
		w, w.joins = w.joins, w.joins.next
	}
	if over == "memory" {
		client, server := transport.Pipe(s)
		go w.Router.Accept(server)
		return client
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := transport.Dial(ctx, w.URLs[over], transport.DialOptions{Serializer: s})
	if err != nil {
		w.T.Fatal(err)
	}
	return conn
}

// Join connects a peer and opens its session.
func (w *World) Join(name, over string, s wamp.Serializer, change ...func(*wamp.Hello)) *Peer {
	w.T.Helper()
	p := &Peer{T: w.T, Name: name, Conn: w.Dial(over, s)}
	w.T.Cleanup(func() { _ = p.Conn.Close() })
	p.Hello(change...)
	return p
}

// Scrape returns what Prometheus would see.
func (w *World) Scrape() string {
	w.T.Helper()
	rec := httptest.NewRecorder()
	metrics.Handler(w.registry, w.Router.Ready).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	return rec.Body.String()
}

// WantMetric fails the test if Prometheus would not see the line.
func (w *World) WantMetric(line string) {
	w.T.Helper()
	text := w.Scrape()
	if w.next != nil {
		text += w.next.Scrape() // one of the nodes has it
	}
	if !strings.Contains(text, line+"\n") {
		name, _, _ := strings.Cut(line, "{")
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, name+"{") && !strings.HasSuffix(l, " 0\n") {
				w.T.Log(l)
			}
		}
		w.T.Errorf("metrics lack %q", line)
	}
}

// WaitSessions waits until the router has n sessions.
func (w *World) WaitSessions(n int) {
	w.T.Helper()
	for deadline := time.Now().Add(Timeout); w.sessions() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.T.Fatalf("the router has %d sessions, not %d", w.sessions(), n)
		}
	}
}

func (w *World) sessions() int {
	n := w.Router.Sessions()
	if w.next != nil {
		n += w.next.Router.Sessions()
	}
	return n
}
