// Package dashboard is the page of the admin address: what a router carries, what
// it refuses, and what it can see of messages, which is everything but payloads.
//
// The page reads /metrics, which it expects beside it, and the envelopes that a
// [Recorder] copied. It is embedded, and needs nothing from elsewhere.
package dashboard

import (
	"embed"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/blindfold-wamp/blindfold/internal/ownhost"
)

//go:embed page
var page embed.FS

// Handler serves the page at /, and what r copied at /envelopes.
//
// It is to be served by way of OwnHost: a page of the web whose name suddenly
// resolves to this address must not read it.
func Handler(r *Recorder) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", file("index.html", "text/html; charset=utf-8"))
	mux.HandleFunc("GET /page/style.css", file("style.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /page/page.js", file("page.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /page/chart.js", file("chart.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /page/metrics.js", file("metrics.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /envelopes", func(w http.ResponseWriter, q *http.Request) {
		after, _ := strconv.ParseUint(q.FormValue("after"), 10, 64)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(r.Look(after))
	})
	return mux
}

// OwnHost refuses requests under a name that may be somebody else's: without TLS, any
// that is no number, not localhost, and not one of names.
func OwnHost(next http.Handler, names []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.TLS == nil && !ownhost.Is(q.Host, names) {
			http.Error(w, "use localhost, a number, or a name that the configuration lists", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, q)
	})
}

func file(name, contentType string) http.HandlerFunc {
	content, err := page.ReadFile("page/" + name)
	if err != nil {
		panic(err) // the binary was built without its page
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(content)
	}
}
