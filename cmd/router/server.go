package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/blindfold-wamp/blindfold/cluster"
	"github.com/blindfold-wamp/blindfold/dashboard"
	"github.com/blindfold-wamp/blindfold/internal/buildversion"
	"github.com/blindfold-wamp/blindfold/metrics"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/exporter-toolkit/web"
)

// server is everything that runs.
type server struct {
	router    *router.Router
	transport *transport.Server
	tls       []*tlsListener           // one per WAMP listener; nil without TLS
	callers   map[string]*realmCallers // by realm
	addresses []string                 // what describe prints, a line per listener
	admin     *http.Server
	running   sync.WaitGroup
	log       *slog.Logger
	config    *configMetrics
	fromFile  bool // there is a configuration file

	mu      sync.Mutex
	cluster *cluster.Node // nil: alone

	failed []string // listeners that failed permanently, by their keys in the configuration
}

// start creates the router and opens the listeners. If it fails, it closes again
// what it has opened.
func start(c *config, log *slog.Logger) (_ *server, err error) {
	s := &server{log: log, fromFile: len(c.files) > 0, callers: make(map[string]*realmCallers)}
	defer func() {
		if err == nil {
			return
		}
		if s.transport != nil {
			_ = s.transport.Close()
			s.running.Wait()
		}
		if s.router != nil {
			_ = s.router.Close(context.Background()) // without a session there is nothing to wait for
		}
		if s.cluster != nil {
			_ = s.cluster.Close()
		}
	}()
	registry := prometheus.NewRegistry()
	if err := metrics.RegisterRuntime(registry); err != nil {
		return nil, err
	}
	if s.config, err = newConfigMetrics(registry); err != nil {
		return nil, err
	}
	realms, err := s.realmsOf(c)
	if err != nil {
		return nil, err
	}
	observer, err := metrics.New(registry, metrics.Options{Realms: namesOf(c.realms, (*realmConfig).id), Version: buildversion.Get()})
	if err != nil {
		return nil, err
	}
	recorder, tracer := new(dashboard.Recorder), new(dashboard.Tracer)
	var joined router.Cluster // nil: alone
	if c.cluster != nil {
		o, err := c.cluster.connect(c, log)
		if err != nil {
			return nil, err
		}
		if s.cluster, err = cluster.New(o); err != nil {
			return nil, err
		}
		if err := registry.Register(s.cluster.Collector()); err != nil {
			return nil, err
		}
		joined = s.cluster
	}
	sessionLog := router.LogTo(log)
	if c.log.names {
		sessionLog = router.LogNamesTo(log)
	}
	if s.router, err = router.New(router.Config{
		Cluster:   joined,
		Realms:    realms,
		Observers: []router.Observer{observer, recorder, tracer, sessionLog},
		Limits:    c.limits,
		Logger:    log,
		Agent:     "blindfold/" + buildversion.Get(),
	}); err != nil {
		return nil, err
	}
	for _, c := range s.callers {
		c.authenticators.Attach(s.router)
		c.authorizers.Attach(s.router)
	}
	observer.Watch(s.router)
	if s.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.cluster.Start(ctx, s.router); err != nil {
			return nil, err
		}
	}
	s.transport = &transport.Server{
		Handle:   s.router.Accept,
		Rejected: s.router.Rejected,
		Limits:   c.transportLimits(),
		Logger:   log,
	}
	for i, l := range c.listeners {
		if err := s.listen(fmt.Sprintf("listeners[%d]", i), l); err != nil {
			return nil, err
		}
	}
	if c.admin != "" {
		if err := s.listenAdmin(c, s.adminHandler(registry, recorder, tracer, c.log.level, c.adminHosts)); err != nil {
			return nil, err
		}
	}
	s.config.inForce(c)
	return s, nil
}

// realmsOf builds the realms that c describes.
func (s *server) realmsOf(c *config) ([]router.RealmConfig, error) {
	var out []router.RealmConfig
	for _, r := range c.realms {
		callers := s.callers[r.name]
		if callers == nil {
			callers = newRealmCallers(r.name)
			s.callers[r.name] = callers
		}
		authorizer, err := r.authorizer(callers)
		if err != nil {
			return nil, fmt.Errorf("realm %s: %w", r.name, err)
		}
		interceptor, err := passthrough.New(r.passthrough)
		if err != nil {
			return nil, fmt.Errorf("realm %s: %w", r.name, err)
		}
		rc := router.RealmConfig{
			Name:           r.name,
			Authenticators: r.authenticators(r.static, callers),
			Authorizers:    []router.Authorizer{authorizer},
			Interceptors:   []router.Interceptor{interceptor},

			ReservedProcedures: r.reserved(),
		}
		r.advanced.apply(&rc, s.log)
		out = append(out, rc)
	}
	return out, nil
}

// listen opens a WAMP listener and serves it.
func (s *server) listen(name string, c listenerConfig) error {
	if c.network == "unix" {
		removeStale(c.address)
	}
	l, err := open(c)
	if err != nil {
		return fmt.Errorf("%s: %w%s", name, err, s.wayOut(err, "--listen", name))
	}
	s.serve(name, l, c)
	return nil
}

// serve serves a WAMP listener; name is its key in the configuration.
func (s *server) serve(name string, l net.Listener, c listenerConfig) {
	var t *tlsListener
	if c.tls != nil {
		t = newTLSListener(l, c.tls)
		l = t
	}
	s.tls = append(s.tls, t)
	s.addresses = append(s.addresses, describe(c, l.Addr()))
	s.running.Go(func() {
		err := s.transport.Serve(l, transport.ListenOptions{
			NoWebSocket: !c.websocket, NoRawSocket: !c.rawsocket, Paths: c.paths, Origins: c.origins, Hosts: c.hosts,
			MaxConnections: c.connections, Proxies: c.proxies, UnixProxy: c.unixProxy,
		})
		// Serve returns net.ErrClosed itself after Close. An error that wraps it means
		// that the socket was closed by someone else.
		if err != net.ErrClosed {
			s.markFailed(name)
			s.log.Error("listener failed permanently: the other listeners continue, and /readyz reports a failure until a restart",
				"listener", name, "address", l.Addr().String(), "error", err)
		}
	})
}

// open opens the listener, or takes it over from the service manager.
func open(c listenerConfig) (net.Listener, error) {
	if c.network == "systemd" {
		return passedSocket(c.address)
	}
	return net.Listen(c.network, c.address)
}

// wayOut says how to move a listener whose address is taken: by an option, or in the
// configuration file.
func (s *server) wayOut(err error, option, key string) string {
	switch {
	case !errors.Is(err, syscall.EADDRINUSE):
		return ""
	case s.fromFile:
		return "; change " + key + " in the configuration, or stop the program that uses the address"
	}
	return "; choose another with " + option + ", or stop the program that uses the address"
}

// removeStale removes a Unix socket on which no process listens.
func removeStale(path string) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return // another process listens there: net.Listen will report it
	}
	_ = os.Remove(path)
}

func describe(c listenerConfig, addr net.Addr) string {
	ws, rs := "ws://", "rs://"
	if c.tls != nil {
		ws, rs = "wss://", "rss://"
	}
	switch {
	case addr.Network() == "unix" && !c.rawsocket:
		return "WebSocket  unix:" + addr.String()
	case addr.Network() == "unix" && c.websocket:
		return "WebSocket and RawSocket  unix:" + addr.String()
	case addr.Network() == "unix":
		return "RawSocket  unix:" + addr.String()
	case c.websocket && c.rawsocket:
		return "WebSocket  " + ws + addr.String() + "/ws, and RawSocket  " + rs + addr.String()
	case c.websocket:
		return "WebSocket  " + ws + addr.String() + "/ws"
	}
	return "RawSocket  " + rs + addr.String()
}

// listenAdmin opens the admin address and serves handler there.
func (s *server) listenAdmin(c *config, handler http.Handler) error {
	l, err := net.Listen("tcp", c.admin)
	if err != nil {
		return fmt.Errorf("admin: %w%s", err, s.wayOut(err, "--admin", "admin"))
	}
	if c.pprof {
		handler = withPprof(handler, c.adminHosts)
	}
	scheme := "http://"
	if _, set := readWebTLS(c.webConfig); set {
		scheme = "https://"
	}
	s.addresses = append(s.addresses, "admin      "+scheme+l.Addr().String()+"  (/metrics /healthz /readyz)")
	s.admin = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	s.running.Go(func() {
		serve := s.admin.Serve
		if c.webConfig != "" {
			serve = func(l net.Listener) error {
				return web.Serve(l, s.admin, &web.FlagConfig{WebConfigFile: &c.webConfig}, s.log)
			}
		}
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("admin listener failed", "error", err)
		}
	})
	return nil
}

// withPprof adds the profiles of net/http/pprof to what handler serves.
func withPprof(handler http.Handler, hosts []string) http.Handler {
	profiles := http.NewServeMux()
	profiles.HandleFunc("/debug/pprof/", pprof.Index)
	profiles.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	profiles.HandleFunc("/debug/pprof/profile", pprof.Profile)
	profiles.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	profiles.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("/debug/pprof/", dashboard.OwnHost(profiles, hosts))
	return mux
}

func (s *server) markFailed(listener string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = append(s.failed, listener)
}

// ready returns nil if the server accepts sessions on all its listeners, and else
// the reason why not.
func (s *server) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failed) > 0 {
		return fmt.Errorf("%s failed: a restart is needed", strings.Join(s.failed, ", "))
	}
	if err := s.router.Ready(); err != nil || s.cluster == nil {
		return err
	}
	return s.cluster.Ready()
}

// describe prints the address of each listener.
func (s *server) describe(w io.Writer) {
	for _, line := range s.addresses {
		fmt.Fprintln(w, line)
	}
}

// shutdown ends everything. Calls in flight have 5 seconds to finish.
func (s *server) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.router.Close(ctx)
	_ = s.transport.Close()
	if s.cluster != nil {
		_ = s.cluster.Close()
	}
	if s.admin != nil {
		_ = s.admin.Close()
	}
	s.running.Wait()
}
