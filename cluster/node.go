package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Node is one node of a cluster: the router.Cluster of one router. Its methods may be
// called concurrently.
type Node struct {
	o       Options
	id      string // made at each start
	conn    *nats.Conn
	js      jetstream.JetStream
	realms  map[string]*link
	byToken map[string]*link // by the token of subjects that stands for the realm
	router  *router.Router
	events  *inbox
	calls   *inbox

	sequence    atomic.Uint64
	incarnation atomic.Uint64 // goes up when calls with other nodes were given up
	lost        chan struct{} // the way to NATS was lost, and is there again
	stop        chan struct{}
	questions   chan struct{} // those being answered
	running     sync.WaitGroup
	count       counters
	flushing    shared // of what was asked of NATS
	catchingUp  shared // with the directory
	directory   directory

	mu       sync.Mutex
	members  map[string]*member // the other live nodes
	isolated bool               // this node could not show in time that it lives
	outages  int                // how often that came to be
	closed   bool
}

// member is another live node.
type member struct{ record }

// record is what the bucket of nodes has of one.
type record struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Envelope    int       `json:"envelope"`
	Digest      string    `json:"digest"`
	Started     time.Time `json:"started"`
	Incarnation uint64    `json:"incarnation"`
}

// New connects to NATS. The node goes into the Config of one router, and starts with
// Start.
func New(o Options) (*Node, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{
		o: o, id: rand.Text()[:16], realms: make(map[string]*link), byToken: make(map[string]*link), members: make(map[string]*member),
		lost: make(chan struct{}, 1), stop: make(chan struct{}), questions: make(chan struct{}, maxQuestions),
	}
	n.directory.init()
	n.conn, err = nats.Connect(strings.Join(o.Servers, ","), append([]nats.Option{
		nats.Name("blindfold " + o.Name), nats.NoEcho(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(min(o.Lease/6, 500*time.Millisecond)), nats.Timeout(max(o.Lease, 2*time.Second)),
		nats.PingInterval(max(o.Lease/3, time.Second)), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { n.disconnected(err) }),
		nats.ReconnectHandler(func(*nats.Conn) { n.reconnected() }),
		nats.ErrorHandler(n.asyncError),
	}, o.NATS...)...)
	if err != nil {
		return nil, fmt.Errorf("cluster: cannot connect to NATS: %w", err)
	}
	if n.js, err = jetstream.New(n.conn); err != nil {
		n.conn.Close()
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return n, nil
}

// Join implements router.Cluster.
func (n *Node) Join(local *router.ClusterRealm) router.ClusterLink {
	realm := string(token(nil, local.Name()))
	l := &link{node: n, realm: local, interests: make(map[interestKey]*interest), prefix: n.o.Subject + "." + realm + "."}
	n.realms[local.Name()], n.byToken[realm] = l, l
	return l
}

// Start makes the node one of the cluster. It returns when the other nodes know of it,
// and its table of registrations is that of the directory. Call it once, after the
// router was made and before it has sessions.
func (n *Node) Start(ctx context.Context, r *router.Router) error {
	n.router = r
	seen := make(windows)
	n.events = newInbox(n.o.InboxBytes, func(k int) { n.drop(dropOverload, k) }, func(batch []*nats.Msg) { n.routeEvents(seen, batch) })
	n.calls = newInbox(n.o.InboxBytes, func(k int) { n.drop(dropOverload, k); n.giveUp("calls of other nodes were dropped") }, n.routeCalls)
	for _, l := range n.realms {
		l.start()
	}
	if err := n.open(ctx); err != nil {
		return err
	}
	if most := int(n.conn.MaxPayload()); n.o.MaxMessage > most-envelopeRoom {
		n.o.Logger.Warn("the NATS servers carry smaller messages than the sessions may send: raise max_payload, or lower limits.message",
			"max_payload", most, "limits.message", n.o.MaxMessage)
	}
	n.running.Go(n.keepAlive)
	n.running.Go(n.rejoinLoop)
	return nil
}

// envelopeRoom is about how much an envelope adds to a message, in bytes.
const envelopeRoom = 1024

// open makes the buckets and subscriptions, and watches.
func (n *Node) open(ctx context.Context) error {
	if _, err := n.conn.ChanSubscribe(n.nodeSubject(n.id), n.calls.arrived); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if _, err := n.conn.Subscribe(n.nodeSubject(n.id)+".ask", n.answer); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if _, err := n.conn.Subscribe(n.nodeSubject(n.id)+".kept", n.kept); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for {
		try, cancel := context.WithTimeout(ctx, n.o.Lease)
		err := n.resync(try)
		cancel()
		if err == nil {
			return n.appear(ctx)
		}
		// NATS servers that have just been started don't answer until they have a leader.
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// nodeSubject is where messages for one node go.
func (n *Node) nodeSubject(id string) string { return n.o.Subject + ".node." + id }

// buckets makes the two buckets, or finds them.
func (n *Node) buckets(ctx context.Context) (nodes, registrations jetstream.KeyValue, err error) {
	nodes, err = n.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: n.o.Subject + "_nodes", TTL: n.o.Lease,
		LimitMarkerTTL: time.Second, Storage: jetstream.MemoryStorage, Replicas: n.o.Replicas})
	if err == nil {
		registrations, err = n.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: n.o.Subject + "_registrations",
			LimitMarkerTTL: time.Minute, Storage: jetstream.MemoryStorage, Replicas: n.o.Replicas})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cluster: cannot make the buckets: %w (nats-server 2.11 or newer with JetStream is needed)", err)
	}
	return nodes, registrations, nil
}

// resync takes over what the buckets have: at the start, and whenever the way to NATS
// was lost.
func (n *Node) resync(ctx context.Context) error {
	nodes, registrations, err := n.buckets(ctx)
	if err != nil {
		return err
	}
	if err := n.watchNodes(ctx, nodes); err != nil {
		return err
	}
	if err := n.directory.watch(ctx, n, registrations); err != nil {
		return err
	}
	return n.takeOverRetained(ctx)
}

// appear shows the others that this node lives, and waits until they know. What they
// send it from then on is answered; what they have sent before they give up, if they see
// another incarnation.
func (n *Node) appear(ctx context.Context) error {
	nodes, err := n.js.KeyValue(ctx, n.o.Subject+"_nodes")
	if err != nil {
		return err
	}
	if err := n.refresh(ctx, nodes); err != nil {
		return err
	}
	return n.greet(ctx)
}

// refresh shows that this node lives.
func (n *Node) refresh(ctx context.Context, nodes jetstream.KeyValue) error {
	value, err := json.Marshal(n.record())
	if err != nil {
		return err
	}
	_, err = nodes.Put(ctx, n.id, value)
	return err
}

var started = time.Now()

func (n *Node) record() record {
	return record{ID: n.id, Name: n.o.Name, Version: n.o.Version, Envelope: version, Digest: n.o.Digest,
		Started: started.UTC(), Incarnation: n.incarnation.Load()}
}

// watchNodes follows the bucket of nodes.
func (n *Node) watchNodes(ctx context.Context, nodes jetstream.KeyValue) error {
	watcher, err := nodes.WatchAll(context.Background())
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	n.directory.replaceNodeWatcher(watcher)
	there := map[string]bool{n.id: true}
	for {
		select {
		case entry, ok := <-watcher.Updates():
			if !ok {
				return errors.New("cluster: the bucket of nodes can't be watched")
			}
			if entry == nil { // all that was there
				n.keepOnly(there)
				n.running.Go(func() {
					for entry := range watcher.Updates() {
						if entry != nil {
							n.nodeChanged(entry)
						}
					}
				})
				return nil
			}
			if entry.Operation() == jetstream.KeyValuePut {
				there[entry.Key()] = true
			}
			n.nodeChanged(entry)
		case <-ctx.Done():
			return fmt.Errorf("cluster: the bucket of nodes: %w", ctx.Err())
		}
	}
}

// keepOnly gives up the nodes that are not there.
func (n *Node) keepOnly(there map[string]bool) {
	n.mu.Lock()
	var gone []string
	for id := range n.members {
		if !there[id] {
			gone = append(gone, id)
		}
	}
	n.mu.Unlock()
	for _, id := range gone {
		n.nodeGone(id)
	}
}

func (n *Node) nodeChanged(entry jetstream.KeyValueEntry) {
	if entry.Key() == n.id {
		return
	}
	if entry.Operation() != jetstream.KeyValuePut {
		n.nodeGone(entry.Key())
		return
	}
	var r record
	if err := json.Unmarshal(entry.Value(), &r); err != nil || r.ID != entry.Key() {
		n.drop(dropUnknown, 1)
		return
	}
	n.nodeLives(r)
}

// nodeLives notes that a node is there.
func (n *Node) nodeLives(r record) {
	n.mu.Lock()
	known := n.members[r.ID]
	again := known != nil && known.Incarnation != r.Incarnation
	if known == nil {
		known = new(member)
		n.members[r.ID] = known
		n.o.Logger.Info("node joined the cluster", "node", r.Name, "id", r.ID, "version", r.Version)
		if r.Digest != n.o.Digest {
			n.o.Logger.Warn("another node has other realms configured", "node", r.Name, "id", r.ID)
		}
		if r.Envelope != version {
			n.o.Logger.Warn("another node speaks another version of the envelope", "node", r.Name, "id", r.ID, "envelope", r.Envelope)
		}
	}
	known.record = r
	n.mu.Unlock()
	if again { // it has given up its calls with others
		n.endCallsWith(r.ID)
	}
}

// nodeGone gives a node up.
func (n *Node) nodeGone(id string) {
	n.mu.Lock()
	m := n.members[id]
	delete(n.members, id)
	n.mu.Unlock()
	if m == nil {
		return
	}
	n.o.Logger.Warn("node left the cluster", "node", m.Name, "id", id)
	n.endCallsWith(id)
	n.directory.forgetNode(n, id)
}

func (n *Node) endCallsWith(id string) {
	for _, l := range n.realms {
		l.realm.NodeGone(id)
	}
}

// live returns the other live nodes.
func (n *Node) live() []record {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]record, 0, len(n.members))
	for _, m := range n.members {
		all = append(all, m.record)
	}
	return all
}

func (n *Node) isLive(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return id == n.id || n.members[id] != nil
}

// available reports whether other nodes can be reached.
func (n *Node) available() bool {
	n.mu.Lock()
	isolated := n.isolated
	n.mu.Unlock()
	return !isolated && n.conn.IsConnected()
}

// keepAlive refreshes the node's key every third of the lease, and takes the node for
// dead if it could not do so in time: others have given it up then.
func (n *Node) keepAlive() {
	tick := time.NewTicker(n.o.Lease / 3)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-n.stop:
			return
		case <-tick.C:
		}
		if time.Since(last) > n.o.Lease {
			n.isolate("this node could not show in time that it lives")
		}
		if !n.available() { // rejoinLoop shows it, when the node can serve others again
			n.count.leaseMisses.Add(1)
			last = time.Now()
			if n.conn.IsConnected() {
				n.poke()
			}
			continue
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), n.o.Lease/3)
		nodes, err := n.js.KeyValue(ctx, n.o.Subject+"_nodes")
		if err == nil {
			err = n.refresh(ctx, nodes)
		}
		cancel()
		if err != nil {
			n.count.leaseMisses.Add(1)
			if errors.Is(err, jetstream.ErrBucketNotFound) {
				n.poke()
			}
			continue
		}
		n.count.roundTrip.Store(int64(time.Since(began)))
		last = began
	}
}

// isolate ends what this node has to do with others, once.
func (n *Node) isolate(why string) {
	n.mu.Lock()
	was := n.isolated
	n.isolated = true
	n.outages++
	n.mu.Unlock()
	if !was {
		n.o.Logger.Error("this node is cut off from the cluster: local sessions go on", "reason", why)
		n.giveUp(why)
	}
}

// giveUp ends all calls between this node and others, because messages of them may have
// been lost. The others are told by the incarnation.
func (n *Node) giveUp(why string) {
	n.o.Logger.Warn("calls with other nodes are given up", "reason", why)
	n.incarnation.Add(1)
	for _, r := range n.live() {
		n.endCallsWith(r.ID)
	}
}

// poke has rejoinLoop look.
func (n *Node) poke() {
	select {
	case n.lost <- struct{}{}:
	default:
	}
}

func (n *Node) disconnected(err error) {
	n.mu.Lock()
	closed := n.closed
	n.mu.Unlock()
	if !closed && n.router != nil {
		n.o.Logger.Warn("the connection to NATS was lost", "error", err)
		n.isolate("the connection to NATS was lost")
	}
}

func (n *Node) reconnected() {
	n.o.Logger.Info("connected to NATS again", "server", n.conn.ConnectedUrlRedacted())
	n.poke()
}

// rejoinLoop takes over what has changed after the way to the others was lost, until it
// has done so.
func (n *Node) rejoinLoop() {
	for {
		select {
		case <-n.stop:
			return
		case <-n.lost:
		}
		for {
			n.mu.Lock()
			outages := n.outages
			n.mu.Unlock()
			ctx, cancel := context.WithTimeout(context.Background(), 2*n.o.Lease)
			err := n.resync(ctx)
			if err == nil && n.unisolate(outages) {
				err = n.appear(ctx)
			}
			cancel()
			if err == nil {
				break
			}
			n.o.Logger.Warn("cannot rejoin the cluster yet", "error", err)
			select {
			case <-n.stop:
				return
			case <-time.After(n.o.Lease / 3):
			}
		}
		if n.available() {
			n.o.Logger.Info("this node is part of the cluster again")
			n.directory.reconcile(n)
		}
	}
}

// unisolate ends the isolation, unless the way was lost again since outages was read:
// then it is for the next time.
func (n *Node) unisolate(outages int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outages != outages {
		return false
	}
	n.isolated = false
	return true
}

func (n *Node) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) && sub != nil {
		n.drop(dropSlowConsumer, 1)
		if sub.Subject == n.nodeSubject(n.id) {
			go n.giveUp("the client library dropped messages of calls")
		}
	}
	n.o.Logger.Warn("NATS", "error", err)
}

// Close leaves the cluster: the others know at once. Calls with other nodes end.
func (n *Node) Close() error {
	n.mu.Lock()
	was := n.closed
	n.closed = true
	n.mu.Unlock()
	if was {
		return nil
	}
	close(n.stop)
	ctx, cancel := context.WithTimeout(context.Background(), n.o.Lease)
	defer cancel()
	if nodes, err := n.js.KeyValue(ctx, n.o.Subject+"_nodes"); err == nil {
		_ = nodes.Purge(ctx, n.id)
	}
	n.directory.close()
	n.conn.Close()
	n.running.Wait()
	if n.events != nil {
		n.events.close()
		n.calls.close()
	}
	return nil
}

// Ready says why the node can't serve as one of the cluster, or nil if it can.
func (n *Node) Ready() error {
	if !n.available() {
		return router.ClusterUnavailable
	}
	return nil
}

// routeEvents routes what has come on the subjects of topics.
func (n *Node) routeEvents(seen windows, batch []*nats.Msg) {
	d, in := decoder{messages: codec.NewDecoder()}, n.router.NewInbound()
	defer in.Flush()
	size := 0
	for _, msg := range batch {
		n.received(msg)
		e, m, err := d.decode(msg.Data)
		l := n.linkOf(msg.Subject)
		if err != nil || l == nil {
			n.drop(dropUnknown, 1)
			continue
		}
		if !n.fresh(seen, e.origin, e.sequence) {
			continue // one of its copies, for another pattern, has come before
		}
		l.routeEvent(in, e, m)
		if size += len(msg.Data); size > flushBytes {
			in.Flush()
			size = 0
		}
	}
}

// flushBytes is how many bytes are routed before they are flushed.
const flushBytes = 1 << 20

// routeCalls routes what has come on this node's own subject.
func (n *Node) routeCalls(batch []*nats.Msg) {
	d, in := decoder{messages: codec.NewDecoder()}, n.router.NewInbound()
	defer in.Flush()
	for _, msg := range batch {
		n.received(msg)
		e, m, err := d.decode(msg.Data)
		if err != nil || n.realms[e.realm] == nil {
			n.drop(dropUnknown, 1)
			continue
		}
		l := n.realms[e.realm]
		in.Receive(l.realm, e.origin, e.remoteMessage(m))
	}
}
