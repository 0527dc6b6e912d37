package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/dashboard"
	"github.com/blindfold-wamp/blindfold/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// adminHandler is what the admin address serves: the page at /, /metrics,
// /healthz, /readyz, /loglevel, /api/ (debugHandler) and, on a node of a cluster,
// /api/cluster.
func (s *server) adminHandler(g prometheus.Gatherer, recorder *dashboard.Recorder, tracer *dashboard.Tracer, level *slog.LevelVar, hosts []string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", dashboard.OwnHost(dashboard.Handler(recorder), hosts))
	mux.Handle("/loglevel", dashboard.OwnHost(logLevel{level}, hosts))
	measured := metrics.Handler(g, s.ready)
	mux.Handle("/metrics", dashboard.OwnHost(measured, hosts))
	mux.Handle("/healthz", measured)
	mux.Handle("/readyz", measured)
	mux.Handle("/api/", dashboard.OwnHost(debugHandler(s.router, tracer), hosts))
	if s.cluster != nil {
		mux.Handle("/api/cluster", dashboard.OwnHost(clusterHandler(s.cluster), hosts))
	}
	return mux
}

var (
	levelNames = []string{"debug", "info", "warn", "error"}
	levels     = []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
)

// logLevel returns the log's level (GET) and changes it (PUT, with the level as the
// body). Only requests from the same machine that do not come from a web page can
// change it.
type logLevel struct{ level *slog.LevelVar }

func (l logLevel) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	switch q.Method {
	case http.MethodGet:
	case http.MethodPut:
		if !fromHere(q) || q.Header.Get("Origin") != "" {
			http.Error(w, "the log level can only be changed from the same machine, and not by a web page", http.StatusForbidden)
			return
		}
		body, _ := io.ReadAll(io.LimitReader(q.Body, 16))
		n := slices.Index(levelNames, strings.TrimSpace(string(body)))
		if n < 0 {
			http.Error(w, "the body must be one of "+strings.Join(levelNames, ", "), http.StatusBadRequest)
			return
		}
		l.level.Set(levels[n])
	default:
		w.Header().Set("Allow", "GET, PUT")
		http.Error(w, "GET or PUT", http.StatusMethodNotAllowed)
		return
	}
	_, _ = fmt.Fprintln(w, levelNames[slices.Index(levels, l.level.Level())])
}

func fromHere(q *http.Request) bool {
	host, _, err := net.SplitHostPort(q.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
