// Package dashboard is the page on the admin address. It shows what a router carries, what
// it refuses, and what it can see of messages, which is everything but their payloads.
//
// The page reads /metrics of the same server, and the envelopes that a [Recorder] copied.
// It is embedded in the program and loads nothing from other hosts.
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

// Handler serves the page at /, and the envelopes that r copied at /envelopes.
//
// Serve it through OwnHost. Otherwise a web page whose name is made to resolve to this
// address (DNS rebinding) could read it.
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

// OwnHost refuses requests whose host name may belong to someone else (DNS rebinding).
// Without TLS, it accepts only IP addresses, localhost, and names.
func OwnHost(next http.Handler, names []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.TLS == nil && !ownhost.Is(q.Host, names) {
			http.Error(w, "the host of the request must be localhost, an IP address, or a name in the configuration", http.StatusMisdirectedRequest)
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
