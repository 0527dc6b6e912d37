package transport

import (
	"encoding/binary"
	"io"
	"os"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

const (
	// pipeSize is how many bytes a Pipe holds in each direction.
	pipeSize = 64 << 10
	pipeMax  = 16 << 20
)

// Pipe returns the two ends of a connection in memory, for embedding a client
// and for tests. It behaves like a socket: bytes are copied, each direction
// holds 64 KiB, and what was written before Close can still be read.
func Pipe(s wamp.Serializer) (client, server Conn) {
	var up, down = new(pipeBuffer), new(pipeBuffer)
	up.changed.L, down.changed.L = &up.mu, &down.mu
	end := func(in, out *pipeBuffer) Conn {
		return &conn{
			info:     Info{Transport: "memory", Network: "memory", Address: "memory", Serializer: s},
			stream:   &pipe{in: in, out: out},
			frames:   memoryFrames{},
			framing:  FramingMemory,
			limit:    pipeMax,
			maxLimit: pipeMax,
		}
	}
	return end(down, up), end(up, down)
}

// pipeBuffer is one direction of a Pipe: a ring of bytes.
type pipeBuffer struct {
	mu        sync.Mutex
	changed   sync.Cond
	ring      []byte // made with the first byte
	r, n      int    // the first byte, and how many there are
	ended     bool   // the writing end was closed
	abandoned bool   // the reading end was closed
	deadline  time.Time
	readTimer *time.Timer // wakes the reader at the deadline
}

// putLocked copies as much of segments as fits, without their first skip bytes. mu is
// held.
func (h *pipeBuffer) putLocked(segments [][]byte, skip int) int {
	if h.ring == nil {
		h.ring = make([]byte, pipeSize)
	}
	total := 0
	for _, s := range segments {
		if skip >= len(s) {
			skip -= len(s)
			continue
		}
		s = s[skip:]
		skip = 0
		for len(s) > 0 && h.n < len(h.ring) {
			w := (h.r + h.n) % len(h.ring)
			k := copy(h.ring[w:min(len(h.ring), w+len(h.ring)-h.n)], s)
			h.n += k
			total += k
			s = s[k:]
		}
		if len(s) > 0 {
			break
		}
	}
	if total > 0 {
		h.changed.Broadcast()
	}
	return total
}

// getLocked copies as many of the bytes to dst as fit. mu is held.
func (h *pipeBuffer) getLocked(dst []byte) int {
	total := 0
	for len(dst) > 0 && h.n > 0 {
		k := copy(dst, h.ring[h.r:min(len(h.ring), h.r+h.n)])
		h.r = (h.r + k) % len(h.ring)
		h.n -= k
		total += k
		dst = dst[k:]
	}
	if total > 0 {
		h.changed.Broadcast()
	}
	return total
}

func (h *pipeBuffer) wake() {
	h.mu.Lock()
	h.changed.Broadcast()
	h.mu.Unlock()
}

// pipe is one end of a Pipe.
type pipe struct {
	in, out *pipeBuffer
}

func (p *pipe) poll(b *buffer) {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n > 0 && !h.abandoned {
		b.advance(h.getLocked(b.space(0)))
	}
}

func (p *pipe) fill(b *buffer, want int) error {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.abandoned:
			return ErrClosed
		case !h.deadline.IsZero() && !time.Now().Before(h.deadline):
			return os.ErrDeadlineExceeded
		case h.n > 0:
			b.advanceAndResize(h.getLocked(b.space(want)))
			return nil
		case h.ended:
			return io.EOF
		}
		if b.r == b.w {
			b.release()
		}
		h.changed.Wait()
	}
}

func (p *pipe) setReadDeadline(t time.Time) error {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.abandoned {
		return ErrClosed
	}
	h.deadline = t
	switch {
	case t.IsZero():
		if h.readTimer != nil {
			h.readTimer.Stop()
		}
	case h.readTimer == nil:
		h.readTimer = time.AfterFunc(time.Until(t), h.wake)
	default:
		h.readTimer.Reset(time.Until(t))
	}
	h.changed.Broadcast()
	return nil
}

func (p *pipe) tryWrite(segments [][]byte) (int, error) {
	h := p.out
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.writeError(); err != nil {
		return 0, err
	}
	return h.putLocked(segments, 0), nil
}

func (h *pipeBuffer) writeError() error {
	switch {
	case h.ended:
		return ErrClosed
	case h.abandoned:
		return io.ErrClosedPipe
	}
	return nil
}

func (p *pipe) write(segments [][]byte, stall time.Duration) (int, error) {
	h := p.out
	total, written := size(segments), 0
	h.mu.Lock()
	defer h.mu.Unlock()
	var alarm *time.Timer
	progress := time.Now()
	for {
		if err := h.writeError(); err != nil {
			return written, err
		}
		if n := h.putLocked(segments, written); n > 0 {
			written += n
			progress = time.Now()
		}
		if written == total {
			return written, nil
		}
		left := stall - time.Since(progress)
		if left <= 0 {
			return written, os.ErrDeadlineExceeded
		}
		if alarm == nil {
			alarm = time.AfterFunc(left, h.wake)
			defer alarm.Stop()
		} else {
			alarm.Reset(left)
		}
		h.changed.Wait()
	}
}

func (p *pipe) closeWrite() error {
	p.out.mu.Lock()
	p.out.ended = true
	p.out.changed.Broadcast()
	p.out.mu.Unlock()
	return nil
}

func (p *pipe) close() error {
	p.out.mu.Lock()
	p.out.ended = true
	p.out.changed.Broadcast()
	p.out.mu.Unlock()

	h := p.in
	h.mu.Lock()
	h.abandoned = true
	if h.readTimer != nil {
		h.readTimer.Stop()
	}
	h.changed.Broadcast()
	h.mu.Unlock()
	return nil
}

// memoryFrames reads the frames of a Pipe: a byte for the op, four for the
// length, the body.
type memoryFrames struct{}

var (
	errMemoryOp  = &ProtocolError{Text: "frame of an unknown kind"}
	errMemoryBig = &ProtocolError{Text: "message over the limit", TooBig: true}
)

func (memoryFrames) next(b []byte, limit int) (f Frame, ok bool, n, want int, err *ProtocolError) {
	if len(b) < memoryHeader {
		return
	}
	op, length := Op(b[0]), uint64(binary.BigEndian.Uint32(b[1:]))
	switch {
	case op > OpClose:
		err = errMemoryOp
		return
	case length > uint64(limit):
		err = errMemoryBig
		return
	}
	want = memoryHeader + int(length)
	if len(b) < want {
		return
	}
	return Frame{op, b[memoryHeader:want:want]}, true, want, want, nil
}

func (m memoryFrames) ready(b []byte, limit int) bool {
	_, ok, _, _, err := m.next(b, limit)
	return ok || err != nil
}

func (memoryFrames) release() {}
