package router

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
)

const (
	// flushEvery is the part of what all queues together may hold that a turn puts
	// into outboxes before it flushes.
	flushEvery = 16 // Limits.Queues divided by that
	// worthPolling is from how many receivers on a turn looks for more to send before
	// it flushes; mostPolls is how often it may; and when it has read such a part of
	// what fits into a receiver's queue, it may not any more.
	worthPolling = 8
	mostPolls    = 8
	mostRead     = 16 // Limits.Queue divided by that
	// worthHelp is how many bytes of a flush are worth another goroutine, and
	// mostHelpers how many there may be.
	worthHelp   = 512 << 10
	mostHelpers = 7
)

// more reports whether another frame of the turn's sender is there. Before it is
// written to many, what else may have come is looked for on the socket: that costs
// less than one write, and saves one to each of them if there is something. A batch
// that is long already is written, and so is that of a sender that never stops.
func (t *turn) more(conn transport.Conn) bool {
	if conn.Buffered() {
		return true
	}
	if len(t.owed) < worthPolling || t.polled >= mostPolls || t.read >= t.router.limits().Queue/mostRead {
		return false
	}
	t.polled++
	t.transit.Message = nil // its payload is of the frame before, which Poll may overwrite
	if !conn.Poll() {
		return false
	}
	t.arrived = time.Now()
	return true
}

// flush writes what this turn has put into outboxes, and then lets the sender
// wait, for a bounded time, for receivers that are far behind. It comes between two
// outbound messages.
func (t *turn) flush() {
	t.fresh()
	for _, slot := range t.sharing {
		t.shared[slot].release()
		t.shared[slot] = nil
	}
	t.sharing = t.sharing[:0]
	if t.owedSize >= 2*worthHelp && len(t.owed) > 1 {
		t.flushTogether()
	}
	for i, s := range t.owed {
		s.out.flush(&t.scratch)
		t.noteSlow(s)
		t.owed[i] = nil
	}
	t.owed, t.owedSize = t.owed[:0], 0
	if len(t.slow) > 0 {
		t.awaitSlow()
	}
}

// flushTogether flushes what is owed with the help of other processors, if any is
// free. Nobody waits for them: what a helper has taken on is flushed by it, however
// late, and until then whoever puts more there owes nothing.
func (t *turn) flushTogether() {
	f := newJointFlush()
	f.owed, t.owed = t.owed, f.owed
	f.next.Store(0)
	helpers := min(runtime.GOMAXPROCS(0)-1, mostHelpers, t.owedSize/worthHelp-1, len(f.owed)-1)
	f.users.Store(int32(helpers + 1))
	for range helpers {
		go f.help()
	}
	f.work(&t.scratch)
	for _, s := range f.owed {
		t.noteSlow(s)
	}
	f.leave()
}

// jointFlush is a list of sessions that several goroutines flush, each session one of
// them.
type jointFlush struct {
	owed  []*session
	next  atomic.Int64
	users atomic.Int32
	help  func() // a helper's work; made once, so that starting one allocates nothing
}

var (
	flushes   sync.Pool
	scratches = sync.Pool{New: func() any { return new(writeScratch) }}
)

func newJointFlush() *jointFlush {
	if f, ok := flushes.Get().(*jointFlush); ok {
		return f
	}
	f := new(jointFlush)
	f.help = func() {
		scratch := scratches.Get().(*writeScratch)
		f.work(scratch)
		scratch.forget()
		scratches.Put(scratch)
		f.leave()
	}
	return f
}

func (f *jointFlush) work(scratch *writeScratch) {
	for {
		i := f.next.Add(1) - 1
		if i >= int64(len(f.owed)) {
			return
		}
		f.owed[i].out.flush(scratch)
	}
}

// leave gives the list back with its last user.
func (f *jointFlush) leave() {
	if f.users.Add(-1) == 0 {
		clear(f.owed)
		f.owed = f.owed[:0]
		flushes.Put(f)
	}
}
