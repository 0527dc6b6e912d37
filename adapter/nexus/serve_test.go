package nexus

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"testing"

	nexusrouter "github.com/gammazero/nexus/v3/router"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
)

// TestMain runs the tests. With NEXUS_SERVE set, it is a server to measure instead: plain
// nexus on its own WebSocket server, and nexus behind the adapter, until standard input
// ends. It prints their URLs.
func TestMain(m *testing.M) {
	if os.Getenv("NEXUS_SERVE") == "" {
		routertest.Main(m)
		return
	}
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	config := &nexusrouter.Config{RealmConfigs: []*nexusrouter.RealmConfig{{URI: routertest.Realm, AnonymousAuth: true, AllowDisclose: true}}}
	quiet := log.New(io.Discard, "", 0)
	plain, err := nexusrouter.NewRouter(config, quiet)
	if err != nil {
		return err
	}
	defer plain.Close()
	theirs, err := nexusrouter.NewWebsocketServer(plain).ListenAndServe("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer theirs.Close()
	theirsRaw, err := nexusrouter.NewRawSocketServer(plain).ListenAndServe("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer theirsRaw.Close()
	blind, err := passthrough.New(passthrough.Config{})
	if err != nil {
		return err
	}
	r, err := NewRouter(config, quiet, Options{Interceptors: []router.Interceptor{blind}})
	if err != nil {
		return err
	}
	defer r.Close()
	server := &transport.Server{Handle: r.Accept, Rejected: r.Rejected}
	defer server.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = server.Serve(l, transport.ListenOptions{}) }()
	fmt.Printf("nexus=ws://%s/\nnexus=rs://%s\n", theirs.(net.Listener).Addr(), theirsRaw.(net.Listener).Addr())
	fmt.Printf("adapter=ws://%[1]s/\nadapter=rs://%[1]s\n", l.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
