// Package sendqueue has the bounded queue of bytes on their way to one peer, for
// programs that write the same frames to many connections and must never wait
// for a slow one. It knows connections and bytes, and nothing of what they say.
//
// A goroutine that produces output puts frames into the queues of any number of
// peers, and then flushes those for which Put returned PutNeedsFlush. A flush
// writes what the socket takes at once and leaves the rest to a writer goroutine,
// which exists only as long as there is something left to write.
package sendqueue

import (
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
)

// Queue is the bounded queue of bytes on their way to one peer. Conn must be set,
// and SetLimits called, before anything else; Conn, Total and OnStall must not
// change afterwards. All methods may be called concurrently.
//
// The goroutine that gets PutNeedsFlush must call Flush at the end of its batch.
// Until then others that put frames need not.
//
// Frames are copied into chunks of the queue's own, or lie in shared chunks, which
// an encoder for many receivers fills with one frame behind the other. A segment
// always ends where a frame ends.
type Queue struct {
	// Conn is the connection to the peer. The queue writes to it, and closes it
	// when writing fails.
	Conn transport.Conn
	// Total counts the bytes that wait in several queues together: of each, whole
	// multiples of Granule. It may be nil.
	Total *atomic.Int64
	// OnStall is called, without a lock, when the peer has taken no byte for
	// Limits.WriteTimeout. If it is nil, the connection is closed.
	OnStall func()

	mu        sync.Mutex
	waiting   []segment
	size      int   // bytes waiting or being written
	accounted int32 // what total has of size, in granules
	heldKiB   int32 // KiB of the chunks that segments lie in, each time
	state     state
	partial   bool // the first waiting segment is the rest of a frame
	closing   bool // end the connection once everything is written
	lingers   bool // there may be much to be read, and ignored, before its end
	final     bool // cut, or stalled once: the next stall is the end
	last      bool // the last frame was put
	limits    *Limits
	pressure  *backpressure // nil: the peer keeps up
}

type state uint8

const (
	stateIdle    state = iota // empty
	stateDirty                // a flush is due
	stateWriting              // a flush or the writer goroutine is running
	stateClosed               // takes nothing any more
)

// segment is bytes to write, which are a chunk's.
type segment struct {
	bytes []byte
	chunk *Chunk
}

// Chunk is a pooled buffer with a count of references. A queue copies frames into
// chunks of its own; a shared chunk holds frames that several queues refer to. The
// buffer returns to its pool with the last Release.
type Chunk struct {
	// Buf holds the frames. Only the goroutine that made a shared chunk appends to it.
	Buf    []byte
	refs   atomic.Int32
	room   int32 // in KiB
	shared bool  // queues must not append to it
}

// NewChunk returns an empty chunk with room for size bytes and one reference, the
// caller's.
func NewChunk(size int, shared bool) *Chunk {
	var c *Chunk
	for i, room := range chunkSizes {
		if size <= room {
			c, _ = chunks[i].Get().(*Chunk)
			if c == nil {
				c = &Chunk{Buf: make([]byte, 0, room)}
			}
			break
		}
	}
	if c == nil {
		c = &Chunk{Buf: make([]byte, 0, size)}
	}
	c.Adopt(c.Buf[:0], shared)
	return c
}

// Adopt makes buf the chunk's buffer, with one reference.
func (c *Chunk) Adopt(buf []byte, shared bool) {
	c.Buf, c.room, c.shared = buf, int32((cap(buf)+1023)>>10), shared
	c.refs.Store(1)
}

func (c *Chunk) Release() {
	if c.refs.Add(-1) > 0 {
		return
	}
	if i := slices.Index(chunkSizes[:], cap(c.Buf)); i >= 0 {
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
	// maxHeld bounds, beside twice what waits, the size of the chunks that a queue
	// refers to: a frame of a few bytes may lie in a large shared chunk. Beyond it,
	// frames are copied.
	maxHeld = 64 << 10
	// maxWrite is how many bytes one write of the writer goroutine carries, so
	// that it sees progress, and others see room, before everything is out.
	maxWrite = 64 << 10
)

// release gives up one of the queue's segments.
func (o *Queue) release(s *segment) {
	o.heldKiB -= s.chunk.room
	s.chunk.Release()
	*s = segment{}
}

// grow adds a frame to the segment if it follows the segment in the same chunk.
func (s *segment) grow(frame []byte, of *Chunk) bool {
	n := len(s.bytes)
	if s.chunk != of || cap(s.bytes)-n < len(frame) || &s.bytes[:n+1][n] != &frame[0] {
		return false
	}
	s.bytes = s.bytes[:n+len(frame)]
	return true
}

// PutResult says what Put did with a frame.
type PutResult uint8

const (
	PutQueued     PutResult = iota // queued; another caller will flush it
	PutOverHalf                    // as PutQueued; the caller should flush, and call AwaitRoom, before it puts more
	PutNeedsFlush                  // queued; the caller must call Flush at the end of its batch
	PutFull                        // not queued: more than Limits.Bytes would wait, and the peer has had the time to read it
	PutClosed                      // not queued: the connection is closed or about to be, or PutLast was called
)

// Put queues one frame. If of is nil, the frame is copied. Otherwise the frame lies in
// of; the queue takes a reference of its own, and these bytes must not change any more.
//
// If more than half of Limits.Bytes waits, Put returns PutOverHalf and still queues
// frames: the caller should flush what it has put, and wait for room, as soon as it
// can. So each caller puts at most one frame beyond the limit.
func (o *Queue) Put(frame []byte, of *Chunk) PutResult {
	o.mu.Lock()
	result := PutClosed
	if !o.last {
		result = o.take(frame, of)
	}
	o.mu.Unlock()
	return result
}

// PutLast queues the last frame for the peer, however much waits: later calls of Put
// return PutClosed.
func (o *Queue) PutLast(frame []byte) PutResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last || o.state == stateClosed || o.closing {
		return PutClosed
	}
	o.last = true
	o.append(frame, nil)
	if o.state == stateIdle {
		o.state = stateDirty
		return PutNeedsFlush
	}
	return PutQueued
}

// PutControl is Put for a control frame of the transport, which may follow PutLast.
func (o *Queue) PutControl(frame []byte) PutResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.take(frame, nil)
}

func (o *Queue) take(frame []byte, of *Chunk) PutResult {
	if o.state == stateClosed || o.closing {
		return PutClosed
	}
	if o.size > 0 && o.size+len(frame) > o.limits.Bytes && o.fullLocked() {
		return PutFull
	}
	o.append(frame, of)
	if o.state == stateIdle {
		o.state = stateDirty
		return PutNeedsFlush
	}
	if o.size > o.limits.Bytes/2 && (o.state == stateDirty || o.waitLeftLocked(time.Now()) > 0) {
		return PutOverHalf
	}
	return PutQueued
}

func (o *Queue) append(frame []byte, of *Chunk) {
	o.size += len(frame)
	o.accountLocked()
	var last *segment
	if n := len(o.waiting); n > 0 {
		last = &o.waiting[n-1]
	}
	own := last != nil && !last.chunk.shared
	switch {
	case of != nil && last != nil && last.grow(frame, of):
	case of != nil && int(o.heldKiB+of.room)<<10 <= maxHeld+2*o.size:
		of.refs.Add(1)
		o.add(frame, of)
	case own && cap(last.bytes)-len(last.bytes) >= len(frame):
		last.bytes = append(last.bytes, frame...)
	default:
		room := len(frame)
		if own || room > smallChunk {
			room = max(room, largeChunk) // more will come
		}
		c := NewChunk(room, false)
		o.add(append(c.Buf[:0], frame...), c)
	}
}

func (o *Queue) add(bytes []byte, in *Chunk) {
	o.heldKiB += in.room
	o.waiting = append(o.waiting, segment{bytes: bytes, chunk: in})
}

// Flush writes what waits, as far as the socket takes it without blocking, and starts
// the writer goroutine if something is left. scratch is reused between calls by one
// goroutine.
func (o *Queue) Flush(scratch *Scratch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != stateDirty {
		return
	}
	o.state = stateWriting
	for len(o.waiting) > 0 {
		scratch.take(o, 1<<30)
		o.mu.Unlock()
		n, err := o.Conn.TryWrite(scratch.vector)
		o.mu.Lock()
		if o.wrote(scratch, n, err) {
			o.backpressureState().progress = time.Now()
			if o.state == stateWriting {
				go o.write()
			}
			return
		}
	}
	o.written()
}

// write is the writer goroutine.
func (o *Queue) write() {
	var scratch Scratch
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > 0 && o.state == stateWriting {
		scratch.take(o, maxWrite)
		stall, final := o.limits.WriteTimeout, o.final
		if final {
			stall = o.limits.CloseTimeout
		}
		o.mu.Unlock()
		n, err := o.Conn.Write(scratch.vector, stall)
		o.mu.Lock()
		if n > 0 {
			o.backpressureState().progress = time.Now()
		}
		if !final && errors.Is(err, os.ErrDeadlineExceeded) && o.OnStall != nil && o.state == stateWriting {
			o.final = true
			o.wrote(&scratch, n, nil)
			o.mu.Unlock()
			o.OnStall()
			o.mu.Lock()
			continue
		}
		o.wrote(&scratch, n, err)
	}
	if o.state == stateWriting {
		o.written()
	}
}

// Scratch holds the segments of one write. The zero value is ready; it belongs to one
// goroutine at a time.
type Scratch struct {
	segments []segment
	vector   [][]byte
	partial  bool // the first segment is the rest of a frame
}

// Forget drops the references of the last write and keeps the memory for the next.
func (w *Scratch) Forget() {
	clear(w.segments[:cap(w.segments)])
	clear(w.vector[:cap(w.vector)])
}

// take moves waiting segments of about limit bytes at most, and at least one, from the
// queue to the scratch.
func (w *Scratch) take(o *Queue, limit int) {
	w.segments, w.vector = w.segments[:0], w.vector[:0]
	for _, s := range o.waiting {
		if limit <= 0 {
			break
		}
		limit -= len(s.bytes)
		w.segments = append(w.segments, s)
		w.vector = append(w.vector, s.bytes)
	}
	w.partial, o.partial = o.partial, false
	rest := copy(o.waiting, o.waiting[len(w.segments):])
	clear(o.waiting[rest:])
	o.waiting = o.waiting[:rest]
}

// wrote accounts for a write of the scratch's segments, of which n bytes went
// out: segments that are done are released, the others wait again, in front. It
// reports whether the peer took less than all.
func (o *Queue) wrote(w *Scratch, n int, err error) (short bool) {
	if o.state != stateClosed { // then nothing is counted any more
		o.size -= n
		if o.pressure != nil {
			o.pressure.taken += n
			o.pressure.overdraft = max(0, o.pressure.overdraft-n)
		}
		o.accountLocked()
	}
	done := 0
	for done < len(w.segments) && n >= len(w.segments[done].bytes) {
		n -= len(w.segments[done].bytes)
		o.release(&w.segments[done])
		done++
	}
	if err != nil {
		o.discard()
		_ = o.Conn.Close()
	}
	if o.state == stateClosed {
		for i := done; i < len(w.segments); i++ {
			o.release(&w.segments[i])
		}
		return true
	}
	o.signalRoom()
	if done == len(w.segments) {
		return false
	}
	o.partial = n > 0 || done == 0 && w.partial
	w.segments[done].bytes = w.segments[done].bytes[n:]
	o.waiting = append(o.waiting, w.segments[done:]...)
	copy(o.waiting[len(w.segments)-done:], o.waiting)
	copy(o.waiting, w.segments[done:])
	return true
}

// written is called when nothing waits any more.
func (o *Queue) written() {
	o.state, o.pressure = stateIdle, nil
	if cap(o.waiting) > 64 {
		o.waiting = nil // a burst is over; an idle session holds no memory for it
	}
	if o.closing {
		o.state = stateClosed
		o.mu.Unlock() // closing TLS may wait a little
		_ = o.Conn.CloseWrite()
		o.mu.Lock()
	}
}

// discard drops everything that waits. The queue takes nothing any more.
func (o *Queue) discard() {
	for i := range o.waiting {
		o.release(&o.waiting[i])
	}
	o.waiting, o.size, o.state = nil, 0, stateClosed
	o.accountLocked()
	o.signalRoom()
}

// Finish writes everything that waits and then closes the connection's sending side. It
// does not block. The connection to a peer that reads nothing is closed after
// Limits.WriteTimeout.
func (o *Queue) Finish(scratch *Scratch) {
	o.mu.Lock()
	o.closing = true
	idle := o.state == stateIdle
	if idle {
		o.state = stateClosed
	}
	o.mu.Unlock()
	if idle {
		_ = o.Conn.CloseWrite()
		return
	}
	o.Flush(scratch)
}

// Cut replaces everything that has not begun to be written by last, and closes the
// sending side after it: the end of a peer that does not read. The peer has
// Limits.CloseTimeout to read last.
func (o *Queue) Cut(last []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state == stateClosed || o.closing {
		return
	}
	keep := 0
	if o.partial {
		keep = 1
	}
	for i := keep; i < len(o.waiting); i++ {
		o.size -= len(o.waiting[i].bytes)
		o.release(&o.waiting[i])
	}
	o.waiting = o.waiting[:keep]
	o.append(last, nil)
	o.closing, o.lingers, o.final = true, true, true
	if o.state == stateIdle || o.state == stateDirty {
		o.state = stateWriting
		go o.write()
	}
}

// Close drops everything that waits and closes the connection.
func (o *Queue) Close() {
	o.mu.Lock()
	if o.state != stateClosed {
		o.discard()
	}
	o.mu.Unlock()
	_ = o.Conn.Close()
}

func (o *Queue) signalRoom() {
	if l := o.pressure; l != nil && l.room != nil && (o.size <= l.roomAt || o.state == stateClosed) {
		close(l.room)
		l.room = nil
	}
}
