// Package cluster has stories of one realm on several nodes, with real NATS servers.
package cluster

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/cluster"
	"github.com/blindfold-wamp/blindfold/internal/natstest"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
)

func TestMain(m *testing.M) { routertest.Main(m) }

func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(routertest.Timeout); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// node is one node: a router in this process.
type node struct {
	*routertest.World
	node *cluster.Node
}

const lease = time.Second

// startNode starts a node of a cluster.
func startNode(t testing.TB, name string, servers []string, change ...func(*cluster.Options)) *node {
	t.Helper()
	return startNodeWith(t, name, servers, nil, change...)
}

// startNodeWith starts a node whose router is made with options.
func startNodeWith(t testing.TB, name string, servers []string, options []routertest.Option, change ...func(*cluster.Options)) *node {
	t.Helper()
	o := cluster.Options{Servers: servers, Name: name, Lease: lease}
	if os.Getenv("CLUSTER_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", name)
	}
	for _, f := range change {
		f(&o)
	}
	n, err := cluster.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	options = append([]routertest.Option{routertest.WithRouter(func(c *router.Config) { c.Cluster = n }), routertest.WithRoles(t)}, options...)
	w := routertest.NewWorld(t, options...)
	ctx, cancel := context.WithTimeout(context.Background(), routertest.Timeout)
	defer cancel()
	if err := n.Start(ctx, w.Router); err != nil {
		t.Fatal(err)
	}
	return &node{World: w, node: n}
}

// startCluster starts a NATS server and nodes named a, b and so on.
func startCluster(t testing.TB, count int) []*node {
	t.Helper()
	s := natstest.Start(t)
	var nodes []*node
	for i := range count {
		nodes = append(nodes, startNode(t, string(rune('a'+i)), []string{s.URL}))
	}
	return nodes
}
