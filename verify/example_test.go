package verify_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/verify"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A program that embeds a router checks it in a test of its own. The router is in
// the same process here, which holds the keys, too: what can be seen of it from outside
// is checked. A command that runs the router, in Target.Command, makes all checks possible.
func ExampleRun() {
	secret := passthrough.Rule{URI: "com.app.secret.", Match: wamp.MatchPrefix}
	blind, err := passthrough.New(passthrough.Config{Require: []passthrough.Rule{secret}})
	if err != nil {
		log.Fatal(err)
	}
	r, err := router.New(router.Config{Realms: []router.RealmConfig{{
		Name:           "realm1",
		Authenticators: []router.Authenticator{router.Anonymous("guest")},
		Interceptors:   []router.Interceptor{blind},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &transport.Server{Handle: r.Accept, Rejected: r.Rejected}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener, transport.ListenOptions{}) }()

	address := listener.Addr().String()
	report, err := verify.Run(context.Background(), verify.Target{
		URLs:           []string{"ws://" + address + "/ws", "rs://" + address},
		RequiresSealed: "com.app.secret.plans",
		Messages:       500,
		Only:           []verify.Check{verify.ByteIdentity, verify.NonInterference, verify.Refusals},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report)
	fmt.Println(report.Err())

	_, _ = r.Close(context.Background()), server.Close()
	<-served
	// Output:
	// 3 of 7 checks run, none failed; not run: memory, residue, ingress, build
	// <nil>
}
