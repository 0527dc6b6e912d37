package spec

import (
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/cluster"
	"github.com/blindfold-wamp/blindfold/internal/natstest"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
)

// With BLINDFOLD_NODES=2 every world is two nodes of a cluster, and each peer joins
// another node than the one before: "make test-nodes" runs the tests that mean the same
// then.
func TestMain(m *testing.M) {
	if os.Getenv("BLINDFOLD_NODES") == "2" {
		routertest.Nodes = twoNodes
	}
	routertest.Main(m)
}

func twoNodes(t testing.TB) (nodes [2]router.Cluster, start func(i int, r *router.Router)) {
	t.Helper()
	server := natstest.Start(t)
	subject := rand.Text()
	for i, name := range []string{"a", "b"} {
		n, err := cluster.New(cluster.Options{Servers: []string{server.URL}, Name: name, Subject: subject, Lease: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		nodes[i] = n
	}
	return nodes, func(i int, r *router.Router) {
		if err := nodes[i].(*cluster.Node).Start(routertest.Context(t), r); err != nil {
			t.Fatal(err)
		}
	}
}
