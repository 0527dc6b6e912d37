package main

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLogLevelAtRunTime(t *testing.T) {
	level := new(slog.LevelVar)
	var out strings.Builder
	log := newLogger(logConfig{level: level, format: "json"}, &out)
	ask := func(method, body, from, origin string) (int, string) {
		r := httptest.NewRequest(method, "http://127.0.0.1:8082/loglevel", strings.NewReader(body))
		r.RemoteAddr = from
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		logLevel{level}.ServeHTTP(w, r)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	const here, there = "127.0.0.1:9", "10.1.2.3:9"
	log.Debug("one")
	for _, c := range []struct {
		method, body, from, origin string
		status                     int
		level                      slog.Level
	}{
		{"GET", "", there, "", 200, slog.LevelInfo},
		{"PUT", "debug\n", there, "", 403, slog.LevelInfo},
		{"PUT", "debug", here, "https://evil.example", 403, slog.LevelInfo},
		{"PUT", "loud", here, "", 400, slog.LevelInfo},
		{"DELETE", "", here, "", 405, slog.LevelInfo},
		{"PUT", "debug\n", here, "", 200, slog.LevelDebug},
		{"PUT", "error", "[::1]:9", "", 200, slog.LevelError},
	} {
		status, text := ask(c.method, c.body, c.from, c.origin)
		if status != c.status || level.Level() != c.level {
			t.Errorf("%+v: status %d (%s), level %v", c, status, text, level.Level())
		}
		if c.level == slog.LevelDebug {
			log.Debug("two")
		}
	}
	if _, text := ask("GET", "", here, ""); text != "error" {
		t.Errorf("the level is said to be %q", text)
	}
	if got := out.String(); strings.Contains(got, "one") || !strings.Contains(got, "two") {
		t.Errorf("logged: %s", got)
	}
}
