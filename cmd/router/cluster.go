package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blindfold-wamp/blindfold/cluster"
	"github.com/blindfold-wamp/blindfold/internal/buildversion"
	"github.com/blindfold-wamp/blindfold/internal/cmdline"
	"github.com/blindfold-wamp/blindfold/internal/ownfile"
)

// clusterConfig is the key "cluster": how this node finds the others.
type clusterConfig struct {
	options     cluster.Options
	ca          string
	cert, key   string
	credentials string
	nkey        string
}

func readCluster(v value) *clusterConfig {
	c := new(clusterConfig)
	v.mapping(
		texts("nats", &c.options.Servers),
		text("node", &c.options.Name),
		text("subject", &c.options.Subject),
		duration("lease", &c.options.Lease),
		integerTo("replicas", &c.options.Replicas, 1, 5),
		size("inbox", &c.options.InboxBytes, 1<<40),
		field{"tls", func(v value) {
			v.mapping(certificatePath("ca", &c.ca), certificatePath("cert", &c.cert), filePath("key", &c.key))
			if (c.cert == "") != (c.key == "") {
				v.fail("needs both cert and key, or neither")
			}
		}},
		filePath("credentials", &c.credentials),
		filePath("nkey", &c.nkey),
	)
	if len(c.options.Servers) == 0 {
		v.fail("nats must name at least one NATS server, like nats://127.0.0.1:4222")
	}
	if c.options.Lease != 0 && c.options.Lease < time.Second {
		v.fail("lease must be at least 1s")
	}
	for _, file := range []string{c.key, c.credentials, c.nkey} {
		if file == "" {
			continue
		}
		if _, err := ownfile.Read("the secret in", file, 1<<20); err != nil {
			v.fail("%v", err)
		}
	}
	if c.options.Name == "" {
		c.options.Name, _ = os.Hostname()
	}
	return c
}

// connect returns the options with which the node connects to NATS.
func (c *clusterConfig) connect(of *config, log *slog.Logger) (cluster.Options, error) {
	o := c.options
	o.Logger, o.Version, o.MaxMessage, o.Digest = log, buildversion.Get(), of.limits.Message, of.digest()
	if o.MaxMessage == 0 {
		o.MaxMessage = 1 << 20
	}
	if c.ca != "" {
		o.NATS = append(o.NATS, nats.RootCAs(c.ca))
	}
	if c.cert != "" {
		o.NATS = append(o.NATS, nats.ClientCert(c.cert, c.key))
	}
	for file, option := range map[string]func([]byte) (nats.Option, error){c.credentials: cluster.Credentials, c.nkey: cluster.NKey} {
		if file == "" {
			continue
		}
		text, err := ownfile.Read("the secret in", file, 1<<20)
		if err != nil {
			return o, fmt.Errorf("cluster: %w", err)
		}
		with, err := option(text)
		if err != nil {
			return o, fmt.Errorf("cluster: %s: %w", file, err)
		}
		o.NATS = append(o.NATS, with)
	}
	return o, nil
}

// digest stands for what all nodes of a cluster should have configured alike: the
// realms, as far as it is not secret. Nodes compare it.
func (c *config) digest() string {
	h := sha256.New()
	for i := range c.realms {
		r := &c.realms[i]
		fmt.Fprintf(h, "%q %q %q", r.name, r.anonymous, r.asked)
		for _, role := range r.roles {
			fmt.Fprintf(h, "%+v", role)
		}
		fmt.Fprintf(h, "%+v %v %v %v", r.passthrough.Require, r.passthrough.Conversion, r.advanced.trustLevels, r.advanced.history)
		fmt.Fprintf(h, "%v %v %v\n", r.advanced.noMeta, r.advanced.retained != nil, r.advanced.testaments != nil)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// clusterStatus is what /api/cluster answers.
type clusterStatus struct {
	Connected bool               `json:"connected"`
	Nodes     []cluster.NodeInfo `json:"nodes"` // the one that answers comes first
	Entries   int                `json:"registrations"`
	RoundTrip string             `json:"round_trip"`
	Dropped   map[string]uint64  `json:"dropped"`
}

func clusterHandler(n *cluster.Node) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := n.Stats()
		others := s.Others
		slices.SortFunc(others, func(a, b cluster.NodeInfo) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(clusterStatus{Connected: s.Connected, Nodes: append([]cluster.NodeInfo{s.Node}, others...),
			Entries: s.Entries, RoundTrip: s.RoundTrip.String(), Dropped: s.Dropped})
	})
}

const clusterUsage = `usage: blindfold cluster status [--url URL]

Print the nodes of the cluster, as one of them sees it.

options:
  --url URL    the admin address of a node (default http://127.0.0.1:8082)

exit status:
  0  the node is connected, and all nodes have the same configuration
  1  it is not, or they differ
  2  the command line is wrong, or the node does not answer
`

// printCluster prints the status of the node at a URL.
func printCluster(url string, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/api/cluster", nil)
	if err != nil {
		fmt.Fprintf(stderr, "blindfold: %v\n", err)
		return 2
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		fmt.Fprintf(stderr, "blindfold: %v\n", err)
		return 2
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound {
		fmt.Fprintln(stderr, "blindfold: this node is not part of a cluster: its configuration has no key \"cluster\"")
		return 2
	}
	var s clusterStatus
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&s); err != nil || len(s.Nodes) == 0 {
		fmt.Fprintf(stderr, "blindfold: %s does not answer as a node does (HTTP status %d)\n", url, answer.StatusCode)
		return 2
	}
	status := 0
	out := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "NODE\tID\tVERSION\tCONFIGURATION\tUP")
	for i, node := range s.Nodes {
		note := ""
		if node.Digest != s.Nodes[0].Digest {
			note, status = "  differs", 1
		}
		if i == 0 {
			note = "  this node"
		}
		up := time.Since(node.Started)
		fmt.Fprintf(out, "%s\t%s\t%s\t%s%s\t%s\n", node.Name, node.ID, node.Version, node.Digest, note, up-up%time.Second)
	}
	_ = out.Flush()
	fmt.Fprintf(stdout, "\n%d registrations in the directory; round trip to NATS %s\n", s.Entries, s.RoundTrip)
	if !s.Connected {
		fmt.Fprintln(stdout, "THIS NODE IS CUT OFF: it serves its own sessions only")
		status = 1
	}
	return status
}

// runCluster is the command "blindfold cluster".
func runCluster(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("blindfold cluster status", flag.ContinueOnError)
	url := flags.String("url", "http://127.0.0.1:8082", "")
	var err error
	if len(args) == 0 || args[0] != "status" && !strings.HasPrefix(args[0], "-") {
		err = errors.New("the command is: blindfold cluster status")
	} else if err = cmdline.Parse(flags, args[1:]); err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch {
	case errors.Is(err, flag.ErrHelp) || len(args) > 0 && (args[0] == "--help" || args[0] == "-h"):
		fmt.Fprint(stdout, clusterUsage)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "blindfold: %v\nsee: blindfold cluster status --help\n", err)
		return 2
	}
	return printCluster(*url, stdout, stderr)
}
