package passthrough

import (
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// table finds the values whose pattern matches a URI. It needs one lookup for exact URIs,
// one for each distinct length of a prefix, and one for each distinct set of gaps in
// wildcard patterns with the URI's number of components. So its cost hardly depends on
// the number of rules. It does not allocate.
type table[T any] struct {
	any       bool
	exact     map[wamp.URI][]T
	prefixes  map[wamp.URI][]T
	lengths   []int                          // of the prefixes, ascending, each once
	wildcards map[int][]wildcardsWithGaps[T] // by the number of dots
}

// wildcardsWithGaps holds the wildcard patterns whose empty components are at the same places.
type wildcardsWithGaps[T any] struct {
	gaps   uint32 // bit n for component n; wamp.MaxURIComponents fit
	values map[wamp.URI][]T
}

func (t *table[T]) add(uri wamp.URI, m wamp.Match, value T) {
	if !t.any {
		*t = table[T]{any: true, exact: map[wamp.URI][]T{}, prefixes: map[wamp.URI][]T{}, wildcards: map[int][]wildcardsWithGaps[T]{}}
	}
	switch m {
	case wamp.MatchExact:
		t.exact[uri] = append(t.exact[uri], value)
	case wamp.MatchPrefix:
		t.prefixes[uri] = append(t.prefixes[uri], value)
		if n, found := slices.BinarySearch(t.lengths, len(uri)); !found {
			t.lengths = slices.Insert(t.lengths, n, len(uri))
		}
	case wamp.MatchWildcard:
		gaps, dots := gapsOf(uri), strings.Count(string(uri), ".")
		same := t.wildcards[dots]
		n := slices.IndexFunc(same, func(g wildcardsWithGaps[T]) bool { return g.gaps == gaps })
		if n < 0 {
			n = len(same)
			same = append(same, wildcardsWithGaps[T]{gaps, map[wamp.URI][]T{}})
			t.wildcards[dots] = same
		}
		same[n].values[uri] = append(same[n].values[uri], value)
	}
}

// each calls f with the matching values until f returns false. It reports whether f was
// called with all of them.
func (t *table[T]) each(uri wamp.URI, f func(T) bool) bool {
	if !t.any {
		return true
	}
	if !all(t.exact[uri], f) {
		return false
	}
	for _, n := range t.lengths {
		if n > len(uri) {
			break
		}
		if !all(t.prefixes[uri[:n]], f) {
			return false
		}
	}
	if len(t.wildcards) == 0 {
		return true
	}
	var space [wamp.MaxURILength]byte
	for _, g := range t.wildcards[strings.Count(string(uri), ".")] {
		if !all(g.values[wamp.URI(appendGapped(space[:0], uri, g.gaps))], f) {
			return false
		}
	}
	return true
}

func gapsOf(pattern wamp.URI) (gaps uint32) {
	for n, component := range strings.Split(string(pattern), ".") {
		if component == "" {
			gaps |= 1 << n
		}
	}
	return gaps
}

// appendGapped appends uri without the components at the gaps.
func appendGapped(dst []byte, uri wamp.URI, gaps uint32) []byte {
	component := 0
	for i := 0; i < len(uri); i++ {
		if uri[i] == '.' {
			component++
		} else if gaps&(1<<component) != 0 {
			continue
		}
		dst = append(dst, uri[i])
	}
	return dst
}

func all[T any](values []T, f func(T) bool) bool {
	for _, v := range values {
		if !f(v) {
			return false
		}
	}
	return true
}

// has reports whether any pattern matches.
func (t *table[T]) has(uri wamp.URI) bool {
	return t.any && !t.each(uri, func(T) bool { return false })
}
