package nexus_test

import (
	"log"
	"net"

	nexusrouter "github.com/gammazero/nexus/v3/router"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/blindfold-wamp/blindfold/adapter/nexus"
	"github.com/blindfold-wamp/blindfold/metrics"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A program that runs nexus also serves clients that encrypt their payloads.
func Example() {
	config := &nexusrouter.Config{RealmConfigs: []*nexusrouter.RealmConfig{{URI: "realm1", AnonymousAuth: true}}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}

	blind, err := passthrough.New(passthrough.Config{
		Require: []passthrough.Rule{{URI: "com.app.secret.", Match: wamp.MatchPrefix}},
	})
	if err != nil {
		log.Fatal(err)
	}
	observer, err := metrics.New(prometheus.DefaultRegisterer, metrics.Options{Realms: []string{"realm1"}})
	if err != nil {
		log.Fatal(err)
	}
	r, err := nexus.NewRouter(config, log.Default(), nexus.Options{ // in place of nexus's NewRouter
		Interceptors: []router.Interceptor{blind},
		Observers:    []router.Observer{observer},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := &transport.Server{Handle: r.Accept, Rejected: r.Rejected}
	go func() { log.Print(server.Serve(listener, transport.ListenOptions{})) }()

	// Nexus's own servers and local clients go on as they did, with r as their router:
	// nexusrouter.NewWebsocketServer(r), client.ConnectLocal(r, …).

	r.Close()
	_ = server.Close()
}
