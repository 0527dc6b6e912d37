package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// directory is this node's copy of the bucket of registrations, and what it has applied
// to the router.
type directory struct {
	mu       sync.Mutex
	kv       jetstream.KeyValue
	entries  map[string]known // by key, until they have been removed
	revision uint64           // the last that was applied
	applied  sync.Cond        // revision went up, or the directory was closed
	closed   bool
	watcher  jetstream.KeyWatcher
	nodes    jetstream.KeyWatcher

	applying sync.Mutex // one applies at a time, in the order of revisions
}

// known is an entry of the bucket as this node has seen it.
type known struct {
	revision uint64
	entry    *router.Entry // nil: removed
}

func (d *directory) init() {
	d.entries = make(map[string]known)
	d.applied.L = &d.mu
}

func (d *directory) size() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.entries)
}

func (d *directory) last() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.revision
}

func (d *directory) replaceNodeWatcher(w jetstream.KeyWatcher) {
	d.mu.Lock()
	old := d.nodes
	d.nodes = w
	d.mu.Unlock()
	if old != nil {
		_ = old.Stop()
	}
}

// watch takes over all that the bucket has, and follows it from there. Entries that it
// no longer has are removed.
func (d *directory) watch(ctx context.Context, n *Node, kv jetstream.KeyValue) error {
	watcher, err := kv.WatchAll(context.Background())
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	d.mu.Lock()
	old := d.watcher
	d.watcher, d.kv = watcher, kv
	// A bucket that was made anew counts from 1 again.
	before := d.entries
	d.entries, d.revision = make(map[string]known), 0
	d.mu.Unlock()
	if old != nil {
		_ = old.Stop()
	}
	for {
		select {
		case entry, ok := <-watcher.Updates():
			if !ok {
				return errors.New("cluster: the bucket of registrations can't be watched")
			}
			if entry != nil {
				d.take(n, entry)
				continue
			}
			for key := range before {
				if !d.has(key) {
					n.apply(key, nil)
				}
			}
			n.running.Go(func() {
				for entry := range watcher.Updates() {
					if entry != nil {
						d.take(n, entry)
					}
				}
			})
			return nil
		case <-ctx.Done():
			return fmt.Errorf("cluster: the bucket of registrations: %w", ctx.Err())
		}
	}
}

func (d *directory) has(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entries[key].entry != nil
}

// take applies one change of the bucket.
func (d *directory) take(n *Node, change jetstream.KeyValueEntry) {
	var entry *router.Entry
	if change.Operation() == jetstream.KeyValuePut {
		entry = new(router.Entry)
		if err := json.Unmarshal(change.Value(), entry); err != nil || len(entry.Callees) == 0 {
			n.drop(dropUnknown, 1)
			entry = nil
		}
	}
	d.applying.Lock()
	defer d.applying.Unlock()
	n.apply(change.Key(), entry)
	d.mu.Lock()
	defer d.mu.Unlock()
	if entry == nil {
		delete(d.entries, change.Key())
	} else {
		d.entries[change.Key()] = known{change.Revision(), entry}
	}
	d.revision = max(d.revision, change.Revision())
	d.applied.Broadcast()
}

// apply hands an entry to its realm, and sees to the sessions that have lost theirs.
func (n *Node) apply(key string, entry *router.Entry) {
	realm, match, uri, ok := parseDirectoryKey(key)
	l := n.realms[realm]
	if !ok || l == nil || entry != nil && (entry.URI != uri || entry.Match != match) {
		n.drop(dropUnknown, 1)
		return
	}
	if lost := l.realm.Apply(match, uri, entry); len(lost) > 0 {
		n.running.Go(func() {
			for i := range lost {
				_ = l.realm.Rejoin(&lost[i])
			}
		})
	}
}

// await waits until what was applied is enough. d.mu is held when enough is called.
func (d *directory) await(ctx context.Context, enough func() bool) error {
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.applied.Broadcast()
	})
	defer stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for !enough() && !d.closed && ctx.Err() == nil {
		d.applied.Wait()
	}
	if d.closed {
		return errClosed
	}
	return ctx.Err()
}

var errClosed = errors.New("cluster: the node was closed")

// Change implements router.ClusterLink.
func (l *link) Change(match wamp.Match, uri wamp.URI, change func(old *router.Entry) (*router.Entry, *wamp.Refusal)) *wamp.Refusal {
	n, d := l.node, &l.node.directory
	if !n.available() {
		return router.ClusterUnavailable
	}
	ctx, cancel := context.WithTimeout(context.Background(), n.o.Lease)
	defer cancel()
	key := directoryKey(l.realm.Name(), match, uri)
	d.mu.Lock()
	kv, old := d.kv, d.entries[key]
	d.mu.Unlock()
	for try := 0; ; try++ {
		if try > 0 { // another node was quicker
			var err error
			if old, err = read(ctx, kv, key); err != nil {
				return n.unavailable(err)
			}
		}
		entry, refusal := change(old.entry)
		if refusal != nil {
			return refusal
		}
		revision, err := write(ctx, kv, key, entry, old)
		switch {
		case err == nil:
			// The revision of a removal isn't told: it is any other than the entry's.
			if err := d.await(ctx, func() bool {
				return entry == nil && d.entries[key].revision != old.revision || entry != nil && d.revision >= revision
			}); err != nil {
				return n.unavailable(err)
			}
			return nil
		case errors.Is(err, jetstream.ErrKeyRevisionMismatch), errors.Is(err, jetstream.ErrKeyExists):
			if ctx.Err() != nil {
				return n.unavailable(ctx.Err())
			}
			time.Sleep(rand.N(time.Duration(min(try+1, 20)) * time.Millisecond)) // so that not all try at once again
		default:
			return n.unavailable(err)
		}
	}
}

// read gets an entry as the bucket has it now.
func read(ctx context.Context, kv jetstream.KeyValue, key string) (known, error) {
	e, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return known{}, nil
	}
	if err != nil {
		return known{}, err
	}
	k := known{revision: e.Revision(), entry: new(router.Entry)}
	return k, json.Unmarshal(e.Value(), k.entry)
}

// markerTTL is how long the bucket keeps the marker of an entry that was removed.
const markerTTL = time.Minute

// write replaces an entry if it is old still, and returns the new one's revision, or 0
// if there is none any more.
func write(ctx context.Context, kv jetstream.KeyValue, key string, entry *router.Entry, old known) (uint64, error) {
	if entry == nil {
		if old.entry == nil {
			return 0, nil
		}
		return 0, kv.Purge(ctx, key, jetstream.LastRevision(old.revision), jetstream.PurgeTTL(markerTTL))
	}
	value, err := json.Marshal(entry)
	if err != nil {
		return 0, err
	}
	if old.entry == nil {
		return kv.Create(ctx, key, value)
	}
	return kv.Update(ctx, key, value, old.revision)
}

func (n *Node) unavailable(err error) *wamp.Refusal {
	n.o.Logger.Warn("the directory of registrations can't be changed", "error", err)
	return router.ClusterUnavailable
}

// CatchUp implements router.ClusterLink. Many that ask at the same time wait for one
// question to JetStream, which began after each of them came: whoever calls procedures
// that nobody has registered costs no question each.
func (l *link) CatchUp() *wamp.Refusal {
	n := l.node
	if !n.available() {
		return router.ClusterUnavailable
	}
	if err := n.catchingUp.do(n.catchUp); err != nil {
		return n.unavailable(err)
	}
	return nil
}

func (n *Node) catchUp() error {
	d := &n.directory
	ctx, cancel := context.WithTimeout(context.Background(), n.o.Lease)
	defer cancel()
	last, err := n.lastRevision(ctx)
	if err != nil {
		return err
	}
	n.count.catchUps.Add(1)
	return d.await(ctx, func() bool { return d.revision >= last })
}

// lastRevision asks for the bucket's last revision.
func (n *Node) lastRevision(ctx context.Context) (uint64, error) {
	stream, err := n.js.Stream(ctx, "KV_"+n.o.Subject+"_registrations")
	if err != nil {
		return 0, err
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// forgetNode takes a dead node out of all entries. Every live node does it; the first
// by compare-and-set is the one that has.
func (d *directory) forgetNode(n *Node, node string) {
	d.mu.Lock()
	var keys []string
	for key, k := range d.entries {
		if k.entry != nil {
			if _, unchanged := k.entry.Without(node); !unchanged {
				keys = append(keys, key)
			}
		}
	}
	d.mu.Unlock()
	if len(keys) == 0 {
		return
	}
	n.running.Go(func() {
		for _, key := range keys {
			realm, match, uri, ok := parseDirectoryKey(key)
			if l := n.realms[realm]; ok && l != nil {
				_ = l.Change(match, uri, func(old *router.Entry) (*router.Entry, *wamp.Refusal) {
					if old == nil {
						return nil, nothingToDo
					}
					rest, unchanged := old.Without(node)
					if unchanged {
						return nil, nothingToDo
					}
					return rest, nil
				})
			}
		}
	})
}

var nothingToDo = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchRegistration, Text: "nothing to do"}

// reconcile brings the directory in line with what the sessions of this node hold, and
// with the nodes that live.
func (d *directory) reconcile(n *Node) {
	d.mu.Lock()
	type stale struct {
		l       *link
		session wamp.ID
		entry   *router.Entry
	}
	var over []stale
	dead := make(map[string]bool)
	for key, k := range d.entries {
		realm, _, _, _ := parseDirectoryKey(key)
		l := n.realms[realm]
		if k.entry == nil || l == nil {
			continue
		}
		for _, c := range k.entry.Callees {
			switch {
			case c.Node != n.id:
				if !n.isLive(c.Node) {
					dead[c.Node] = true
				}
			case !l.realm.Holds(c.Session, k.entry.ID):
				over = append(over, stale{l, c.Session, k.entry})
			}
		}
	}
	d.mu.Unlock()
	for _, s := range over {
		_ = s.l.Change(s.entry.Match, s.entry.URI, func(old *router.Entry) (*router.Entry, *wamp.Refusal) {
			if old == nil || old.ID != s.entry.ID || s.l.realm.Holds(s.session, s.entry.ID) {
				return nil, nothingToDo
			}
			rest, unchanged := old.WithoutSession(n.id, s.session)
			if unchanged {
				return nil, nothingToDo
			}
			return rest, nil
		})
	}
	for _, l := range n.realms {
		for _, held := range l.realm.Held() {
			_ = l.realm.Rejoin(&held)
		}
	}
	for node := range dead {
		d.forgetNode(n, node)
	}
}

func (d *directory) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.applied.Broadcast()
	for _, w := range []jetstream.KeyWatcher{d.watcher, d.nodes} {
		if w != nil {
			_ = w.Stop()
		}
	}
}
