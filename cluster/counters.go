package cluster

import (
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Why messages of or for other nodes are dropped.
const (
	dropUnavailable  = "unavailable"   // the other nodes can't be reached: not sent
	dropTooLarge     = "too_large"     // over max_payload of the NATS servers: not sent
	dropUnencodable  = "unencodable"   // not sent
	dropNotRetained  = "not_retained"  // sent, and not kept by JetStream for nodes that come later
	dropOverload     = "overload"      // received, and over Options.InboxBytes
	dropSlowConsumer = "slow_consumer" // by the NATS client or server, which count in events
	dropUnknown      = "unknown"       // received, and damaged, or of an unknown version or realm
)

// DropReasons lists them all.
var DropReasons = [...]string{dropUnavailable, dropTooLarge, dropUnencodable, dropNotRetained, dropOverload, dropSlowConsumer, dropUnknown}

type counters struct {
	messagesOut, bytesOut, messagesIn, bytesIn atomic.Uint64
	leaseMisses, catchUps                      atomic.Uint64
	roundTrip                                  atomic.Int64
	dropped                                    [len(DropReasons)]atomic.Uint64
}

func (n *Node) drop(reason string, k int) {
	for i, r := range DropReasons {
		if r == reason {
			n.count.dropped[i].Add(uint64(k))
		}
	}
}

func (n *Node) received(m *nats.Msg) {
	n.count.messagesIn.Add(1)
	n.count.bytesIn.Add(uint64(len(m.Data)))
}

// Stats is a node's view of the cluster at one moment.
type Stats struct {
	Node      NodeInfo
	Others    []NodeInfo
	Connected bool
	// Messages and bytes to and from other nodes since the start.
	MessagesOut, BytesOut, MessagesIn, BytesIn uint64
	Dropped                                    map[string]uint64 // by reason
	LeaseMisses                                uint64
	// CatchUps is how often JetStream was asked for the directory's last revision.
	CatchUps uint64
	// RoundTrip is how long the last refresh of the node's key took.
	RoundTrip time.Duration
	// Entries of the directory.
	Entries int
}

// NodeInfo is one node.
type NodeInfo struct {
	ID       string    `json:"id"` // made at each start
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Digest   string    `json:"digest"`   // of its configuration
	Envelope int       `json:"envelope"` // the version of the envelopes that it sends
	Started  time.Time `json:"started"`
}

func (r *record) info() NodeInfo {
	return NodeInfo{ID: r.ID, Name: r.Name, Version: r.Version, Digest: r.Digest, Envelope: r.Envelope, Started: r.Started}
}

// Stats returns what the node knows now.
func (n *Node) Stats() Stats {
	own := n.record()
	s := Stats{
		Node: own.info(), Connected: n.available(), LeaseMisses: n.count.leaseMisses.Load(), CatchUps: n.count.catchUps.Load(),
		MessagesOut: n.count.messagesOut.Load(), BytesOut: n.count.bytesOut.Load(),
		MessagesIn: n.count.messagesIn.Load(), BytesIn: n.count.bytesIn.Load(),
		RoundTrip: time.Duration(n.count.roundTrip.Load()), Dropped: make(map[string]uint64), Entries: n.directory.size(),
	}
	for i, reason := range DropReasons {
		s.Dropped[reason] = n.count.dropped[i].Load()
	}
	for _, r := range n.live() {
		s.Others = append(s.Others, r.info())
	}
	return s
}
