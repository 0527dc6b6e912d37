package sendqueue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport/transporttest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// filling is a byte that few other frames are filled with.
func filling(sender, i int) byte { return byte('a' + (sender*7+i)%26) }

// Whatever the socket takes, and whichever goroutine puts and flushes, all frames are written
// whole, and each sender's in its order.
func TestQueueKeepsEverythingInOrder(t *testing.T) {
	conn := transporttest.NewSlowConn(func() int { return rand.IntN(3 << 10) })
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 1 << 30, WriteTimeout: time.Second}}
	const senders, each = 4, 2000
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			var scratch Scratch
			lay := NewChunk(largeChunk, true) // where one shared frame is laid behind the other
			for i := range each {
				size := 16 + rand.IntN(200)
				if i%100 == 0 {
					size = 16 << 10
				}
				frame := fmt.Appendf(nil, "%02d %05d %06d ", sender, i, size)
				frame = append(frame, bytes.Repeat([]byte{filling(sender, i)}, size-len(frame))...)
				var of *Chunk
				if size == 16<<10 || i%50 > 20 {
					if cap(lay.Buf)-len(lay.Buf) < size {
						lay.Release()
						lay = NewChunk(largeChunk, true)
					}
					of, lay.Buf = lay, append(lay.Buf, frame...)
					frame = lay.Buf[len(lay.Buf)-size:]
				}
				if o.Put(frame, of) == PutNeedsFlush && rand.IntN(4) > 0 {
					o.Flush(&scratch)
				}
			}
			lay.Release()
			o.Flush(&scratch)
		})
	}
	all.Wait()
	var scratch Scratch
	o.Finish(&scratch)
	<-conn.Closed
	rest := conn.Bytes()
	var next [senders]int
	for len(rest) > 0 {
		var sender, i, size int
		if _, err := fmt.Sscanf(string(rest[:16]), "%02d %05d %06d ", &sender, &i, &size); err != nil || size > len(rest) {
			t.Fatalf("no frame begins with %q: %v", rest[:16], err)
		}
		if i != next[sender] {
			t.Fatalf("sender %d: frame %d came instead of %d", sender, i, next[sender])
		}
		next[sender]++
		if body := rest[16:size]; len(bytes.Trim(body, string(filling(sender, i)))) > 0 {
			t.Fatalf("sender %d: frame %d is %q", sender, i, body)
		}
		rest = rest[size:]
	}
	for sender, n := range next {
		if n != each {
			t.Errorf("sender %d: %d frames of %d", sender, n, each)
		}
	}
	if o.size != 0 || o.heldKiB != 0 {
		t.Errorf("%d bytes are counted as waiting, %d KiB as held", o.size, o.heldKiB)
	}
}

// Consecutive frames of a chunk are one segment, even if other queues have them, too.
func TestSharedFramesAreOneSegment(t *testing.T) {
	one, two := &Queue{limits: &Limits{Bytes: 1 << 20}}, &Queue{limits: &Limits{Bytes: 1 << 20}}
	lay := NewChunk(smallChunk, true)
	for i := range 10 {
		lay.Buf = append(lay.Buf, bytes.Repeat([]byte{byte('0' + i)}, 100)...)
		frame := lay.Buf[i*100:]
		one.Put(frame, lay)
		if i != 5 {
			two.Put(frame, lay)
		}
	}
	one.Put([]byte("its own"), nil)
	if n := len(one.waiting); n != 2 || len(one.waiting[0].bytes) != 1000 || string(lay.Buf[990:]) != "9999999999" {
		t.Errorf("%d segments, the chunk ends with %q", n, lay.Buf[990:])
	}
	if n := len(two.waiting); n != 2 || len(two.waiting[0].bytes) != 500 || len(two.waiting[1].bytes) != 400 {
		t.Errorf("%d segments with a gap between them", n)
	}
	if refs := lay.refs.Load(); refs != 4 {
		t.Errorf("the chunk is referred to by %d", refs)
	}
}

// However small the frames are, and whatever other queues have of them, a queue
// holds little more memory than waits, and knows how much.
func TestHeldIsBounded(t *testing.T) {
	shared := func(o *Queue, room int) {
		lay := NewChunk(room, true)
		lay.Buf = append(lay.Buf, make([]byte, 100)...)
		o.Put(lay.Buf, lay)
		lay.Release()
	}
	for name, put := range map[string]func(*Queue, int){
		"alone in a small chunk":     func(o *Queue, _ int) { shared(o, smallChunk) },
		"alone in a large chunk":     func(o *Queue, _ int) { shared(o, largeChunk) },
		"shared and its own in turn": func(o *Queue, _ int) { shared(o, smallChunk); o.Put(make([]byte, 100), nil) },
		"its own, of 5 kB, between": func(o *Queue, i int) {
			if shared(o, smallChunk); i%10 == 0 {
				o.Put(make([]byte, 5000), nil)
			}
		},
	} {
		o := &Queue{Conn: transporttest.NewSlowConn(nil), limits: &Limits{Bytes: 4 << 20}}
		for i := range 20_000 {
			put(o, i)
		}
		held, counted := 0, 0
		for _, s := range o.waiting {
			held += cap(s.chunk.Buf)
			counted += int(s.chunk.room)
		}
		if o.size < 2_000_000 || held > maxHeld+4*o.size+2*largeChunk || counted != int(o.heldKiB) {
			t.Errorf("%s: %d bytes held while %d wait, %d KiB are counted of %d", name, held, o.size, o.heldKiB, counted)
		}
		if o.Close(); o.heldKiB != 0 {
			t.Errorf("%s: %d KiB are counted as held after the end", name, o.heldKiB)
		}
	}
}

// A frame alone in its chunk is shared, of whatever size.
func TestFramesOfAllSizesAreShared(t *testing.T) {
	for _, size := range []int{100, 4 << 10, 9 << 10, 17 << 10, 63 << 10, 65 << 10, 200 << 10, 256 << 10, 300 << 10, 480 << 10, 513 << 10, 1 << 20, 3 << 20} {
		o := &Queue{limits: &Limits{Bytes: 4 << 20}}
		lay := NewChunk(size+512, true)
		lay.Buf = append(lay.Buf, make([]byte, size)...)
		if o.Put(lay.Buf, lay); o.waiting[0].chunk != lay {
			t.Errorf("%d bytes are copied", size)
		}
	}
}

// gated returns a connection that takes nothing until open is called.
func gated() (conn *transporttest.SlowConn, open func()) {
	gate := make(chan struct{})
	conn = transporttest.NewSlowConn(nil)
	conn.Take = func() int {
		select {
		case <-gate:
			return 1 << 30
		default:
			return 0
		}
	}
	return conn, func() { close(gate) }
}

// A queue is full when its peer has had its time to take what waits, and not before: what
// has not been flushed the peer could not take.
func TestQueueIsBounded(t *testing.T) {
	conn, open := gated()
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 1000, WriteTimeout: time.Second, BackpressureTimeout: time.Hour}}
	if got := o.Put(make([]byte, 5000), nil); got != PutNeedsFlush {
		t.Errorf("a large frame into an empty queue: %v", got)
	}
	if got := o.Put(make([]byte, 10), nil); got != PutOverHalf {
		t.Errorf("over the limit, before a flush: %v", got)
	}
	var scratch Scratch
	o.Flush(&scratch)
	if got := o.Put(make([]byte, 10), nil); got != PutOverHalf {
		t.Errorf("over the limit, while senders have patience: %v", got)
	}
	o.mu.Lock()
	o.pressure.waited = o.limits.BackpressureTimeout
	o.mu.Unlock()
	if got := o.Put(make([]byte, 10), nil); got != PutFull {
		t.Errorf("over the limit, after that: %v", got)
	}
	o.Close()
	if got := o.Put(make([]byte, 10), nil); got != PutClosed {
		t.Errorf("after close: %v", got)
	}
	open()
}

// Behind the last frame come only those of the transport, and the last comes however
// much waits.
func TestLastFrame(t *testing.T) {
	conn, open := gated()
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 10, WriteTimeout: time.Second}}
	var scratch Scratch
	o.Put([]byte("first frame;"), nil)
	o.Flush(&scratch)
	if got := o.Put([]byte("one too many;"), nil); got != PutFull {
		t.Fatalf("over the limit: %v", got)
	}
	if got := o.PutLast([]byte("last;")); got != PutQueued {
		t.Errorf("the last frame: %v", got)
	}
	if got := o.Put([]byte("never seen;"), nil); got != PutClosed {
		t.Errorf("behind the last frame: %v", got)
	}
	if got := o.PutLast([]byte("never seen;")); got != PutClosed {
		t.Errorf("another last frame: %v", got)
	}
	open()
	for o.Len() > 0 {
		runtime.Gosched()
	}
	if got := o.PutControl([]byte("control")); got != PutNeedsFlush {
		t.Errorf("a frame of the transport: %v", got)
	}
	o.Finish(&scratch)
	<-conn.Closed
	if got := string(conn.Bytes()); got != "first frame;last;control" {
		t.Errorf("the peer got %q", got)
	}
}

// Many who wait for one peer have no less patience than one.
func TestPatienceIsNotDivided(t *testing.T) {
	conn, open := gated()
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 1000, WriteTimeout: time.Hour, BackpressureTimeout: time.Hour}}
	o.Put(make([]byte, 1000), nil)
	var scratch Scratch
	o.Flush(&scratch)
	begin := time.Now().Add(-30 * time.Minute) // when they all began to wait
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { o.AwaitRoom(begin, begin.Add(2*time.Hour)) })
	}
	for waiting := false; !waiting; runtime.Gosched() {
		o.mu.Lock()
		waiting = o.pressure.waited > 0
		o.mu.Unlock()
	}
	if !o.Behind() {
		t.Error("patience is over")
	}
	open()
	all.Wait()
	o.Close()
}

// A session that does not read is cut off: what has begun to go out is
// finished, so that the peer can still read the last frame, and the rest is not.
func TestQueueCut(t *testing.T) {
	open := make(chan struct{})
	calls := 0
	busy := make(chan struct{}) // closed when the writer goroutine is at it
	conn := transporttest.NewSlowConn(nil)
	conn.Take = func() int {
		switch calls++; calls {
		case 1:
			return 3 // of the first frame
		case 2:
			close(busy)
		}
		select {
		case <-open:
			return 1 << 20
		default:
			return 0
		}
	}
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 1 << 20, WriteTimeout: time.Second}}
	var scratch Scratch
	o.Put([]byte("first frame;"), nil)
	o.Flush(&scratch) // 3 bytes go out, a writer goroutine is at the rest
	<-busy
	for range 100 {
		o.Put([]byte("never seen;"), nil)
	}
	o.Cut([]byte("last"))
	close(open)
	<-conn.Closed
	got := string(conn.Bytes())
	if got != "first frame;last" {
		t.Errorf("the peer got %q", got)
	}
}

// A frame that was begun is finished even if the peer takes nothing more of it
// until it is cut off: it would take what comes instead for the rest.
func TestQueueCutOfTheStalled(t *testing.T) {
	conn := &stallingConn{SlowConn: transporttest.NewSlowConn(func() int { return 3 })}
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 1 << 20, WriteTimeout: time.Second}}
	o.OnStall = func() { o.Cut([]byte("last")) }
	var scratch Scratch
	o.Put([]byte("first frame;"), nil)
	o.Put(make([]byte, largeChunk), nil) // which is a segment of its own
	o.Flush(&scratch)
	<-conn.Closed
	if got := string(conn.Bytes()); got != "first frame;last" {
		t.Errorf("the peer got %d bytes, %.20q", len(got), got)
	}
}

// stallingConn takes nothing by its first Write, and then everything.
type stallingConn struct {
	*transporttest.SlowConn
	stalled bool
}

func (c *stallingConn) Write(segments [][]byte, stall time.Duration) (int, error) {
	if !c.stalled {
		c.stalled = true
		return 0, os.ErrDeadlineExceeded
	}
	return c.SlowConn.Write(segments, stall)
}

func TestQueueClosesOnError(t *testing.T) {
	conn := transporttest.NewSlowConn(func() int { return 0 })
	conn.Err = io.ErrClosedPipe
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 1000, WriteTimeout: time.Second}}
	var scratch Scratch
	o.Put([]byte("frame"), nil)
	o.Flush(&scratch)
	<-conn.Closed
	if got := o.Put([]byte("frame"), nil); got != PutClosed {
		t.Errorf("after an error: %v", got)
	}
	if !errors.Is(conn.Err, io.ErrClosedPipe) || o.size != 0 {
		t.Errorf("size %d", o.size)
	}
}

// A sender waits for room, and is woken when there is some.
func TestQueueRoom(t *testing.T) {
	open := make(chan struct{})
	conn := transporttest.NewSlowConn(nil)
	conn.Take = func() int {
		select {
		case <-open:
			return 1 << 20
		default:
			return 0
		}
	}
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 1500, WriteTimeout: time.Second, BackpressureTimeout: time.Hour}}
	var scratch Scratch
	o.Put(make([]byte, 1000), nil)
	o.Flush(&scratch)
	if !o.Behind() {
		t.Fatal("two thirds of the limit are not behind")
	}
	go close(open)
	o.AwaitRoom(time.Now(), time.Now().Add(time.Hour))
	if o.Behind() {
		t.Error("still behind, though the peer took everything")
	}
	o.Close()
}

// Patience with a peer that takes nothing is over after a tenth of BackpressureTimeout,
// until it takes something again; and with one that takes a little after all of it,
// until it has taken half a queue.
func TestPatienceIsBounded(t *testing.T) {
	conn := transporttest.NewSlowConn(func() int { return 0 })
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 1000, WriteTimeout: time.Hour, BackpressureTimeout: 50 * time.Millisecond}}
	o.Put(make([]byte, 1000), nil)
	o.backpressureState().progress = time.Now()
	o.AwaitRoom(time.Now(), time.Now().Add(time.Hour))
	if o.Behind() {
		t.Error("patience with a peer that takes nothing has no end")
	}
	// A trickle: some bytes in each slice.
	o.pressure.progress = time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.AwaitRoom(time.Now(), time.Now().Add(time.Hour))
	}()
	for ticking := true; ticking; {
		select {
		case <-done:
			ticking = false
		default:
			o.mu.Lock()
			o.pressure.taken, o.pressure.progress = o.pressure.taken+1, time.Now()
			o.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
	}
	if o.pressure.waited < o.limits.BackpressureTimeout {
		t.Errorf("patience ended after %v", o.pressure.waited)
	}
	o.limits.BackpressureTimeout = time.Hour // so that no progress is needed for a while
	o.pressure.waited = time.Hour
	o.pressure.waitedAt = o.pressure.taken - 499
	if o.Behind() {
		t.Error("patience came back too early")
	}
	if o.pressure.taken++; !o.Behind() {
		t.Error("patience did not come back")
	}
	o.Close()
}

// Senders that wait no more may fill the other half of a queue, and what the peer takes
// gives them room again. Then it is full, though the peer has its time yet.
func TestOverdraw(t *testing.T) {
	conn := &portions{SlowConn: transporttest.NewSlowConn(func() int { return 0 }), take: make(chan int)}
	defer close(conn.take)
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 1000, WriteTimeout: time.Hour, BackpressureTimeout: time.Hour}}
	put := func(n int) bool {
		t.Helper()
		if got := o.Put(make([]byte, n), nil); got != PutOverHalf && got != PutNeedsFlush {
			t.Fatalf("put: %v", got)
		}
		return o.Overdraw(n)
	}
	if put(2000) {
		t.Error("full before the peer could take anything")
	}
	var scratch Scratch
	o.Flush(&scratch)
	if put(300) || put(200) {
		t.Error("full before half a queue was overdrawn")
	}
	conn.take <- 400
	for o.Len() > 2100 {
		runtime.Gosched()
	}
	if put(300) || put(100) {
		t.Error("what the peer took does not count")
	}
	if !put(1) {
		t.Error("never full")
	}
	o.Close()
	if o.Overdraw(1000) {
		t.Error("full after the end")
	}
}

// portions is a connection whose peer takes what the test says.
type portions struct {
	*transporttest.SlowConn
	take chan int
}

func (c *portions) Write([][]byte, time.Duration) (int, error) {
	n, open := <-c.take
	if !open {
		return 0, io.ErrClosedPipe
	}
	return n, nil
}

// A sender waits no longer than it says, whatever patience there is with the peer.
func TestWaitEnds(t *testing.T) {
	conn := &portions{SlowConn: transporttest.NewSlowConn(func() int { return 0 }), take: make(chan int)}
	defer close(conn.take)
	o := &Queue{Conn: conn, limits: &Limits{Bytes: 1000, WriteTimeout: time.Hour, BackpressureTimeout: 10 * time.Hour}}
	o.Put(make([]byte, 1000), nil)
	var scratch Scratch
	o.Flush(&scratch)
	begin := time.Now()
	o.AwaitRoom(begin, begin.Add(time.Millisecond))
	if !o.Behind() {
		t.Error("there is no patience left")
	}
	o.Close()
}

// What waits is accounted in the router's total, and what does not any more isn't.
func TestQueueAccounts(t *testing.T) {
	var total atomic.Int64
	conn, open := gated()
	o := &Queue{Conn: conn, Total: &total, limits: &Limits{Bytes: 1 << 20, WriteTimeout: time.Second}}
	o.Put(make([]byte, 100), nil)
	if total.Load() != 0 {
		t.Errorf("%d bytes for less than a granule", total.Load())
	}
	o.Put(make([]byte, 5*Granule), nil)
	if total.Load() != 0 {
		t.Errorf("%d bytes are accounted before the peer could take any", total.Load())
	}
	var scratch Scratch
	o.Flush(&scratch)
	if total.Load() != 5*Granule {
		t.Errorf("%d bytes are accounted", total.Load())
	}
	o.Close()
	if total.Load() != 0 {
		t.Errorf("%d bytes are accounted after the end", total.Load())
	}
	open()
	o = &Queue{Conn: conn, Total: &total, limits: &Limits{Bytes: 1 << 20, WriteTimeout: time.Second}}
	o.Put(make([]byte, 5*Granule), nil)
	o.Flush(&scratch)
	if total.Load() != 0 {
		t.Errorf("%d bytes are accounted after all was taken", total.Load())
	}
	// The session ends while a write goes on that brings everything out.
	o = &Queue{Total: &total, limits: &Limits{Bytes: 1 << 20, WriteTimeout: time.Second}}
	ended := transporttest.NewSlowConn(func() int { o.Close(); return 10 * Granule })
	o.Conn = ended
	o.Put(make([]byte, 5*Granule), nil)
	o.Flush(&scratch)
	if got := len(ended.Bytes()); total.Load() != 0 || got != 5*Granule {
		t.Errorf("%d bytes are accounted after the end; %d were taken", total.Load(), got)
	}
}
