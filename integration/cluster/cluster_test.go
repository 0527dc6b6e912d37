// Package cluster has stories of one realm on several nodes, with real NATS servers.
package cluster

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/cluster"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/router"
)

func TestMain(m *testing.M) { routertest.Main(m) }

// program finds nats-server, which .ci/install installs.
func program(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("nats-server")
	if err != nil {
		testenv.SkipMissing(t, "nats-server is missing: go install github.com/nats-io/nats-server/v2@latest")
	}
	return path
}

func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(routertest.Timeout); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// natsServer is a nats-server process with JetStream.
type natsServer struct {
	t    testing.TB
	url  string
	dir  string
	args []string
	cmd  *exec.Cmd
}

func startNATS(t testing.TB, args ...string) *natsServer {
	t.Helper()
	path := program(t)
	s := &natsServer{t: t, dir: t.TempDir()}
	s.args = append([]string{path, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", filepath.Join(s.dir, "js"), "--ports_file_dir", s.dir}, args...)
	s.start()
	return s
}

// start starts the process, on the port that it had before if it had one.
func (s *natsServer) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	if testing.Verbose() && os.Getenv("NATS_LOG") != "" {
		s.cmd.Stderr = os.Stderr
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if s.url != "" {
		return
	}
	waitFor(s.t, "the ports of nats-server", func() bool {
		files, _ := filepath.Glob(filepath.Join(s.dir, "*.ports"))
		for _, file := range files {
			b, _ := os.ReadFile(file)
			var ports struct{ NATS []string }
			if json.Unmarshal(b, &ports) == nil && len(ports.NATS) > 0 {
				s.url = ports.NATS[0]
				s.args[4] = s.url[strings.LastIndex(s.url, ":")+1:]
				return true
			}
		}
		return false
	})
}

// kill ends the process, as a crash would.
func (s *natsServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Start(ctx, w.Router); err != nil {
		t.Fatal(err)
	}
	return &node{World: w, node: n}
}

// startCluster starts a NATS server and nodes named a, b and so on.
func startCluster(t testing.TB, count int) []*node {
	t.Helper()
	s := startNATS(t)
	var nodes []*node
	for i := range count {
		nodes = append(nodes, startNode(t, string(rune('a'+i)), []string{s.url}))
	}
	return nodes
}
