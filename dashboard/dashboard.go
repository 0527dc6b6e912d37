// Package dashboard is the page of the admin address: what a router carries, what
// it refuses, and what it can see of messages, which is everything but payloads.
//
// The page reads /metrics, which it expects beside it, and the envelopes that a
// [Recorder] copied. It is embedded, and needs nothing from elsewhere.
package dashboard

import (
	"embed"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page
var page embed.FS

// Handler serves the page at /, and what r copied at /envelopes.
//
// Where it is reached over a loopback address, it answers only if the request
// names one (or localhost) as its host: a page of the web whose name suddenly
// resolves to 127.0.0.1 must not read it.
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
	return OwnHost(mux)
}

// OwnHost refuses requests that reach a loopback address under a name that is
// not one of the machine itself.
func OwnHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if local, ok := q.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && local.IP.IsLoopback() && !ownName(q.Host) {
			http.Error(w, "this address is asked for as localhost or by its number", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, q)
	})
}

func ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
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
