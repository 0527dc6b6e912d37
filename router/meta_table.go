package router

import (
	"sync"

	"github.com/blindfold-wamp/blindfold/internal/uriindex"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// metaTable answers the procedures about the subscriptions of a realm, or about its
// registrations, which are the same (WAMP, "Subscription Meta API" and "Registration
// Meta API").
type metaTable[T listable] struct {
	tables func(m *realm) (*uriindex.Index[T], *sync.Map) // by URI or pattern, and by id
	ids    func(m *realm) *idLists
	// match returns the ids of those that match a URI: nil, an id, or a list.
	match func(m *realm, uri wamp.URI) any
	// revoke removes a session, and notifies it if it supports that. It reports false if
	// the session is no subscriber or callee.
	revoke  func(c *metaCall, one T, s *session, reason string) bool
	unknown *wamp.Refusal
}

// idLists caches the ids of all subscriptions or registrations of a realm, by match. A
// CALL of a few bytes asks for them, so they are listed once for each change, by one
// goroutine at a time.
type idLists struct {
	mu      sync.Mutex
	changes uint64
	lists   map[string]any // of []wamp.ID; nil: not listed yet. Replaced, never changed
}

// listable is a subscription or a registration.
type listable interface {
	key() (wamp.Match, wamp.ID)
	describe() map[string]any
	sessions() []*session // subscribers or callees, the first one first
}

func (table *metaTable[T]) list(c *metaCall) *wamp.Refusal {
	all, _ := table.tables(c.realm)
	ids := table.ids(c.realm)
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if now := all.Changes.Load(); ids.lists == nil || ids.changes != now {
		lists := map[wamp.Match][]wamp.ID{wamp.MatchExact: {}, wamp.MatchPrefix: {}, wamp.MatchWildcard: {}}
		all.Each(func(one T) bool {
			match, id := one.key()
			lists[match] = append(lists[match], id)
			return true
		})
		ids.changes, ids.lists = now, make(map[string]any, len(lists))
		for match, list := range lists {
			ids.lists[match.String()] = list
		}
	}
	c.result = []any{ids.lists}
	return nil
}

func (table *metaTable[T]) lookup(c *metaCall) *wamp.Refusal {
	uri, refusal := c.text(0)
	if refusal != nil {
		return refusal
	}
	match, refusal := c.match(1)
	if refusal != nil {
		return refusal
	}
	c.result = []any{nil}
	all, _ := table.tables(c.realm)
	if one, ok := all.Get(match, wamp.URI(uri)); ok {
		c.result[0] = idOf(one)
	}
	return nil
}

func (table *metaTable[T]) matches(c *metaCall) *wamp.Refusal {
	uri, refusal := c.text(0)
	if refusal != nil {
		return refusal
	}
	c.result = []any{table.match(c.realm, wamp.URI(uri))}
	return nil
}

// one returns the subscription or registration whose id is argument 0.
func (table *metaTable[T]) one(c *metaCall) (one T, refusal *wamp.Refusal) {
	id, refusal := c.id(0)
	if refusal != nil {
		return one, refusal
	}
	_, byID := table.tables(c.realm)
	if v, ok := byID.Load(id); ok {
		return v.(T), nil
	}
	return one, table.unknown
}

// property makes a procedure that returns value of the subscription or registration
// whose id is argument 0.
func (table *metaTable[T]) property(value func(one T) any) func(*metaCall) *wamp.Refusal {
	return func(c *metaCall) *wamp.Refusal {
		one, refusal := table.one(c)
		if refusal != nil {
			return refusal
		}
		c.result = []any{value(one)}
		return nil
	}
}

func describe[T listable](one T) any { return one.describe() }

func listSessionsOf[T listable](one T) any { return idsOf(one.sessions()) }

func countSessionsOf[T listable](one T) any { return len(one.sessions()) }

func idOf[T listable](one T) any {
	_, id := one.key()
	return uint64(id)
}

// remove removes one session. Its arguments are the id, the session, and, by keyword, a
// reason.
func (table *metaTable[T]) remove(c *metaCall) *wamp.Refusal {
	one, refusal := table.one(c)
	if refusal != nil {
		return refusal
	}
	s, refusal := c.session(1)
	if refusal != nil {
		return refusal
	}
	reason, refusal := c.option("reason")
	if refusal != nil {
		return refusal
	}
	if !table.revoke(c, one, s, reason) {
		return table.unknown
	}
	return nil
}
