package router

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slowConn takes as much as take allows in each write.
type slowConn struct {
	transport.Conn
	mu     sync.Mutex
	got    bytes.Buffer
	take   func() int
	writes int
	err    error
	closed chan struct{}
	once   sync.Once
}

func newSlowConn(take func() int) *slowConn {
	return &slowConn{take: take, closed: make(chan struct{})}
}

func (c *slowConn) TryWrite(segments [][]byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	if c.err != nil {
		return 0, c.err
	}
	n, room := 0, c.take()
	for _, s := range segments {
		s = s[:min(len(s), room-n)]
		c.got.Write(s)
		n += len(s)
	}
	return n, nil
}

func (c *slowConn) Write(segments [][]byte, _ time.Duration) (int, error) {
	n := 0
	for _, s := range segments {
		for len(s) > 0 {
			m, err := c.TryWrite([][]byte{s})
			if err != nil {
				return n, err
			}
			s, n = s[m:], n+m
		}
	}
	return n, nil
}

func (c *slowConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *slowConn) CloseWrite() error { return c.Close() }

func (c *slowConn) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.got.Bytes())
}

// filling is a byte that few other frames are filled with.
func filling(sender, i int) byte { return byte('a' + (sender*7+i)%26) }

// Whatever the socket takes, and whoever puts and flushes, all frames go out
// whole, and each sender's in its order.
func TestOutboxKeepsEverythingInOrder(t *testing.T) {
	conn := newSlowConn(func() int { return rand.IntN(3 << 10) })
	o := &outbox{conn: conn, limits: &Limits{Queue: 1 << 30, WriteTimeout: time.Second}}
	const senders, each = 4, 2000
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			var scratch writeScratch
			lay := newChunk(largeChunk, true) // where one shared frame is laid behind the other
			for i := range each {
				size := 16 + rand.IntN(200)
				if i%100 == 0 {
					size = largeFrame
				}
				frame := fmt.Appendf(nil, "%02d %05d %06d ", sender, i, size)
				frame = append(frame, bytes.Repeat([]byte{filling(sender, i)}, size-len(frame))...)
				var of *chunk
				if size == largeFrame || i%50 > 20 {
					if cap(lay.buf)-len(lay.buf) < size {
						lay.release()
						lay = newChunk(largeChunk, true)
					}
					of, lay.buf = lay, append(lay.buf, frame...)
					frame = lay.buf[len(lay.buf)-size:]
				}
				if o.put(frame, of) == putOwed && rand.IntN(4) > 0 {
					o.flush(&scratch)
				}
			}
			lay.release()
			o.flush(&scratch)
		})
	}
	all.Wait()
	var scratch writeScratch
	o.finish(&scratch)
	<-conn.closed
	rest := conn.bytes()
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
	if o.size != 0 || o.held != 0 {
		t.Errorf("%d bytes are counted as waiting, %d KiB as held", o.size, o.held)
	}
}

// Frames that were laid behind each other are one segment, whoever else has them.
func TestSharedFramesAreOneSegment(t *testing.T) {
	one, two := &outbox{limits: &Limits{Queue: 1 << 20}}, &outbox{limits: &Limits{Queue: 1 << 20}}
	lay := newChunk(smallChunk, true)
	for i := range 10 {
		lay.buf = append(lay.buf, bytes.Repeat([]byte{byte('0' + i)}, 100)...)
		frame := lay.buf[i*100:]
		one.put(frame, lay)
		if i != 5 {
			two.put(frame, lay)
		}
	}
	one.put([]byte("its own"), nil)
	if n := len(one.waiting); n != 2 || len(one.waiting[0].bytes) != 1000 || string(lay.buf[990:]) != "9999999999" {
		t.Errorf("%d segments, the chunk ends with %q", n, lay.buf[990:])
	}
	if n := len(two.waiting); n != 2 || len(two.waiting[0].bytes) != 500 || len(two.waiting[1].bytes) != 400 {
		t.Errorf("%d segments with a gap between them", n)
	}
	if refs := lay.refs.Load(); refs != 4 {
		t.Errorf("the chunk is referred to by %d", refs)
	}
}

// However small the frames are, and whatever other outboxes have of them, an outbox
// holds little more memory than waits, and knows how much.
func TestHeldIsBounded(t *testing.T) {
	shared := func(o *outbox, room int) {
		lay := newChunk(room, true)
		lay.buf = append(lay.buf, make([]byte, 100)...)
		o.put(lay.buf, lay)
		lay.release()
	}
	for name, put := range map[string]func(*outbox, int){
		"alone in a small chunk":     func(o *outbox, _ int) { shared(o, smallChunk) },
		"alone in a large chunk":     func(o *outbox, _ int) { shared(o, largeChunk) },
		"shared and its own in turn": func(o *outbox, _ int) { shared(o, smallChunk); o.put(make([]byte, 100), nil) },
		"its own, of 5 kB, between": func(o *outbox, i int) {
			if shared(o, smallChunk); i%10 == 0 {
				o.put(make([]byte, 5000), nil)
			}
		},
	} {
		o := &outbox{conn: newSlowConn(nil), limits: &Limits{Queue: 4 << 20}}
		for i := range 20_000 {
			put(o, i)
		}
		held, counted := 0, 0
		for _, s := range o.waiting {
			held += cap(s.chunk.buf)
			counted += int(s.chunk.room)
		}
		if o.size < 2_000_000 || held > heldMost+4*o.size+2*largeChunk || counted != int(o.held) {
			t.Errorf("%s: %d bytes held while %d wait, %d KiB are counted of %d", name, held, o.size, o.held, counted)
		}
		if o.close(); o.held != 0 {
			t.Errorf("%s: %d KiB are counted as held after the end", name, o.held)
		}
	}
}

// A frame alone in its chunk is shared, of whatever size.
func TestFramesOfAllSizesAreShared(t *testing.T) {
	for _, size := range []int{100, 4 << 10, 9 << 10, 17 << 10, 63 << 10, 65 << 10, 200 << 10, 256 << 10, 300 << 10, 480 << 10, 513 << 10, 1 << 20, 3 << 20} {
		o := &outbox{limits: &Limits{Queue: 4 << 20}}
		lay := newChunk(size+512, true)
		lay.buf = append(lay.buf, make([]byte, size)...)
		if o.put(lay.buf, lay); o.waiting[0].chunk != lay {
			t.Errorf("%d bytes are copied", size)
		}
	}
}

func TestOutboxIsBounded(t *testing.T) {
	conn := newSlowConn(func() int { return 0 })
	o := &outbox{conn: conn, limits: &Limits{Queue: 1000, WriteTimeout: time.Second}}
	if got := o.put(make([]byte, 5000), nil); got != putOwed {
		t.Errorf("a large frame into an empty outbox: %v", got)
	}
	if got := o.put(make([]byte, 10), nil); got != putFull {
		t.Errorf("over the limit: %v", got)
	}
	o.close()
	if got := o.put(make([]byte, 10), nil); got != putClosed {
		t.Errorf("after close: %v", got)
	}
}

// A session that does not read is cut off: what has begun to go out is
// finished, so that the peer can still read the last frame, and the rest is not.
func TestOutboxCut(t *testing.T) {
	open := make(chan struct{})
	calls := 0
	busy := make(chan struct{}) // closed when the writer goroutine is at it
	conn := newSlowConn(nil)
	conn.take = func() int {
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
	o := &outbox{conn: conn, limits: &Limits{Queue: 1 << 20, WriteTimeout: time.Second}}
	var scratch writeScratch
	o.put([]byte("first frame;"), nil)
	o.flush(&scratch) // 3 bytes go out, a writer goroutine is at the rest
	<-busy
	for range 100 {
		o.put([]byte("never seen;"), nil)
	}
	o.cut([]byte("last"))
	close(open)
	<-conn.closed
	got := string(conn.bytes())
	if got != "first frame;last" {
		t.Errorf("the peer got %q", got)
	}
}

// A frame that was begun is finished even if the peer takes nothing more of it
// until it is cut off: it would take what comes instead for the rest.
func TestOutboxCutOfTheStalled(t *testing.T) {
	conn := &stallingConn{slowConn: newSlowConn(func() int { return 3 })}
	o := &outbox{conn: conn, limits: &Limits{Queue: 1 << 20, WriteTimeout: time.Second}}
	o.onStall = func() { o.cut([]byte("last")) }
	var scratch writeScratch
	o.put([]byte("first frame;"), nil)
	o.put(make([]byte, largeChunk), nil) // which is a segment of its own
	o.flush(&scratch)
	<-conn.closed
	if got := string(conn.bytes()); got != "first frame;last" {
		t.Errorf("the peer got %d bytes, %.20q", len(got), got)
	}
}

// stallingConn takes nothing by its first Write, and then everything.
type stallingConn struct {
	*slowConn
	stalled bool
}

func (c *stallingConn) Write(segments [][]byte, stall time.Duration) (int, error) {
	if !c.stalled {
		c.stalled = true
		return 0, os.ErrDeadlineExceeded
	}
	return c.slowConn.Write(segments, stall)
}

func TestOutboxClosesOnError(t *testing.T) {
	conn := newSlowConn(func() int { return 0 })
	conn.err = io.ErrClosedPipe
	o := &outbox{conn: conn, limits: &Limits{Queue: 1000, WriteTimeout: time.Second}}
	var scratch writeScratch
	o.put([]byte("frame"), nil)
	o.flush(&scratch)
	<-conn.closed
	if got := o.put([]byte("frame"), nil); got != putClosed {
		t.Errorf("after an error: %v", got)
	}
	if !errors.Is(conn.err, io.ErrClosedPipe) || o.size != 0 {
		t.Errorf("size %d", o.size)
	}
}

// A sender waits for room, and is woken when there is some.
func TestOutboxRoom(t *testing.T) {
	open := make(chan struct{})
	conn := newSlowConn(nil)
	conn.take = func() int {
		select {
		case <-open:
			return 1 << 20
		default:
			return 0
		}
	}
	o := &outbox{conn: conn, limits: &Limits{Queue: 1500, WriteTimeout: time.Second, BackpressureTimeout: time.Hour}}
	var scratch writeScratch
	o.put(make([]byte, 1000), nil)
	o.flush(&scratch)
	if !o.behind() {
		t.Fatal("two thirds of the limit are not behind")
	}
	go close(open)
	o.awaitRoom(time.Now())
	if o.behind() {
		t.Error("still behind, though the peer took everything")
	}
	o.close()
}

// Patience with a peer that takes nothing is over after a tenth of SlowDown, and
// with one that takes a little after all of it; it comes back when the peer has
// taken half a queue.
func TestPatienceIsBounded(t *testing.T) {
	conn := newSlowConn(func() int { return 0 })
	o := &outbox{conn: conn, limits: &Limits{Queue: 1000, WriteTimeout: time.Hour, BackpressureTimeout: 50 * time.Millisecond}}
	o.put(make([]byte, 1000), nil)
	o.lagging().progress = time.Now()
	o.awaitRoom(time.Now())
	if o.behind() {
		t.Error("patience with a peer that takes nothing has no end")
	}
	if o.lag.waited != o.limits.BackpressureTimeout {
		t.Errorf("waited %v", o.lag.waited)
	}
	o.lag.taken += 499
	if o.behind() {
		t.Error("patience came back too early")
	}
	o.lag.taken++
	if !o.behind() {
		t.Fatal("patience did not come back")
	}
	o.lagging().progress = time.Now()
	// A trickle: some bytes in each slice.
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.awaitRoom(time.Now())
	}()
	for ticking := true; ticking; {
		select {
		case <-done:
			ticking = false
		default:
			o.mu.Lock()
			o.lag.taken, o.lag.progress = o.lag.taken+1, time.Now()
			o.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
	}
	if o.lag.waited < o.limits.BackpressureTimeout {
		t.Errorf("patience ended after %v", o.lag.waited)
	}
	o.close()
}

// What waits is accounted in the router's total, and what does not any more isn't.
func TestOutboxAccounts(t *testing.T) {
	var total atomic.Int64
	room := 0
	conn := newSlowConn(func() int { return room })
	o := &outbox{conn: conn, total: &total, limits: &Limits{Queue: 1 << 20, WriteTimeout: time.Second}}
	o.put(make([]byte, 100), nil)
	if total.Load() != 0 {
		t.Errorf("%d bytes for less than a granule", total.Load())
	}
	o.put(make([]byte, 5*granule), nil)
	if total.Load() != 5*granule {
		t.Errorf("%d bytes are accounted", total.Load())
	}
	o.close()
	if total.Load() != 0 {
		t.Errorf("%d bytes are accounted after the end", total.Load())
	}
	o = &outbox{conn: conn, total: &total, limits: &Limits{Queue: 1 << 20, WriteTimeout: time.Second}}
	o.put(make([]byte, 5*granule), nil)
	room = 10 * granule
	var scratch writeScratch
	o.flush(&scratch)
	if total.Load() != 0 {
		t.Errorf("%d bytes are accounted after all was taken", total.Load())
	}
	// The session ends while a write goes on that brings everything out.
	o = &outbox{total: &total, limits: &Limits{Queue: 1 << 20, WriteTimeout: time.Second}}
	ended := newSlowConn(func() int { o.close(); return 10 * granule })
	o.conn = ended
	o.put(make([]byte, 5*granule), nil)
	o.flush(&scratch)
	if got := len(ended.bytes()); total.Load() != 0 || got != 5*granule {
		t.Errorf("%d bytes are accounted after the end; %d were taken", total.Load(), got)
	}
}
