package cluster

import "github.com/prometheus/client_golang/prometheus"

// Collector returns the node's metrics, which have no labels but the closed set of
// DropReasons and the two directions.
func (n *Node) Collector() prometheus.Collector { return collector{n} }

type collector struct{ node *Node }

var (
	descConnected = prometheus.NewDesc("blindfold_cluster_connected", "1 if this node can reach the others, 0 if it is cut off.", nil, nil)
	descNodes     = prometheus.NewDesc("blindfold_cluster_nodes", "Live nodes, this one included.", nil, nil)
	descDiffering = prometheus.NewDesc("blindfold_cluster_nodes_differing", "Live nodes with another configuration of realms than this one.", nil, nil)
	descMessages  = prometheus.NewDesc("blindfold_cluster_messages_total", "Messages to and from other nodes.", []string{"direction"}, nil)
	descBytes     = prometheus.NewDesc("blindfold_cluster_bytes_total", "Bytes of the messages to and from other nodes.", []string{"direction"}, nil)
	descDropped   = prometheus.NewDesc("blindfold_cluster_dropped_total", "Messages to and from other nodes that were dropped, by reason.", []string{"reason"}, nil)
	descMisses    = prometheus.NewDesc("blindfold_cluster_lease_misses_total", "Refreshes of this node's key that failed.", nil, nil)
	descRoundTrip = prometheus.NewDesc("blindfold_cluster_nats_round_trip_seconds", "How long the last refresh of this node's key took.", nil, nil)
	descEntries   = prometheus.NewDesc("blindfold_cluster_registrations", "Entries in the directory of registrations, as this node has applied them.", nil, nil)
	descRevision  = prometheus.NewDesc("blindfold_cluster_directory_revision", "The last revision of the directory that this node has applied. Nodes differ for as long as one lags behind.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, out) }

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.node.Stats()
	gauge := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	connected, differing := 0.0, 0.0
	if s.Connected {
		connected = 1
	}
	for _, other := range s.Others {
		if other.Digest != s.Node.Digest {
			differing++
		}
	}
	gauge(descConnected, connected)
	gauge(descNodes, float64(1+len(s.Others)))
	gauge(descDiffering, differing)
	counter(descMessages, s.MessagesOut, "out")
	counter(descMessages, s.MessagesIn, "in")
	counter(descBytes, s.BytesOut, "out")
	counter(descBytes, s.BytesIn, "in")
	for _, reason := range DropReasons {
		counter(descDropped, s.Dropped[reason], reason)
	}
	counter(descMisses, s.LeaseMisses)
	gauge(descRoundTrip, s.RoundTrip.Seconds())
	gauge(descEntries, float64(s.Entries))
	gauge(descRevision, float64(c.node.directory.last()))
}
