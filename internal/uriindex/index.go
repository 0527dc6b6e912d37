// Package uriindex finds what is stored under a URI, or under a pattern that matches
// it: the table behind subscriptions, registrations and rules.
package uriindex

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Index finds what is stored under a URI or a pattern that matches it. Exact URIs
// are looked up in sharded maps, whatever their number; prefixes cost one map
// lookup for each distinct length in use (at most wamp.MaxURILength, by
// characters, as WAMP defines prefixes); wildcards are a trie over components.
// Lookups run concurrently with each other and take no lock that a change to
// another shard holds.
type Index[T any] struct {
	seed   maphash.Seed
	shards [64]indexShard[T]
	// Changes counts updates. A caller that caches the answer to a lookup compares it
	// with the value from before the lookup.
	Changes  atomic.Uint64
	patterns atomic.Int64 // prefixes and wildcards kept, so that realms without any don't look
	prefix   prefixTable[T]
	wildcard wildcardTrie[T]
}

type indexShard[T any] struct {
	mu sync.RWMutex
	m  map[wamp.URI]T
}

func New[T any]() *Index[T] {
	return &Index[T]{seed: maphash.MakeSeed()}
}

func (x *Index[T]) shard(uri wamp.URI) *indexShard[T] {
	return &x.shards[maphash.String(x.seed, string(uri))%uint64(len(x.shards))]
}

// Update replaces what is kept under (match, uri) by what change returns: it gets the
// present value, if ok, and returns the new one and whether to keep any. Lookups
// of the same shard or pattern table wait for it.
func (x *Index[T]) Update(match wamp.Match, uri wamp.URI, change func(old T, ok bool) (value T, keep bool)) {
	f := func(old T, ok bool) (T, bool) {
		// Under the lock and before the change: a reader that sees the new count
		// also sees the change.
		x.Changes.Add(1)
		return change(old, ok)
	}
	switch match {
	case wamp.MatchPrefix, wamp.MatchWildcard:
		x.patterns.Add(1) // before Changes: a reader that sees the new count also looks at patterns
		table := x.prefix.update
		if match == wamp.MatchWildcard {
			table = x.wildcard.update
		}
		x.patterns.Add(table(uri, f) - 1)
	default:
		s := x.shard(uri)
		s.mu.Lock()
		defer s.mu.Unlock()
		updateMap(&s.m, uri, f)
	}
}

// updateMap applies f to one entry of *m and returns by how much *m grew.
func updateMap[K comparable, T any](m *map[K]T, key K, f func(old T, ok bool) (T, bool)) int64 {
	old, ok := (*m)[key]
	value, keep := f(old, ok)
	switch {
	case keep:
		if *m == nil {
			*m = make(map[K]T)
		}
		(*m)[key] = value
		if !ok {
			return 1
		}
	case ok:
		delete(*m, key)
		return -1
	}
	return 0
}

// Exact returns what is kept under exactly this URI.
func (x *Index[T]) Exact(uri wamp.URI) (T, bool) {
	s := x.shard(uri)
	s.mu.RLock()
	v, ok := s.m[uri]
	s.mu.RUnlock()
	return v, ok
}

// Get returns what is kept under (match, uri), a pattern taken literally.
func (x *Index[T]) Get(match wamp.Match, uri wamp.URI) (T, bool) {
	switch match {
	case wamp.MatchPrefix:
		return x.prefix.get(uri)
	case wamp.MatchWildcard:
		return x.wildcard.get(uri)
	}
	return x.Exact(uri)
}

// All appends to dst everything whose URI or pattern matches uri: the exact
// one, then prefixes from the longest to the shortest, then wildcards in the
// order of wildcardTrie.match.
func (x *Index[T]) All(dst []T, uri wamp.URI) []T {
	if v, ok := x.Exact(uri); ok {
		dst = append(dst, v)
	}
	if x.patterns.Load() == 0 {
		return dst
	}
	dst = x.prefix.match(dst, uri, false)
	return x.wildcard.match(dst, uri, false)
}

// Best returns what matches uri best, by the precedence that WAMP sets for
// calls ("Pattern-based Registrations"): exact, then the longest prefix, then
// the wildcard with the longest literal beginning.
func (x *Index[T]) Best(uri wamp.URI) (value T, ok bool) {
	if v, ok := x.Exact(uri); ok {
		return v, true
	}
	if x.patterns.Load() == 0 {
		return value, false
	}
	var one [1]T
	found := x.prefix.match(one[:0], uri, true)
	if len(found) == 0 {
		found = x.wildcard.match(found, uri, true)
	}
	if len(found) == 0 {
		return value, false
	}
	return found[0], true
}

// Each calls f with everything kept, until f returns false. f must not change
// the index.
func (x *Index[T]) Each(f func(T) bool) {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		for _, v := range s.m {
			if !f(v) {
				s.mu.RUnlock()
				return
			}
		}
		s.mu.RUnlock()
	}
	x.prefix.mu.RLock()
	defer x.prefix.mu.RUnlock()
	for _, v := range x.prefix.m {
		if !f(v) {
			return
		}
	}
	x.wildcard.mu.RLock()
	defer x.wildcard.mu.RUnlock()
	x.wildcard.root.each(f)
}

// prefixTable keeps values by prefix and knows which lengths are in use.
type prefixTable[T any] struct {
	mu      sync.RWMutex
	m       map[wamp.URI]T
	lengths [wamp.MaxURILength + 1]int32 // prefixes of each length
	used    []uint8                      // lengths in use, longest first
}

func (p *prefixTable[T]) update(uri wamp.URI, f func(T, bool) (T, bool)) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	grown := updateMap(&p.m, uri, f)
	if grown == 0 {
		return 0
	}
	n := &p.lengths[len(uri)]
	before := *n
	*n += int32(grown)
	if before == 0 || *n == 0 {
		p.used = p.used[:0:0]
		for l := len(p.lengths) - 1; l >= 0; l-- {
			if p.lengths[l] > 0 {
				p.used = append(p.used, uint8(l))
			}
		}
	}
	return grown
}

func (p *prefixTable[T]) get(uri wamp.URI) (T, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	v, ok := p.m[uri]
	return v, ok
}

func (p *prefixTable[T]) match(dst []T, uri wamp.URI, first bool) []T {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, l := range p.used {
		if int(l) > len(uri) {
			continue
		}
		if v, ok := p.m[uri[:l]]; ok {
			dst = append(dst, v)
			if first {
				break
			}
		}
	}
	return dst
}

// wildcardTrie keeps values by pattern: one level for each component, "" being
// the component that matches any one.
type wildcardTrie[T any] struct {
	mu   sync.RWMutex
	root wildcardNode[T]
}

type wildcardNode[T any] struct {
	next  map[string]*wildcardNode[T]
	ends  bool // a pattern ends here, and value is what is kept under it
	value T
}

func (w *wildcardTrie[T]) update(uri wamp.URI, f func(T, bool) (T, bool)) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.root.update(string(uri), f)
}

// update recurses as deep as a URI has components, which URI.Valid bounds.
func (n *wildcardNode[T]) update(rest string, f func(T, bool) (T, bool)) int64 {
	component, rest, more := strings.Cut(rest, ".")
	child := n.next[component]
	if child == nil {
		child = &wildcardNode[T]{}
	}
	var grown int64
	if more {
		grown = child.update(rest, f)
	} else {
		grown = child.replace(f)
	}
	switch {
	case !child.ends && len(child.next) == 0:
		delete(n.next, component)
	case n.next[component] == nil:
		if n.next == nil {
			n.next = make(map[string]*wildcardNode[T])
		}
		n.next[component] = child
	}
	return grown
}

// replace applies f to the value of the pattern that ends here, and returns by
// how much the number of patterns grew.
func (n *wildcardNode[T]) replace(f func(T, bool) (T, bool)) int64 {
	before := n.ends
	value, keep := f(n.value, before)
	if !keep {
		var none T
		value = none // or it would live as long as longer patterns do
	}
	n.value, n.ends = value, keep
	switch {
	case keep && !before:
		return 1
	case before && !keep:
		return -1
	}
	return 0
}

func (w *wildcardTrie[T]) get(uri wamp.URI) (value T, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	node := &w.root
	for rest, more := string(uri), true; more; {
		var component string
		component, rest, more = strings.Cut(rest, ".")
		if node = node.next[component]; node == nil {
			return value, false
		}
	}
	return node.value, node.ends
}

// match visits patterns in the order of WAMP's precedence: at each component,
// patterns that name it come before those that leave it open.
func (w *wildcardTrie[T]) match(dst []T, uri wamp.URI, first bool) []T {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.root.match(dst, string(uri), first)
}

func (n *wildcardNode[T]) match(dst []T, rest string, first bool) []T {
	component, rest, more := strings.Cut(rest, ".")
	for _, key := range [2]string{component, ""} {
		child := n.next[key]
		if child == nil || (key == "" && component == "") {
			continue
		}
		if more {
			dst = child.match(dst, rest, first)
		} else if child.ends {
			dst = append(dst, child.value)
		}
		if first && len(dst) > 0 {
			break
		}
	}
	return dst
}

func (n *wildcardNode[T]) each(f func(T) bool) bool {
	if n.ends && !f(n.value) {
		return false
	}
	for _, child := range n.next {
		if !child.each(f) {
			return false
		}
	}
	return true
}
