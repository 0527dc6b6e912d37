package uriindex

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/wamp"
)

const (
	// freeOpen is how many components a wildcard may leave open and is always taken.
	freeOpen = 2
	// pooledShapes bounds the shapes with more open components, for each number of
	// components.
	pooledShapes = 512
)

// shape is what patterns that one look-up finds have in common: for prefixes, their
// length; for wildcards, the number of components and which of them are open.
type shape struct {
	match wamp.Match
	n     uint8  // length of a prefix, or components of a wildcard
	mask  uint32 // open components; the first is bit 31, so that WAMP's precedence is the order of masks
}

// shapes are those in use. They are read without a lock, and copied on change.
type shapes struct {
	prefixes       atomic.Pointer[[]uint8]                             // lengths, the longest first
	wildcards      [wamp.MaxURIComponents + 1]atomic.Pointer[[]uint32] // masks by number of components, in their order
	wildcardsInUse atomic.Int64                                        // shapes, so that realms without any don't look

	mu     sync.Mutex
	counts map[shape]int                    // patterns of each
	pooled [wamp.MaxURIComponents + 1]int16 // shapes with more than freeOpen open components
}

// add counts a pattern, or reports that there is no room for its shape.
func (t *shapes) add(s shape) bool {
	if s.match == wamp.MatchExact {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[s] == 0 && !t.open(s) {
		return false
	}
	if t.counts == nil {
		t.counts = make(map[shape]int)
	}
	t.counts[s]++
	return true
}

func (t *shapes) open(s shape) bool {
	if s.match == wamp.MatchPrefix {
		insert(&t.prefixes, s.n, func(a, b uint8) int { return int(b) - int(a) })
		return true
	}
	if bits.OnesCount32(s.mask) > freeOpen {
		if t.pooled[s.n] >= pooledShapes {
			return false
		}
		t.pooled[s.n]++
	}
	insert(&t.wildcards[s.n], s.mask, compareMasks)
	t.wildcardsInUse.Add(1)
	return true
}

// remove takes back an add.
func (t *shapes) remove(s shape) {
	if s.match == wamp.MatchExact {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[s]--; t.counts[s] > 0 {
		return
	}
	delete(t.counts, s)
	if s.match == wamp.MatchPrefix {
		drop(&t.prefixes, s.n)
		return
	}
	if bits.OnesCount32(s.mask) > freeOpen {
		t.pooled[s.n]--
	}
	drop(&t.wildcards[s.n], s.mask)
	t.wildcardsInUse.Add(-1)
}

func compareMasks(a, b uint32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// insert replaces a list by one that has v, too.
func insert[E any](list *atomic.Pointer[[]E], v E, compare func(a, b E) int) {
	var old []E
	if p := list.Load(); p != nil {
		old = *p
	}
	at, _ := slices.BinarySearchFunc(old, v, compare)
	changed := slices.Insert(slices.Clone(old), at, v)
	list.Store(&changed)
}

// drop replaces a list by one without v: by nil, if that is all.
func drop[E comparable](list *atomic.Pointer[[]E], v E) {
	changed := slices.DeleteFunc(slices.Clone(*list.Load()), func(e E) bool { return e == v })
	if len(changed) == 0 {
		list.Store(nil)
		return
	}
	list.Store(&changed)
}

// key returns the hash and the shape of a pattern, or reports that it has more components
// than a URI may have, or is longer.
func (x *Index[T]) key(match wamp.Match, uri wamp.URI) (hash uint64, s shape, ok bool) {
	s.match = match
	switch match {
	case wamp.MatchPrefix:
		if len(uri) > wamp.MaxURILength {
			return 0, s, false
		}
		s.n = uint8(len(uri))
	case wamp.MatchWildcard:
		n := components(uri)
		if n > wamp.MaxURIComponents {
			return 0, s, false
		}
		s.n, s.mask = uint8(n), openComponents(uri)
		var hashes [wamp.MaxURIComponents]uint64
		all := x.componentHashes(&hashes, uri)
		return shapeHash(all, &hashes, n, s.mask), s, true
	}
	return x.textHash(match, uri), s, true
}

// components counts the components of a URI.
func components(uri wamp.URI) int { return strings.Count(string(uri), ".") + 1 }

// openComponents returns the mask of a wildcard.
func openComponents(pattern wamp.URI) (mask uint32) {
	bit := uint32(1) << 31
	for rest, more := string(pattern), true; more; bit >>= 1 {
		var component string
		if component, rest, more = strings.Cut(rest, "."); component == "" {
			mask |= bit
		}
	}
	return mask
}

// leavesOpen reports whether the pattern leaves open what mask says, and has the
// components of uri otherwise.
func leavesOpen(pattern wamp.URI, mask uint32, uri wamp.URI) bool {
	for p, u := string(pattern), string(uri); ; mask <<= 1 {
		pc, pRest, pMore := strings.Cut(p, ".")
		uc, uRest, uMore := strings.Cut(u, ".")
		if open := mask>>31 == 1; open && pc != "" || !open && (pc != uc || pc == "") {
			return false
		}
		if !pMore || !uMore {
			return pMore == uMore
		}
		p, u = pRest, uRest
	}
}

// textHash is the hash of an exact URI or a prefix.
func (x *Index[T]) textHash(match wamp.Match, uri wamp.URI) uint64 {
	hash := maphash.String(x.seed, string(uri))
	if match == wamp.MatchPrefix {
		hash = ^hash
	}
	return hash
}

// componentHashes returns one hash for each component of a URI of at most
// wamp.MaxURIComponents, and their sum. They depend on the place of the component.
func (x *Index[T]) componentHashes(hashes *[wamp.MaxURIComponents]uint64, uri wamp.URI) (all uint64) {
	for i, rest, more := 0, string(uri), true; more; i++ {
		var component string
		component, rest, more = strings.Cut(rest, ".")
		hashes[i] = mix(maphash.String(x.seed, component), uint64(i))
		all += hashes[i]
	}
	return all
}

// shapeHash is the hash of a wildcard: the sum of the hashes of the components that it
// names, and of its shape.
func shapeHash(all uint64, hashes *[wamp.MaxURIComponents]uint64, n int, mask uint32) uint64 {
	for open := mask; open != 0; {
		i := bits.LeadingZeros32(open)
		all -= hashes[i]
		open &^= 1 << (31 - i)
	}
	return all + mix(uint64(mask), uint64(n))
}

// mix makes one number of two, of which no part is a linear function.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15*(b+1), 0xd1342543de82ef95)
	return hi ^ lo
}
