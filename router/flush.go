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
	// flushDivisor is the part of Limits.QueueTotal, 1/flushDivisor, that a batch puts
	// into send queues before it flushes.
	flushDivisor = 16
	// A batch with at least pollMinReceivers receivers polls its socket for more messages
	// before it flushes, at most maxPolls times, and until it has read
	// Limits.Queue/pollReadDivisor bytes.
	pollMinReceivers = 8
	maxPolls         = 8
	pollReadDivisor  = 16
	// A flush is shared with another goroutine for each parallelFlushBytes, and with
	// maxFlushWorkers at most.
	parallelFlushBytes = 512 << 10
	maxFlushWorkers    = 7
)

// hasMore reports whether another frame of the batch's sender is there. Before a batch
// is written to many receivers, the socket is polled for further messages: that costs
// less than one write, and saves one for each receiver if there is something. A batch
// that is long already is written, so a sender that never stops can't delay it.
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

// makeRoom flushes if a receiver's queue is more than half full, or if much is waiting
// in all. It is called between two outbound messages, without a lock. As each receiver
// gets one frame between two calls, no queue fills up only because a batch has not been
// flushed.
func (b *batch) makeRoom() {
	if b.overHalf || b.pendingBytes > b.router.limits().QueueTotal/flushDivisor {
		b.flush()
	}
}

// flush writes what this batch has put into send queues, and then waits, for a bounded
// time, for receivers that are far behind. It is called between two outbound messages.
func (b *batch) flush() {
	b.resetEncodings()
	if b.budget != nil {
		b.budget.earn(b.sentBytes, b.router.limits())
	}
	b.sentBytes = 0
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

// flushParallel flushes with the help of other processors, if any is free. It does not
// wait for them: a worker flushes each session that it has taken, however late, and
// until then other batches that put frames there need not flush.
func (b *batch) flushParallel() {
	f := newParallelFlush()
	f.dirty, b.dirty = b.dirty, f.dirty
	f.next.Store(0)
	workers := min(runtime.GOMAXPROCS(0)-1, maxFlushWorkers, b.pendingBytes/parallelFlushBytes-1, len(f.dirty)-1)
	f.users.Store(int32(workers + 1))
	for range workers {
		go f.worker()
	}
	f.work(&b.scratch)
	for _, s := range f.dirty {
		b.addIfSlow(s)
	}
	f.release()
}

// parallelFlush is a list of sessions that several goroutines flush, each session by
// one of them.
type parallelFlush struct {
	dirty  []*session
	next   atomic.Int64
	users  atomic.Int32
	worker func() // made once, so that starting a worker allocates nothing
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

// release returns the list to its pool with the last user.
func (f *parallelFlush) release() {
	if f.users.Add(-1) == 0 {
		clear(f.dirty)
		f.dirty = f.dirty[:0]
		parallelFlushPool.Put(f)
	}
}
