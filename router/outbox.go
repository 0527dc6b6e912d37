package router

import (
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
)

// outbox is the bounded queue of bytes on their way to one session. Whoever
// puts a frame into an empty outbox owes it a flush at the end of his read
// batch; the flush writes what the socket takes at once, and leaves the rest to
// a writer goroutine that lives as long as there is something to write. So
// nobody ever waits for a slow receiver to deliver to a quick one.
//
// Frames are copied into chunks of the outbox's own, or lie in chunks that several
// outboxes share, which whoever encodes for many receivers fills with one frame
// behind the other. A segment always ends where a frame ends.
type outbox struct {
	conn    transport.Conn
	total   *atomic.Int64 // of the router; nil: not accounted
	onStall func()        // called, without mu, when the peer takes nothing; nil: close

	mu        sync.Mutex
	waiting   []segment
	size      int   // bytes waiting or being written
	accounted int32 // what total has of size, in granules
	held      int32 // KiB of the chunks that segments lie in, each time
	state     outboxState
	begun     bool // the first waiting segment is the rest of a frame
	closing   bool // end the connection once everything is written
	lingers   bool // there may be much to be read, and ignored, before its end
	isLast    bool // cut, or stalled once: the next stall is the end
	limits    *Limits
	lag       *lag // nil: the peer keeps up
}

type outboxState uint8

const (
	outboxIdle    outboxState = iota // empty
	outboxOwed                       // somebody owes a flush
	outboxWriting                    // a flush or the writer goroutine is at it
	outboxClosed                     // takes nothing any more
)

// segment is bytes to write, which are a chunk's.
type segment struct {
	bytes []byte
	chunk *chunk
}

// chunk is a pooled buffer: one that an outbox copies frames into, or one with
// frames that several outboxes refer to. It goes back when the last has released it.
type chunk struct {
	buf    []byte // whoever made the chunk appends to it; the last to release it gives it back
	refs   atomic.Int32
	room   int32 // in KiB
	shared bool  // only its maker may append to what lies in it
}

// newChunk returns an empty chunk with room for size bytes, referred to once.
func newChunk(size int, shared bool) *chunk {
	var c *chunk
	for i, room := range chunkSizes {
		if size <= room {
			c, _ = chunks[i].Get().(*chunk)
			if c == nil {
				c = &chunk{buf: make([]byte, 0, room)}
			}
			break
		}
	}
	if c == nil {
		c = &chunk{buf: make([]byte, 0, size)}
	}
	c.own(c.buf[:0], shared)
	return c
}

// own makes buf what the chunk is about, referred to once.
func (c *chunk) own(buf []byte, shared bool) {
	c.buf, c.room, c.shared = buf, int32((cap(buf)+1023)>>10), shared
	c.refs.Store(1)
}

func (c *chunk) release() {
	if c.refs.Add(-1) > 0 {
		return
	}
	if i := slices.Index(chunkSizes[:], cap(c.buf)); i >= 0 {
		chunks[i].Put(c)
	}
}

var (
	chunkSizes = [...]int{smallChunk, 8 << 10, 16 << 10, largeChunk, 128 << 10, 256 << 10, 512 << 10, 1<<20 + 4<<10}
	chunks     [len(chunkSizes)]sync.Pool
)

const (
	smallChunk = 4 << 10
	largeChunk = 64 << 10
	// heldMost bounds, beside twice what waits, the chunks that an outbox holds when
	// it takes part in another shared one: a frame of a few bytes may lie in a large
	// one. What is over that is copied.
	heldMost = 64 << 10
	// maxWrite is how many bytes one write of the writer goroutine carries, so
	// that it sees progress, and others see room, before everything is out.
	maxWrite = 64 << 10
)

// release gives up one of the outbox's segments.
func (o *outbox) release(s *segment) {
	o.held -= s.chunk.room
	s.chunk.release()
	*s = segment{}
}

// grow makes a frame part of the segment, if that is what precedes it in its chunk.
func (s *segment) grow(frame []byte, of *chunk) bool {
	n := len(s.bytes)
	if s.chunk != of || cap(s.bytes)-n < len(frame) || &s.bytes[:n+1][n] != &frame[0] {
		return false
	}
	s.bytes = s.bytes[:n+len(frame)]
	return true
}

// putResult says what became of a frame.
type putResult uint8

const (
	putDone   putResult = iota // somebody else will flush it
	putBehind                  // the same, and more than half of the limit waits
	putOwed                    // the caller must flush the outbox
	putFull                    // not taken: over the limit
	putClosed                  // not taken: the session is gone
)

// put queues one frame. Of one that lies in a chunk, the chunk is referred to, and
// these bytes of it must not change any more; otherwise the frame is copied. A frame
// larger than the limit is taken if nothing waits.
func (o *outbox) put(frame []byte, of *chunk) putResult {
	o.mu.Lock()
	result := o.take(frame, of)
	o.mu.Unlock()
	return result
}

func (o *outbox) take(frame []byte, of *chunk) putResult {
	if o.state == outboxClosed || o.closing {
		return putClosed
	}
	if o.size > 0 && o.size+len(frame) > o.limits.Queue {
		return putFull
	}
	o.append(frame, of)
	if o.state == outboxIdle {
		o.state = outboxOwed
		return putOwed
	}
	if o.size > o.limits.Queue/2 {
		return putBehind
	}
	return putDone
}

func (o *outbox) append(frame []byte, of *chunk) {
	o.size += len(frame)
	o.account()
	var last *segment
	if n := len(o.waiting); n > 0 {
		last = &o.waiting[n-1]
	}
	own := last != nil && !last.chunk.shared
	switch {
	case of != nil && last != nil && last.grow(frame, of):
	case of != nil && int(o.held+of.room)<<10 <= heldMost+2*o.size:
		of.refs.Add(1)
		o.add(frame, of)
	case own && cap(last.bytes)-len(last.bytes) >= len(frame):
		last.bytes = append(last.bytes, frame...)
	default:
		room := len(frame)
		if own || room > smallChunk {
			room = max(room, largeChunk) // more will come
		}
		c := newChunk(room, false)
		o.add(append(c.buf[:0], frame...), c)
	}
}

func (o *outbox) add(bytes []byte, in *chunk) {
	o.held += in.room
	o.waiting = append(o.waiting, segment{bytes: bytes, chunk: in})
}

// flush writes what waits, as far as the socket takes it without waiting. It
// must be called by whoever got putOwed. scratch is reused for the vector of
// buffers.
func (o *outbox) flush(scratch *writeScratch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != outboxOwed {
		return
	}
	o.state = outboxWriting
	for len(o.waiting) > 0 {
		scratch.take(o, 1<<30)
		o.mu.Unlock()
		n, err := o.conn.TryWrite(scratch.vector)
		o.mu.Lock()
		if o.wrote(scratch, n, err) {
			o.lagging().progress = time.Now()
			if o.state == outboxWriting {
				go o.write()
			}
			return
		}
	}
	o.written()
}

// write is the writer goroutine.
func (o *outbox) write() {
	var scratch writeScratch
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > 0 && o.state == outboxWriting {
		scratch.take(o, maxWrite)
		stall, last := o.limits.WriteTimeout, o.isLast
		if last {
			stall = o.limits.CloseTimeout
		}
		o.mu.Unlock()
		n, err := o.conn.Write(scratch.vector, stall)
		o.mu.Lock()
		if n > 0 {
			o.lagging().progress = time.Now()
		}
		if !last && errors.Is(err, os.ErrDeadlineExceeded) && o.onStall != nil && o.state == outboxWriting {
			o.isLast = true
			o.wrote(&scratch, n, nil)
			o.mu.Unlock()
			o.onStall()
			o.mu.Lock()
			continue
		}
		o.wrote(&scratch, n, err)
	}
	if o.state == outboxWriting {
		o.written()
	}
}

// writeScratch holds what one write is about.
type writeScratch struct {
	segments []segment
	vector   [][]byte
	begun    bool // the first segment is the rest of a frame
}

// forget gives up what the write was about, and keeps the memory for the next.
func (w *writeScratch) forget() {
	clear(w.segments[:cap(w.segments)])
	clear(w.vector[:cap(w.vector)])
}

// take moves waiting segments of up to about limit bytes, and at least one,
// from the outbox to the scratch.
func (w *writeScratch) take(o *outbox, limit int) {
	w.segments, w.vector = w.segments[:0], w.vector[:0]
	for _, s := range o.waiting {
		if limit <= 0 {
			break
		}
		limit -= len(s.bytes)
		w.segments = append(w.segments, s)
		w.vector = append(w.vector, s.bytes)
	}
	w.begun, o.begun = o.begun, false
	rest := copy(o.waiting, o.waiting[len(w.segments):])
	clear(o.waiting[rest:])
	o.waiting = o.waiting[:rest]
}

// wrote accounts for a write of the scratch's segments, of which n bytes went
// out: segments that are done are released, the others wait again, in front. It
// reports whether the peer took less than all.
func (o *outbox) wrote(w *writeScratch, n int, err error) (short bool) {
	if o.state != outboxClosed { // then nothing is counted any more
		o.size -= n
		if o.lag != nil {
			o.lag.taken += n
		}
		o.account()
	}
	done := 0
	for done < len(w.segments) && n >= len(w.segments[done].bytes) {
		n -= len(w.segments[done].bytes)
		o.release(&w.segments[done])
		done++
	}
	if err != nil {
		o.discard()
		_ = o.conn.Close()
	}
	if o.state == outboxClosed {
		for i := done; i < len(w.segments); i++ {
			o.release(&w.segments[i])
		}
		return true
	}
	o.signalRoom()
	if done == len(w.segments) {
		return false
	}
	o.begun = n > 0 || done == 0 && w.begun
	w.segments[done].bytes = w.segments[done].bytes[n:]
	o.waiting = append(o.waiting, w.segments[done:]...)
	copy(o.waiting[len(w.segments)-done:], o.waiting)
	copy(o.waiting, w.segments[done:])
	return true
}

// written is reached when nothing waits any more.
func (o *outbox) written() {
	o.state, o.lag = outboxIdle, nil
	if cap(o.waiting) > 64 {
		o.waiting = nil // a burst is over; an idle session holds no memory for it
	}
	if o.closing {
		o.state = outboxClosed
		o.mu.Unlock() // closing TLS may wait a little
		_ = o.conn.CloseWrite()
		o.mu.Lock()
	}
}

// discard drops everything that waits, and takes nothing any more.
func (o *outbox) discard() {
	for i := range o.waiting {
		o.release(&o.waiting[i])
	}
	o.waiting, o.size, o.state = nil, 0, outboxClosed
	o.account()
	o.signalRoom()
}

// finish lets everything that waits go out, and then ends the connection's
// sending side. It does not wait for that; a peer that takes nothing is given up
// after stall.
func (o *outbox) finish(scratch *writeScratch) {
	o.mu.Lock()
	o.closing = true
	idle := o.state == outboxIdle
	if idle {
		o.state = outboxClosed
	}
	o.mu.Unlock()
	if idle {
		_ = o.conn.CloseWrite()
		return
	}
	o.flush(scratch)
}

// cut replaces everything that has not begun to go out by last, and ends the
// sending side after it: the end of a session that does not read. It has farewell
// to read that.
func (o *outbox) cut(last []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state == outboxClosed || o.closing {
		return
	}
	keep := 0
	if o.begun {
		keep = 1
	}
	for i := keep; i < len(o.waiting); i++ {
		o.size -= len(o.waiting[i].bytes)
		o.release(&o.waiting[i])
	}
	o.waiting = o.waiting[:keep]
	o.append(last, nil)
	o.closing, o.lingers, o.isLast = true, true, true
	if o.state == outboxIdle || o.state == outboxOwed {
		o.state = outboxWriting
		go o.write()
	}
}

// close gives up on everything that waits and closes the connection.
func (o *outbox) close() {
	o.mu.Lock()
	if o.state != outboxClosed {
		o.discard()
	}
	o.mu.Unlock()
	_ = o.conn.Close()
}

func (o *outbox) signalRoom() {
	if l := o.lag; l != nil && l.room != nil && (o.size <= l.roomAt || o.state == outboxClosed) {
		close(l.room)
		l.room = nil
	}
}
