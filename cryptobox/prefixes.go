package cryptobox

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// prefixes maps URI prefixes, by characters, to values. Readers take a snapshot
// and never wait.
type prefixes[T any] struct {
	writing  sync.Mutex
	snapshot atomic.Pointer[prefixTable[T]]
}

// prefixTable is immutable once it is a snapshot.
type prefixTable[T any] struct {
	values map[wamp.URI]T
	// lengths of the prefixes, each once, longest first.
	lengths []int
}

func (p *prefixes[T]) load() *prefixTable[T] {
	if t := p.snapshot.Load(); t != nil {
		return t
	}
	return &prefixTable[T]{}
}

// update calls change on a copy of the values, and publishes it.
func (p *prefixes[T]) update(change func(map[wamp.URI]T)) {
	p.writing.Lock()
	defer p.writing.Unlock()
	t := &prefixTable[T]{values: map[wamp.URI]T{}}
	maps.Copy(t.values, p.load().values)
	change(t.values)
	for prefix := range t.values {
		t.lengths = append(t.lengths, len(prefix))
	}
	slices.Sort(t.lengths)
	t.lengths = slices.Compact(t.lengths)
	slices.Reverse(t.lengths)
	p.snapshot.Store(t)
}

// longest returns the longest prefix of uri and its value.
func (t *prefixTable[T]) longest(uri wamp.URI) (prefix wamp.URI, value T, ok bool) {
	for _, n := range t.lengths {
		if n > len(uri) {
			continue
		}
		if value, ok = t.values[uri[:n]]; ok {
			return uri[:n], value, true
		}
	}
	return "", value, false
}

// sorted returns the prefixes in alphabetical order.
func (t *prefixTable[T]) sorted() []wamp.URI {
	return slices.Sorted(maps.Keys(t.values))
}

// validPrefix reports whether u is "" or can begin a URI.
func validPrefix(u wamp.URI) bool {
	return u.Valid(wamp.MatchPrefix) && utf8.ValidString(string(u))
}
