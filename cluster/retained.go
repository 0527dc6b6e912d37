package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// What is retained is known to every node. A stream of JetStream keeps, for each topic,
// the last publications, so that a node that comes later, or was cut off, can take them
// over. Which of them is the last is decided by their stamps, by every node alike.

// lastPerTopic is how many publications of a topic are kept. Of several that are
// published at the same moment on different nodes, JetStream may not see that with the
// highest stamp last. If it sees more than these after it, a node that comes later takes
// another of them for the last, until the next is published.
const lastPerTopic = 4

// retainedStream makes the stream of a realm, or finds it.
func (l *link) retainedStream(ctx context.Context, limits *router.RetainedLimits) (jetstream.Stream, error) {
	n := l.node
	return n.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:              n.o.Subject + "%retained%" + string(token(nil, l.realm.Name())), // no token of ours has a bare %
		Subjects:          []string{l.prefix + subjectRetained + ">", l.prefix + subjectRetainedFor + ">"},
		MaxMsgsPerSubject: lastPerTopic,
		MaxMsgs:           2 * lastPerTopic * int64(limits.Topics),
		MaxBytes:          2 * lastPerTopic * int64(limits.Bytes),
		Discard:           jetstream.DiscardOld,
		Storage:           jetstream.FileStorage,
		Replicas:          n.o.Replicas,
	})
}

// takeOverRetained takes over what the other nodes have retained.
func (n *Node) takeOverRetained(ctx context.Context) error {
	for name, l := range n.realms {
		if limits := l.realm.Retained(); limits != nil {
			if err := l.takeOverRetained(ctx, limits); err != nil {
				return fmt.Errorf("cluster: what realm %q retains: %w", name, err)
			}
		}
	}
	return nil
}

func (l *link) takeOverRetained(ctx context.Context, limits *router.RetainedLimits) error {
	stream, err := l.retainedStream(ctx, limits)
	if err != nil {
		return err
	}
	if stream.CachedInfo().State.Msgs == 0 {
		return nil
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	d, in := decoder{messages: codec.NewDecoder()}, l.node.router.NewInbound()
	defer in.Flush()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		e, m, err := d.decode(msg.Data())
		if publish, ok := m.(*wamp.Publish); err != nil || !ok {
			l.node.drop(dropUnknown, 1)
		} else {
			in.Retain(l.realm, e.publicationOf(publish))
		}
		if at, err := msg.Metadata(); err != nil || at.NumPending == 0 {
			return err
		}
	}
}

// kept is told by JetStream what became of a publication that is to be retained.
func (n *Node) kept(m *nats.Msg) {
	var answer struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err == nil && answer.Error != nil {
		n.drop(dropNotRetained, 1)
		n.o.Logger.Warn("JetStream does not keep a retained event for nodes that come later", "error", answer.Error.Description)
	}
}
