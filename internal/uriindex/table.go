package uriindex

import (
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// shard is a part of the hash table: open addressing with linear probing. Readers take
// no lock. At least half of the slots are empty, so every search ends.
type shard[T any] struct {
	slots atomic.Pointer[[]atomic.Pointer[entry[T]]]

	mu   sync.Mutex // of those who put entries in or take them out
	live int        // entries
	used int        // slots that are not empty: of entries, or where one was
}

// entry is one URI or pattern. It is in the table as long as it has a value or a
// goroutine changes it.
type entry[T any] struct {
	hash  uint64
	uri   wamp.URI
	match wamp.Match
	users int32 // goroutines that hold it; guarded by shard.mu

	mu      sync.RWMutex
	present bool
	value   T
}

// noMatch is of no entry.
const noMatch = wamp.Match(0xff)

const leastSlots = 8

func (e *entry[T]) get() (value T, ok bool) {
	e.mu.RLock()
	value, ok = e.value, e.present
	e.mu.RUnlock()
	return value, ok
}

func (x *Index[T]) shard(hash uint64) *shard[T] {
	return &x.shards[hash>>(64-6)]
}

// hold returns the entry of a pattern, for the caller to change and to release. It puts
// one in if there is none; then it may find no room for the shape, and returns nil.
func (s *shard[T]) hold(x *Index[T], hash uint64, of shape, match wamp.Match, uri wamp.URI) *entry[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slots := s.slots.Load(); slots != nil {
		for i := hash; ; i++ {
			e := (*slots)[i%uint64(len(*slots))].Load()
			if e == nil {
				break
			}
			if e.hash == hash && e.match == match && e.uri == uri {
				e.users++
				return e
			}
		}
	}
	if !x.shapes.add(of) {
		return nil
	}
	e := &entry[T]{hash: hash, uri: uri, match: match, users: 1}
	s.put(x, e)
	return e
}

func (s *shard[T]) put(x *Index[T], e *entry[T]) {
	slots := s.slots.Load()
	if slots == nil || 2*(s.used+1) > len(*slots) {
		slots = s.resize(x, s.live+1)
	}
	s.live++
	for i := e.hash; ; i++ {
		slot := &(*slots)[i%uint64(len(*slots))]
		switch slot.Load() {
		case nil:
			s.used++
			slot.Store(e)
			return
		case x.gone:
			slot.Store(e)
			return
		}
	}
}

// resize lays the entries into a new table that n fill a quarter of, at least an eighth.
// A reader of the old one finds what it had.
func (s *shard[T]) resize(x *Index[T], n int) *[]atomic.Pointer[entry[T]] {
	size := leastSlots
	for size < 4*n {
		size *= 2
	}
	slots := make([]atomic.Pointer[entry[T]], size)
	if old := s.slots.Load(); old != nil {
		for i := range *old {
			e := (*old)[i].Load()
			if e == nil || e == x.gone {
				continue
			}
			for j := e.hash; ; j++ {
				if slot := &slots[j%uint64(size)]; slot.Load() == nil {
					slot.Store(e)
					break
				}
			}
		}
	}
	s.used = s.live
	s.slots.Store(&slots)
	return &slots
}

// release ends a hold. An entry without a value goes with the last who holds it.
func (s *shard[T]) release(x *Index[T], e *entry[T], of shape) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.users--; e.users > 0 || e.present {
		return
	}
	slots := s.slots.Load()
	for i := e.hash; ; i++ {
		at := i % uint64(len(*slots))
		if (*slots)[at].Load() != e {
			continue
		}
		if (*slots)[(at+1)%uint64(len(*slots))].Load() == nil {
			(*slots)[at].Store(nil)
			s.used--
		} else {
			(*slots)[at].Store(x.gone)
		}
		break
	}
	x.shapes.remove(of)
	switch s.live--; {
	case s.live == 0:
		s.slots.Store(nil)
		s.used = 0
	case len(*slots) > leastSlots && 16*s.live < len(*slots):
		s.resize(x, s.live)
	}
}
