package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/dashboard"
	"github.com/blindfold-wamp/blindfold/metrics"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/prometheus/client_golang/prometheus"
)

// server is everything that runs.
type server struct {
	router    *router.Router
	transport *transport.Server
	listeners []net.Listener
	lines     []string // what listens where, for describe
	admin     *http.Server
	running   sync.WaitGroup
	log       *slog.Logger
}

// start makes the router and listens. Nothing is left behind if it fails.
func start(c *config, log *slog.Logger) (_ *server, err error) {
	s := &server{log: log}
	defer func() {
		if err != nil {
			for _, l := range s.listeners {
				_ = l.Close()
			}
		}
	}()
	registry := prometheus.NewRegistry()
	if err := metrics.RegisterRuntime(registry); err != nil {
		return nil, err
	}
	realms, err := realmsOf(c)
	if err != nil {
		return nil, err
	}
	observer, err := metrics.New(registry, metrics.Options{Realms: namesOf(c), Version: buildVersion()})
	if err != nil {
		return nil, err
	}
	recorder := new(dashboard.Recorder)
	if s.router, err = router.New(router.Config{
		Realms:    realms,
		Observers: []router.Observer{observer, recorder, router.LogTo(log)},
		Limits:    c.limits,
		Logger:    log,
		Agent:     "blindfold/" + buildVersion(),
	}); err != nil {
		return nil, err
	}
	observer.Watch(s.router)
	s.transport = &transport.Server{
		Handle: s.router.Accept,
		Turned: s.router.Turned,
		Limits: transport.Limits{MaxMessage: c.limits.Message, MaxFirst: c.limits.FirstMessage, HandshakeTimeout: c.limits.Hello},
		Logger: log,
	}
	for _, l := range c.listeners {
		if err := s.listen(l); err != nil {
			return nil, err
		}
	}
	if c.admin != "" {
		if err := s.listenAdmin(c.admin, adminHandler(registry, s.ready, recorder, c.log.level)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func namesOf(c *config) []string {
	names := make([]string, len(c.realms))
	for i, r := range c.realms {
		names[i] = r.name
	}
	return names
}

// realmsOf makes the realms' parts from their configuration.
func realmsOf(c *config) ([]router.RealmConfig, error) {
	var out []router.RealmConfig
	for _, r := range c.realms {
		permissions, err := auth.NewPermissions(r.roles)
		if err != nil {
			return nil, fmt.Errorf("realm %s: %w", r.name, err)
		}
		interceptor, err := passthrough.New(r.passthrough)
		if err != nil {
			return nil, fmt.Errorf("realm %s: %w", r.name, err)
		}
		rc := router.RealmConfig{
			Name:         r.name,
			Authorizers:  []router.Authorizer{permissions},
			Interceptors: []router.Interceptor{interceptor},
		}
		r.extras.apply(&rc)
		if r.anonymous != "" {
			rc.Authenticators = append(rc.Authenticators, router.Anonymous(r.anonymous))
		}
		out = append(out, rc)
	}
	return out, nil
}

// listen opens one listener for WAMP and serves it.
func (s *server) listen(c listenerConfig) error {
	if c.network == "unix" {
		removeStale(c.address)
	}
	l, err := net.Listen(c.network, c.address)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, l)
	s.lines = append(s.lines, describe(c, l.Addr()))
	s.running.Go(func() {
		err := s.transport.Serve(l, transport.ListenOptions{
			NoWebSocket: !c.websocket, NoRawSocket: !c.rawsocket, Paths: c.paths, Origins: c.origins,
		})
		if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, transport.ErrClosed) {
			s.log.Error("listener failed", "address", l.Addr().String(), "error", err)
		}
	})
	return nil
}

// removeStale removes a Unix socket that no process listens on any more.
func removeStale(path string) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return // somebody listens: let net.Listen say so
	}
	_ = os.Remove(path)
}

func describe(c listenerConfig, addr net.Addr) string {
	switch {
	case c.network == "unix":
		return "RawSocket  unix:" + addr.String()
	case c.websocket && c.rawsocket:
		return "WebSocket  ws://" + addr.String() + "/ws, and RawSocket  rs://" + addr.String()
	case c.websocket:
		return "WebSocket  ws://" + addr.String() + "/ws"
	}
	return "RawSocket  rs://" + addr.String()
}

// listenAdmin serves what the operator sees.
func (s *server) listenAdmin(address string, handler http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, l)
	s.lines = append(s.lines, "admin      http://"+l.Addr().String()+"  (/metrics /healthz /readyz)")
	s.admin = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	s.running.Go(func() {
		if err := s.admin.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("admin listener failed", "error", err)
		}
	})
	return nil
}

// ready says why the server takes no sessions, or nil.
func (s *server) ready() error { return s.router.Ready() }

// describe prints what listens where.
func (s *server) describe(w io.Writer) {
	for _, line := range s.lines {
		fmt.Fprintln(w, line)
	}
}

// shutdown ends everything: calls in flight may finish for a while.
func (s *server) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.router.Close(ctx)
	_ = s.transport.Close()
	if s.admin != nil {
		_ = s.admin.Close()
	}
	s.running.Wait()
}

// buildVersion is the module's version, or the commit that the binary was built
// from, as the Go toolchain recorded it.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "devel"
}
