package metrics

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHandler(t *testing.T) {
	_, reg := newMetrics(t, "r")
	if err := RegisterRuntime(reg); err != nil {
		t.Fatal(err)
	}
	var notReady error
	h := Handler(reg, func() error { return notReady })
	ask := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, w.Body.String()
	}
	for _, c := range []struct {
		method, path string
		ready        error
		status       int
		body         []string
	}{
		{"GET", "/metrics", nil, 200, []string{`blindfold_subscriptions{realm="r"`, "blindfold_route_seconds_bucket{le=", "go_goroutines", "process_open_fds"}},
		{"GET", "/healthz", nil, 200, []string{"ok"}},
		{"GET", "/healthz", errors.New("closing"), 200, []string{"ok"}},
		{"GET", "/readyz", nil, 200, []string{"ok"}},
		{"GET", "/readyz", errors.New("closing"), 503, []string{"closing"}},
		{"HEAD", "/readyz", errors.New("closing"), 503, nil},
		{"POST", "/metrics", nil, 405, nil},
		{"GET", "/", nil, 404, nil},
		{"GET", "/debug/pprof/", nil, 404, nil},
	} {
		notReady = c.ready
		status, body := ask(c.method, c.path)
		if status != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, status, c.status)
		}
		for _, part := range c.body {
			if !strings.Contains(body, part) {
				t.Errorf("%s %s: no %q in the answer", c.method, c.path, part)
			}
		}
	}
	w := httptest.NewRecorder()
	Handler(reg, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if w.Code != 200 {
		t.Errorf("without ready: status %d", w.Code)
	}
	if err := RegisterRuntime(prometheus.WrapRegistererWithPrefix("", reg)); err == nil {
		t.Error("registered the runtime twice")
	}
}
