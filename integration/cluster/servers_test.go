package cluster

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/blindfold-wamp/blindfold/cluster"
	"github.com/blindfold-wamp/blindfold/internal/natstest"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// startServers starts one NATS cluster of three servers.
func startServers(t *testing.T) (servers []*natstest.Server) {
	t.Helper()
	var routes []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, "nats://"+l.Addr().String())
		_ = l.Close()
	}
	for i, route := range routes {
		servers = append(servers, natstest.Start(t, "-n", fmt.Sprint("n", i), "-cluster_name", "test", "-cluster", route,
			"-routes", strings.Join(routes, ",")))
	}
	return servers
}

// One of three NATS servers is killed, that of one node: it goes on with another, and
// the directory and what is retained are there still.
func TestOneOfThreeServersKilled(t *testing.T) {
	testenv.SkipSlow(t, "half a minute")
	servers := startServers(t)
	all := func(first int) (urls []string) {
		for i := range servers {
			urls = append(urls, servers[(first+i)%3].URL)
		}
		return urls
	}
	three := func(o *cluster.Options) { o.Replicas = 3; o.NATS = append(o.NATS, nats.DontRandomize()) }
	with := []routertest.Option{retaining(router.RetainedLimits{})}
	var a, b *node
	a = startNodeWith(t, "a", all(0), with, three)
	b = startNodeWith(t, "b", all(1), with, three)
	callee := b.Join("callee", "memory", wamp.CBOR)
	callee.Register("com.example.far", wamp.RegisterOptions{})
	retain(callee, "com.example.weather", wamp.FormNone, "sun")
	a.retained("com.example.weather", "anonymous", "sun")

	servers[0].Kill()
	caller := a.Join("caller", "memory", wamp.CBOR)
	go func() { // until its connection ends
		for {
			m, err := callee.TryReceive()
			if err != nil {
				return
			}
			if inv, ok := m.(*wamp.Invocation); ok {
				callee.Send(&wamp.Yield{Request: inv.Request})
			}
		}
	}()
	waitFor(t, "calls between the nodes to work again", func() bool {
		caller.Call("com.example.far", wamp.Attributes{}, wamp.Payload{})
		_, ok := caller.Receive().(*wamp.Result)
		return ok && a.node.Ready() == nil && b.node.Ready() == nil
	})
	waitFor(t, "the directory to be changed again", func() bool {
		request := caller.NextID()
		caller.Send(&wamp.Register{Request: request, Procedure: "com.example.new"})
		_, ok := caller.Receive().(*wamp.Registered)
		return ok
	})
	c := startNodeWith(t, "c", []string{servers[1].URL, servers[2].URL}, with, three)
	c.retained("com.example.weather", "anonymous", "sun")
	if n := c.node.Stats().Entries; n != 2 {
		t.Errorf("%d registrations on a node that comes later", n)
	}
}
