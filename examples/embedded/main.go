// Command embedded is a program of one's own with a Blindfold router in it: one
// realm, the passthrough interceptor, metrics, and a listener that speaks
// WebSocket and RawSocket on one port.
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/blindfold-wamp/blindfold/metrics"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/prometheus/client_golang/prometheus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, "127.0.0.1:8080", "127.0.0.1:8082"); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address, admin string) error {
	// Opaque payloads are refused a conversion; below com.app.secret nothing
	// else is allowed.
	blind, err := passthrough.New(passthrough.Config{
		Require: []passthrough.Rule{{URI: "com.app.secret.", Match: wamp.MatchPrefix}},
	})
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	observer, err := metrics.New(registry, metrics.Options{Realms: []string{"realm1"}})
	if err != nil {
		return err
	}
	r, err := router.New(router.Config{
		Realms: []router.RealmConfig{{
			Name:           "realm1",
			Authenticators: []router.Authenticator{router.Anonymous("guest")},
			Interceptors:   []router.Interceptor{blind},
		}},
		Observers: []router.Observer{observer},
	})
	if err != nil {
		return err
	}
	observer.Watch(r)

	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &transport.Server{Handle: r.Accept, Rejected: r.Rejected}
	metricsServer := &http.Server{Addr: admin, Handler: metrics.Handler(registry, r.Ready), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = metricsServer.ListenAndServe() }()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.Close(grace) // GOODBYE to all
		_ = server.Close()
		_ = metricsServer.Close()
	}()
	log.Printf("WAMP on %s, metrics on http://%s/metrics", listener.Addr(), admin)
	if err := server.Serve(listener, transport.ListenOptions{}); ctx.Err() == nil {
		return err
	}
	<-closed
	return nil
}
