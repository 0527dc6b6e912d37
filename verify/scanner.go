package verify

import (
	"encoding/binary"
	"io"
	"math/bits"
	"os"
)

// pattern is a text to look for, and what finding it means.
type pattern struct {
	bytes []byte
	// what names the secret, and how it is encoded: "canary of the arguments",
	// "base64". Never the secret itself.
	what, encoding string
}

// scanner looks for many patterns in one pass. Once made it may be used
// concurrently.
type scanner struct {
	filter  []uint64 // a bit for each hash of four bytes that begin a pattern
	shift   uint     // that leaves as many bits of a hash as the filter is for
	begin   map[uint32][]*pattern
	longest int
}

const shortest = 8 // a shorter pattern would be found by chance

func newScanner(patterns ...[]pattern) *scanner {
	n := 0
	for _, list := range patterns {
		n += len(list)
	}
	// Sparse enough to spare most look-ups in the map, and small enough for the
	// processor's nearest cache while there are few patterns.
	size := min(max(bits.Len(uint(n))+5, 16), 24)
	s := &scanner{filter: make([]uint64, 1<<(size-6)), shift: uint(32 - size), begin: make(map[uint32][]*pattern)}
	for _, list := range patterns {
		for i := range list {
			s.add(&list[i])
		}
	}
	return s
}

func (s *scanner) add(p *pattern) {
	if len(p.bytes) < shortest {
		return
	}
	key := binary.LittleEndian.Uint32(p.bytes)
	for _, other := range s.begin[key] {
		if string(other.bytes) == string(p.bytes) {
			return
		}
	}
	h := key * 0x9e3779b1 >> s.shift
	s.filter[h>>6] |= 1 << (h & 63)
	s.begin[key] = append(s.begin[key], p)
	s.longest = max(s.longest, len(p.bytes))
}

// find calls found for every pattern in b.
func (s *scanner) find(b []byte, found func(p *pattern)) {
	filter, shift := s.filter, s.shift
	for i := 0; i+shortest <= len(b); i++ {
		word := binary.LittleEndian.Uint64(b[i:])
		// Memory is zeros for the most part; no pattern begins with five of them.
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
			if len(p.bytes) <= len(b)-i && string(b[i:i+len(p.bytes)]) == string(p.bytes) {
				found(p)
			}
		}
	}
}

// window looks for patterns in a stream that comes in pieces.
type window struct {
	s     *scanner
	found func(p *pattern)
	held  []byte
	total int64
}

// Write scans what comes, together with the end of what came before. What lies
// in that end alone was found before.
func (w *window) Write(b []byte) (int, error) {
	w.total += int64(len(b))
	old := len(w.held)
	w.held = append(w.held, b...)
	if old == 0 {
		w.s.find(w.held, w.found)
	} else {
		w.seam(old)
		w.s.find(b, w.found)
	}
	if keep := w.s.longest - 1; len(w.held) > keep {
		w.held = append(w.held[:0], w.held[len(w.held)-keep:]...)
	}
	return len(b), nil
}

// seam finds what crosses the end of what came before.
func (w *window) seam(old int) {
	start := max(0, old-w.s.longest+1)
	for i := start; i < old; i++ {
		if len(w.held)-i < shortest {
			return
		}
		for _, p := range w.s.begin[binary.LittleEndian.Uint32(w.held[i:])] {
			if n := len(p.bytes); n > old-i && n <= len(w.held)-i && string(w.held[i:i+n]) == string(p.bytes) {
				w.found(p)
			}
		}
	}
}

// scanReader scans all that r gives.
func (s *scanner) scanReader(r io.Reader, found func(p *pattern)) (int64, error) {
	w := &window{s: s, found: found}
	_, err := io.CopyBuffer(w, struct{ io.Reader }{r}, make([]byte, 1<<20))
	return w.total, err
}

// scanFile scans a file.
func (s *scanner) scanFile(name string, found func(*pattern)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = s.scanReader(f, found)
	return err
}
