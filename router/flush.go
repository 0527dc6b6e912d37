package router

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
)

const (
	// flushDivisor is the part of what all queues together may hold that a batch puts
	// into outboxes before it flushes.
	flushDivisor = 16 // Limits.Queues divided by that
	// pollMinReceivers is from how many receivers on a batch looks for more to send before
	// it flushes; mostPolls is how often it may; and when it has read such a part of
	// what fits into a receiver's queue, it may not any more.
	pollMinReceivers = 8
	maxPolls         = 8
	pollReadDivisor  = 16 // Limits.Queue divided by that
	// parallelFlushBytes is how many bytes of a flush are worth another goroutine, and
	// mostHelpers how many there may be.
	parallelFlushBytes = 512 << 10
	maxFlushWorkers    = 7
)

// hasMore reports whether another frame of the batch's sender is there. Before it is
// written to many, what else may have come is looked for on the socket: that costs
// less than one write, and saves one to each of them if there is something. A batch
// that is long already is written, and so is that of a sender that never stops.
func (b *batch) hasMore(conn transport.Conn) bool {
	if conn.Buffered() {
		return true
	}
	if len(b.dirty) < pollMinReceivers || b.polls >= maxPolls || b.readBytes >= b.router.limits().Queue/pollReadDivisor {
		return false
	}
	b.polls++
	b.inbound.Message = nil // its payload is of the frame before, which Poll may overwrite
	if !conn.Poll() {
		return false
	}
	b.arrived = time.Now()
	return true
}

// makeRoom flushes where a receiver has more than half a queue waiting, or all together
// much. It comes between two outbound messages, without a lock: as each receiver gets
// one frame from one makeRoom to the next, no queue fills up only because a batch has
// not been flushed.
func (b *batch) makeRoom() {
	if b.overHalf || b.pendingBytes > b.router.limits().QueueTotal/flushDivisor {
		b.flush()
	}
}

// flush writes what this batch has put into send queues, and then lets the sender
// wait, for a bounded time, for receivers that are far behind. It comes between two
// outbound messages.
func (b *batch) flush() {
	b.resetEncodings()
	for _, slot := range b.sharedSlots {
		b.shared[slot].Release()
		b.shared[slot] = nil
	}
	b.sharedSlots = b.sharedSlots[:0]
	if b.pendingBytes >= 2*parallelFlushBytes && len(b.dirty) > 1 {
		b.flushParallel()
	}
	for i, s := range b.dirty {
		s.out.Flush(&b.scratch)
		b.addIfSlow(s)
		b.dirty[i] = nil
	}
	b.dirty, b.pendingBytes, b.overHalf = b.dirty[:0], 0, false
	if len(b.slowReceivers) > 0 {
		b.awaitSlow()
	}
}

// flushParallel flushes what is owed with the help of other processors, if any is
// free. Nobody waits for them: what a helper has taken on is flushed by it, however
// late, and until then whoever puts more there owes nothing.
func (b *batch) flushParallel() {
	f := newParallelFlush()
	f.dirty, b.dirty = b.dirty, f.dirty
	f.next.Store(0)
	helpers := min(runtime.GOMAXPROCS(0)-1, maxFlushWorkers, b.pendingBytes/parallelFlushBytes-1, len(f.dirty)-1)
	f.users.Store(int32(helpers + 1))
	for range helpers {
		go f.worker()
	}
	f.work(&b.scratch)
	for _, s := range f.dirty {
		b.addIfSlow(s)
	}
	f.release()
}

// parallelFlush is a list of sessions that several goroutines flush, each session one of
// them.
type parallelFlush struct {
	dirty  []*session
	next   atomic.Int64
	users  atomic.Int32
	worker func() // a helper's work; made once, so that starting one allocates nothing
}

var (
	parallelFlushPool sync.Pool
	scratchPool       = sync.Pool{New: func() any { return new(sendqueue.Scratch) }}
)

func newParallelFlush() *parallelFlush {
	if f, ok := parallelFlushPool.Get().(*parallelFlush); ok {
		return f
	}
	f := new(parallelFlush)
	f.worker = func() {
		scratch := scratchPool.Get().(*sendqueue.Scratch)
		f.work(scratch)
		scratch.Forget()
		scratchPool.Put(scratch)
		f.release()
	}
	return f
}

func (f *parallelFlush) work(scratch *sendqueue.Scratch) {
	for {
		i := f.next.Add(1) - 1
		if i >= int64(len(f.dirty)) {
			return
		}
		f.dirty[i].out.Flush(scratch)
	}
}

// release gives the list back with its last user.
func (f *parallelFlush) release() {
	if f.users.Add(-1) == 0 {
		clear(f.dirty)
		f.dirty = f.dirty[:0]
		parallelFlushPool.Put(f)
	}
}
