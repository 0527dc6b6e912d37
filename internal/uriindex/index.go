// Package uriindex finds what is stored under a URI, or under a pattern that matches
// it: the table behind subscriptions and registrations.
//
// # What a look-up costs
//
// Everything lies in one hash table. A look-up asks it once for the URI itself, once for
// each length of a prefix in use, and once for each shape of a wildcard in use among
// those of as many components as the URI has. The shape of a wildcard is which of its
// components are open. So a look-up costs by what matches and by the shapes in use, and
// not by how many patterns there are:
//
//   - prefixes: at most wamp.MaxURILength + 1 lengths (by characters, as WAMP defines
//     prefixes);
//   - wildcards: a pattern with up to freeOpen open components is always taken, of which
//     n components have at most 1 + n + n(n-1)/2 shapes, so 529 for the 32 that a URI may
//     have. With more open components, there are at most pooledShapes further shapes for
//     each number of components, and a pattern of another shape is refused. Patterns of
//     up to nine components can't reach that: all their shapes are fewer.
//
// So the worst case is 1 + 256 + 529 + pooledShapes look-ups in the table, of about
// 10 to 50 ns each, whatever patterns an adversary chooses: the hash is keyed with a
// random seed, and is the sum of one hash for each named component (A. Zobrist, "A New
// Hashing Method with Application for Game Playing", 1970), so that the hash for the
// next shape costs no walk over the URI.
//
// # What a pattern costs
//
// An entry of 64 bytes, 16 to 128 bytes of the table, and the URI itself: well below
// 1 KiB, whatever its components are.
//
// # Concurrency
//
// Look-ups take no lock of the index: they find an entry without one, and wait only
// for a change of that very entry. A change locks its entry, and a shard of the table
// for as long as it takes to put the entry in or to take it out.
package uriindex

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Index finds what is stored under a URI or a pattern that matches it. All its
// methods may be called concurrently.
type Index[T any] struct {
	seed maphash.Seed
	// Changes counts updates. A caller that caches the answer to a look-up compares it
	// with the value from before the look-up.
	Changes atomic.Uint64
	shapes  shapes
	shards  [64]shard[T]
	gone    *entry[T] // stands where an entry was
}

// New returns an empty index.
func New[T any]() *Index[T] {
	return &Index[T]{seed: maphash.MakeSeed(), gone: &entry[T]{match: noMatch}}
}

// Update replaces what is kept under (match, uri) by what change returns: it gets the
// present value, if ok, and returns the new one and whether to keep any. Look-ups of what
// is kept there wait for it. It reports false, without calling change, if uri is a
// wildcard of one shape too many.
func (x *Index[T]) Update(match wamp.Match, uri wamp.URI, change func(old T, ok bool) (value T, keep bool)) bool {
	hash, shape, ok := x.key(match, uri)
	if !ok {
		return false
	}
	s := x.shard(hash)
	e := s.hold(x, hash, shape, match, uri)
	if e == nil {
		return false
	}
	e.mu.Lock()
	// Under the lock, before the change, and after the entry can be found: a reader that
	// sees the new count also sees the change.
	x.Changes.Add(1)
	value, keep := change(e.value, e.present)
	if !keep {
		var none T
		value = none
	}
	e.value, e.present = value, keep
	e.mu.Unlock()
	s.release(x, e, shape)
	return true
}

// Exact returns what is kept under exactly this URI.
func (x *Index[T]) Exact(uri wamp.URI) (value T, ok bool) {
	return x.literal(x.textHash(wamp.MatchExact, uri), wamp.MatchExact, uri)
}

// Get returns what is kept under (match, uri), a pattern taken literally.
func (x *Index[T]) Get(match wamp.Match, uri wamp.URI) (value T, ok bool) {
	hash, _, ok := x.key(match, uri)
	if !ok {
		return value, false
	}
	return x.literal(hash, match, uri)
}

func (x *Index[T]) literal(hash uint64, match wamp.Match, uri wamp.URI) (value T, ok bool) {
	slots := x.shard(hash).slots.Load()
	if slots == nil {
		return value, false
	}
	for i := hash; ; i++ {
		e := (*slots)[i%uint64(len(*slots))].Load()
		if e == nil {
			return value, false
		}
		if e.hash == hash && e.match == match && e.uri == uri {
			return e.get()
		}
	}
}

// wildcard returns what is kept under the pattern that leaves open what mask says, and
// has the URI's components otherwise.
func (x *Index[T]) wildcard(hash uint64, mask uint32, uri wamp.URI) (value T, ok bool) {
	slots := x.shard(hash).slots.Load()
	if slots == nil {
		return value, false
	}
	for i := hash; ; i++ {
		e := (*slots)[i%uint64(len(*slots))].Load()
		if e == nil {
			return value, false
		}
		if e.hash == hash && e.match == wamp.MatchWildcard && leavesOpen(e.uri, mask, uri) {
			return e.get()
		}
	}
}

// All appends to dst everything whose URI or pattern matches uri: the exact
// one, then prefixes from the longest to the shortest, then wildcards by WAMP's
// precedence: at each component, patterns that name it before those that leave it open.
func (x *Index[T]) All(dst []T, uri wamp.URI) []T {
	if v, ok := x.Exact(uri); ok {
		dst = append(dst, v)
	}
	dst = x.prefixes(dst, uri, false)
	return x.wildcards(dst, uri, false)
}

// Best returns what matches uri best, by the precedence that WAMP sets for
// calls ("Pattern-based Registrations"): exact, then the longest prefix, then
// the wildcard with the longest literal beginning.
func (x *Index[T]) Best(uri wamp.URI) (value T, ok bool) {
	if v, ok := x.Exact(uri); ok {
		return v, true
	}
	var one [1]T
	found := x.prefixes(one[:0], uri, true)
	if len(found) == 0 {
		found = x.wildcards(found, uri, true)
	}
	if len(found) == 0 {
		return value, false
	}
	return found[0], true
}

func (x *Index[T]) prefixes(dst []T, uri wamp.URI, first bool) []T {
	lengths := x.shapes.prefixes.Load()
	if lengths == nil {
		return dst
	}
	for _, l := range *lengths {
		if int(l) > len(uri) {
			continue
		}
		prefix := uri[:l]
		if v, ok := x.literal(x.textHash(wamp.MatchPrefix, prefix), wamp.MatchPrefix, prefix); ok {
			dst = append(dst, v)
			if first {
				break
			}
		}
	}
	return dst
}

func (x *Index[T]) wildcards(dst []T, uri wamp.URI, first bool) []T {
	if x.shapes.wildcardsInUse.Load() == 0 {
		return dst
	}
	n := components(uri)
	if n > wamp.MaxURIComponents {
		return dst
	}
	masks := x.shapes.wildcards[n].Load()
	if masks == nil {
		return dst
	}
	var hashes [wamp.MaxURIComponents]uint64
	all := x.componentHashes(&hashes, uri)
	for _, mask := range *masks {
		if v, ok := x.wildcard(shapeHash(all, &hashes, n, mask), mask, uri); ok {
			dst = append(dst, v)
			if first {
				break
			}
		}
	}
	return dst
}

// Each calls f with every value, until f returns false. A value that changes during the
// call may be left out, or come twice.
func (x *Index[T]) Each(f func(T) bool) {
	for i := range x.shards {
		slots := x.shards[i].slots.Load()
		if slots == nil {
			continue
		}
		for j := range *slots {
			if e := (*slots)[j].Load(); e != nil {
				if v, ok := e.get(); ok && !f(v) {
					return
				}
			}
		}
	}
}
