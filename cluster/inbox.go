package cluster

import (
	"sync"

	"github.com/nats-io/nats.go"
)

// inbox takes what NATS brings out of the client library as it comes, and holds it, up
// to a number of bytes, until it is routed. What is over that is dropped and counted:
// NATS has no way to let a sender wait.
type inbox struct {
	arrived chan *nats.Msg // that all subscriptions deliver to, in the order of arrival
	limit   int
	dropped func(n int)

	mu      sync.Mutex
	waiting []*nats.Msg
	bytes   int
	ready   sync.Cond // waiting is not empty, or closed
	closed  bool
	done    sync.WaitGroup
}

// arrivalSlots is how many messages the client library may hand over at once.
const arrivalSlots = 4096

// sizeOf is about how many bytes a message takes: one without data takes some, too.
func sizeOf(m *nats.Msg) int { return 256 + len(m.Subject) + len(m.Data) }

func newInbox(limit int, dropped func(n int), route func([]*nats.Msg)) *inbox {
	x := &inbox{arrived: make(chan *nats.Msg, arrivalSlots), limit: limit, dropped: dropped}
	x.ready.L = &x.mu
	x.done.Go(x.collect)
	x.done.Go(func() { x.dispatch(route) })
	return x
}

func (x *inbox) collect() {
	for m := range x.arrived {
		x.mu.Lock()
		if x.bytes+sizeOf(m) > x.limit {
			x.mu.Unlock()
			x.dropped(1)
			continue
		}
		x.waiting = append(x.waiting, m)
		x.bytes += sizeOf(m)
		x.ready.Signal()
		x.mu.Unlock()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	x.ready.Signal()
}

func (x *inbox) dispatch(route func([]*nats.Msg)) {
	var batch []*nats.Msg
	for {
		x.mu.Lock()
		for len(x.waiting) == 0 && !x.closed {
			x.ready.Wait()
		}
		if len(x.waiting) == 0 {
			x.mu.Unlock()
			return
		}
		batch, x.waiting = x.waiting, batch[:0]
		x.mu.Unlock()
		route(batch)
		size := 0
		for i, m := range batch {
			size += sizeOf(m)
			batch[i] = nil
		}
		x.mu.Lock()
		x.bytes -= size
		x.mu.Unlock()
	}
}

// close ends the inbox, when no subscription delivers to it any more and all that
// has come was routed.
func (x *inbox) close() {
	close(x.arrived)
	x.done.Wait()
}
