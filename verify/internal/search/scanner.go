// Package search looks for secrets, in the encodings that they may turn up in, in
// whatever a program has read, written or kept.
package search

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"os"
	"slices"
	"strings"
)

// Pattern is a string of bytes to look for, and what finding it means.
type Pattern struct {
	Bytes []byte
	// Name says what the secret is ("the canary of the arguments"), Encoding how it
	// is written ("base64"). Neither shows the secret.
	Name, Encoding string
}

// Scanner looks for many patterns in one pass. It may be used concurrently.
type Scanner struct {
	filter  []uint64 // a bit for each hash of four bytes that begin a Pattern
	shift   uint     // that leaves as many bits of a hash as the filter is for
	begin   map[uint32][]*Pattern
	longest int
}

const shortest = 8 // bytes of a pattern

// New returns a scanner for patterns. It keeps the slices. Patterns of fewer than
// eight bytes, which would be found by chance, are left out.
func New(patterns ...[]Pattern) *Scanner {
	n := 0
	for _, list := range patterns {
		n += len(list)
	}
	// Sparse enough to spare most look-ups in the map, and small enough for the
	// processor's nearest cache while there are few patterns.
	size := min(max(bits.Len(uint(n))+5, 16), 24)
	s := &Scanner{filter: make([]uint64, 1<<(size-6)), shift: uint(32 - size), begin: make(map[uint32][]*Pattern)}
	for _, list := range patterns {
		for i := range list {
			s.add(&list[i])
		}
	}
	return s
}

func (s *Scanner) add(p *Pattern) {
	if len(p.Bytes) < shortest {
		return
	}
	key := binary.LittleEndian.Uint32(p.Bytes)
	for _, other := range s.begin[key] {
		if string(other.Bytes) == string(p.Bytes) {
			return
		}
	}
	h := key * 0x9e3779b1 >> s.shift
	s.filter[h>>6] |= 1 << (h & 63)
	s.begin[key] = append(s.begin[key], p)
	s.longest = max(s.longest, len(p.Bytes))
}

// Find calls found for every pattern in b.
func (s *Scanner) Find(b []byte, found func(p *Pattern)) {
	filter, shift := s.filter, s.shift
	for i := 0; i+shortest <= len(b); i++ {
		word := binary.LittleEndian.Uint64(b[i:])
		// Memory is zeros for the most part; no Pattern begins with five of them.
		if word == 0 {
			i += 3
			continue
		}
		key := uint32(word)
		h := key * 0x9e3779b1 >> shift
		if filter[h>>6]&(1<<(h&63)) == 0 {
			continue
		}
		for _, p := range s.begin[key] {
			if len(p.Bytes) <= len(b)-i && string(b[i:i+len(p.Bytes)]) == string(p.Bytes) {
				found(p)
			}
		}
	}
}

// Window is an io.Writer that looks for patterns in a stream that comes in
// pieces. It never returns an error.
type Window struct {
	s     *Scanner
	found func(p *Pattern)
	held  []byte // the end of what was written, shorter than the longest pattern
	total int64
}

// NewWindow returns a Window, which calls found for every pattern in what is
// written to it.
func (s *Scanner) NewWindow(found func(*Pattern)) *Window { return &Window{s: s, found: found} }

// Total returns how many bytes were written.
func (w *Window) Total() int64 { return w.total }

// Break marks a gap in the stream: no pattern crosses it.
func (w *Window) Break() { w.held = w.held[:0] }

// Write scans b together with the end of what was written before. It keeps
// nothing of b.
func (w *Window) Write(b []byte) (int, error) {
	w.total += int64(len(b))
	old := len(w.held)
	w.held = append(w.held, b...)
	if old == 0 {
		w.s.Find(w.held, w.found)
	} else {
		w.seam(old)
		w.s.Find(b, w.found)
	}
	if keep := max(0, w.s.longest-1); len(w.held) > keep {
		w.held = append(w.held[:0], w.held[len(w.held)-keep:]...)
	}
	return len(b), nil
}

// seam finds what crosses the end of what came before.
func (w *Window) seam(old int) {
	start := max(0, old-w.s.longest+1)
	for i := start; i < old; i++ {
		if len(w.held)-i < shortest {
			return
		}
		for _, p := range w.s.begin[binary.LittleEndian.Uint32(w.held[i:])] {
			if n := len(p.Bytes); n > old-i && n <= len(w.held)-i && string(w.held[i:i+n]) == string(p.Bytes) {
				w.found(p)
			}
		}
	}
}

// Reader scans all that r gives, and returns how many bytes that was.
func (s *Scanner) Reader(r io.Reader, found func(p *Pattern)) (int64, error) {
	w := s.NewWindow(found)
	_, err := io.CopyBuffer(w, struct{ io.Reader }{r}, make([]byte, 1<<20))
	return w.total, err
}

// File scans a file.
func (s *Scanner) File(name string, found func(*Pattern)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = s.Reader(f, found)
	return err
}

// Hits counts what was found: by name and encoding.
type Hits map[string]int

// Add counts a pattern that was found.
func (h Hits) Add(p *Pattern) { h[p.Name+", "+p.Encoding]++ }

// Of returns how often the secret of that name was found, in all encodings.
func (h Hits) Of(name string) (n int) {
	for key, count := range h {
		if strings.HasPrefix(key, name+", ") {
			n += count
		}
	}
	return n
}

// Except returns what was found apart from the secrets of those names: sorted
// texts of name, encoding and count.
func (h Hits) Except(names ...string) (out []string) {
	for key, count := range h {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(key, name+", ") }) {
			out = append(out, fmt.Sprintf("%s (%d times)", key, count))
		}
	}
	slices.Sort(out)
	return out
}
