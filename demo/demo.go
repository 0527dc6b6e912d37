// Package demo is a sealed chat of two people in a browser, with the router's view of it
// in the middle. The keys are generated in the page and never leave it.
package demo

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/blindfold-wamp/blindfold/dashboard"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
)

//go:embed page
var page embed.FS

const realm = "realm1"

// Options configure the demo.
type Options struct {
	// Listen is the address of the page. Default "127.0.0.1:8090".
	Listen string
	// Router is the WebSocket URL of the router to use. If it is empty, Run starts a
	// router on a free loopback port.
	Router string
	// Realm is the realm to join. Default "realm1".
	Realm string
	// Out gets the URLs of the page and of the router. Default: they are not printed.
	Out io.Writer
	// Ready, if not nil, is called once with the URL of the page, when it can be opened.
	Ready func(url string)
}

// Run serves the demo until ctx ends.
func Run(ctx context.Context, o Options) error {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:8090"
	}
	if o.Realm == "" {
		o.Realm = realm
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	url := "http://" + l.Addr().String() + "/"
	recorder := new(dashboard.Recorder)
	if o.Router == "" {
		stop, address, err := startRouter(recorder, o.Realm, "http://"+l.Addr().String())
		if err != nil {
			_ = l.Close()
			return err
		}
		defer stop()
		o.Router = "ws://" + address + "/ws"
	} else {
		recorder = nil
	}
	g, err := newGroup(o)
	if err != nil {
		_ = l.Close()
		return err
	}
	server := &http.Server{Handler: handler(o, recorder, g), ReadHeaderTimeout: 5 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	_, _ = fmt.Fprintf(o.Out, "open     %s\nrouter   %s, realm %s\n", url, o.Router, o.Realm)
	if o.Ready != nil {
		o.Ready(url)
	}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// startRouter starts a router that the page at origin may connect to.
func startRouter(recorder *dashboard.Recorder, realm, origin string) (stop func(), address string, err error) {
	interceptor, err := passthrough.New(passthrough.Config{})
	if err != nil {
		return nil, "", err
	}
	r, err := router.New(router.Config{
		Realms: []router.RealmConfig{{
			Name: realm, Authenticators: []router.Authenticator{router.Anonymous("anonymous")},
			Interceptors: []router.Interceptor{interceptor},
			Retained:     new(router.RetainedLimits),
		}},
		Observers: []router.Observer{recorder},
	})
	if err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	server := &transport.Server{Handle: r.Accept}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l, transport.ListenOptions{NoRawSocket: true, Origins: []string{origin}})
	}()
	return func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // do not wait for calls
		_ = r.Close(ctx)
		_ = server.Close()
		<-done
	}, l.Addr().String(), nil
}

// handler serves the page, the settings that it connects with, and, with a recorder, the
// router's view.
func handler(o Options, recorder *dashboard.Recorder, g *group) http.Handler {
	mux := http.NewServeMux()
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the binary was built without its page
	}
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /demo.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"router": o.Router, "realm": o.Realm, "view": recorder != nil})
	})
	g.handle(mux)
	if recorder != nil {
		mux.Handle("GET /envelopes", dashboard.Handler(recorder))
	}
	return dashboard.OwnHost(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, q)
	}), nil)
}
