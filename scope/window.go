package scope

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"time"
)

const (
	windowSize = 1024
	maxStreams = 4096
)

// streamKey is whose stream it is: one member could use another's otherwise.
type streamKey struct {
	sender [ed25519.PublicKeySize]byte
	stream stream
}

// window is what is remembered of a stream ("Window of a stream").
type window struct {
	highest uint32
	// accepted has a bit for each of the windowSize numbers up to highest, at the
	// number modulo windowSize.
	accepted [windowSize / 8]byte
	latest   uint64 // time of a message, milliseconds
}

func (w *window) has(n uint32) bool { return w.accepted[n/8%(windowSize/8)]>>(n%8)&1 == 1 }
func (w *window) set(n uint32)      { w.accepted[n/8%(windowSize/8)] |= 1 << (n % 8) }
func (w *window) unset(n uint32)    { w.accepted[n/8%(windowSize/8)] &^= 1 << (n % 8) }

// advance makes n the highest number.
func (w *window) advance(n uint32) {
	if n-w.highest >= windowSize {
		w.accepted = [windowSize / 8]byte{}
	} else {
		for i := w.highest + 1; i != n; i++ {
			w.unset(i)
		}
	}
	w.highest = n
	w.set(n)
}

// windows are the streams that a receiver remembers.
type windows struct {
	floor   uint64 // milliseconds
	streams map[streamKey]*window
}

// arrival is what the window says of a message that was accepted.
type arrival struct {
	missing     uint64
	first, late bool
}

// accept checks a number of a stream, and takes it.
func (ws *windows) accept(key streamKey, n uint32, at uint64) (a arrival, err error) {
	w := ws.streams[key]
	switch {
	case w == nil && at <= ws.floor:
		return a, ErrTooOld.because("it could be a repetition, for nothing is remembered of its time")
	case w == nil:
		w = &window{highest: n, latest: at}
		w.set(n)
		ws.streams[key] = w
		ws.shrink()
		return arrival{missing: uint64(n), first: true}, nil
	case n > w.highest:
		a.missing = uint64(n - w.highest - 1)
		w.advance(n)
	case w.highest-n >= windowSize:
		return a, ErrReordered
	case w.has(n):
		return a, ErrRepeated
	default:
		a.late = true
		w.set(n)
	}
	w.latest = max(w.latest, at)
	return a, nil
}

// shrink forgets the oldest stream if there are too many. What was sealed no
// later than its messages could then be a repetition.
func (ws *windows) shrink() {
	if len(ws.streams) <= maxStreams {
		return
	}
	var oldest streamKey
	var w *window
	for k, other := range ws.streams {
		if w == nil || other.latest < w.latest || other.latest == w.latest && bytes.Compare(k.stream[:], oldest.stream[:]) < 0 {
			oldest, w = k, other
		}
	}
	ws.floor = max(ws.floor, w.latest)
	delete(ws.streams, oldest)
}

// state is the content of a state file ("State").
type state struct {
	scope ID
	epoch uint64
	clean bool
	windows
}

func (s *state) encode() []byte {
	b := appendHead(nil, majorArray, 6)
	b = appendUint(b, 1)
	b = appendBytes(b, s.scope[:])
	b = appendUint(b, s.epoch)
	b = appendBool(b, s.clean)
	b = appendUint(b, s.floor)
	keys := make([]streamKey, 0, len(s.streams))
	for k := range s.streams {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b streamKey) int {
		if c := bytes.Compare(a.sender[:], b.sender[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.stream[:], b.stream[:])
	})
	b = appendHead(b, majorArray, uint64(len(keys)))
	for _, k := range keys {
		w := s.streams[k]
		b = appendHead(b, majorArray, 5)
		b = appendBytes(b, k.sender[:])
		b = appendBytes(b, k.stream[:])
		b = appendUint(b, uint64(w.highest))
		var accepted [windowSize / 8]byte
		for i := range uint32(windowSize) {
			if i <= w.highest && w.has(w.highest-i) {
				accepted[i/8] |= 1 << (i % 8)
			}
		}
		b = appendBytes(b, accepted[:])
		b = appendUint(b, w.latest)
	}
	return b
}

func parseState(data []byte) (*state, error) {
	r := &reader{rest: data}
	s := &state{windows: windows{streams: make(map[streamKey]*window)}}
	r.array(6)
	r.version()
	copy(s.scope[:], r.fixed(len(s.scope)))
	s.epoch = r.uint()
	s.clean = r.bool()
	s.floor = r.uint()
	n := r.list()
	for range n {
		r.array(5)
		var k streamKey
		copy(k.sender[:], r.fixed(len(k.sender)))
		copy(k.stream[:], r.fixed(len(k.stream)))
		highest := r.uint()
		accepted := r.fixed(windowSize / 8)
		w := &window{latest: r.uint()}
		if r.broken || highest > 1<<32-1 || w.latest > maxMillis || s.streams[k] != nil {
			return nil, ErrStateLost
		}
		w.highest = uint32(highest)
		for i := range uint32(windowSize) {
			if i <= w.highest && accepted[i/8]>>(i%8)&1 == 1 {
				w.set(w.highest - i)
			}
		}
		s.streams[k] = w
	}
	if !r.done() || s.floor > maxMillis || n > maxStreams {
		return nil, ErrStateLost
	}
	return s, nil
}

func newWindows(floor time.Time) windows {
	return windows{floor: millis(floor), streams: make(map[streamKey]*window)}
}
