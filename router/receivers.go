package router

import (
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// receivers are the receivers that a publisher selects by lists (WAMP, "Subscriber
// Black- and Whitelisting"): a receiver must be in all the eligible lists that are
// given, and in none of the exclude lists.
type receivers struct {
	exclude, eligible                                                receiverList[wamp.ID]
	excludeAuthID, excludeAuthRole, eligibleAuthID, eligibleAuthRole receiverList[string]
}

// receiverList is one of the lists.
type receiverList[T comparable] struct {
	list []T            // nil: not given
	set  map[T]struct{} // of the list, if it is long
}

// longList is the length from which a set is made of a list. Most lists are shorter,
// and cost no allocation.
const longList = 16

func (s *receiverList[T]) has(v T) bool {
	if s.set != nil {
		_, in := s.set[v]
		return in
	}
	return slices.Contains(s.list, v)
}

func (s *receiverList[T]) index() {
	if len(s.list) < longList {
		return
	}
	s.set = make(map[T]struct{}, len(s.list))
	for _, v := range s.list {
		s.set[v] = struct{}{}
	}
}

// receiversOf returns the receivers that options select.
func receiversOf(o *wamp.PublishOptions) receivers {
	return receivers{
		exclude: receiverList[wamp.ID]{list: o.Exclude}, eligible: receiverList[wamp.ID]{list: o.Eligible},
		excludeAuthID: receiverList[string]{list: o.ExcludeAuthID}, excludeAuthRole: receiverList[string]{list: o.ExcludeAuthRole},
		eligibleAuthID: receiverList[string]{list: o.EligibleAuthID}, eligibleAuthRole: receiverList[string]{list: o.EligibleAuthRole},
	}
}

// index makes sets of long lists, so that checking a receiver costs the same however
// long the lists are.
func (r *receivers) index() {
	r.exclude.index()
	r.eligible.index()
	for _, s := range [...]*receiverList[string]{&r.excludeAuthID, &r.excludeAuthRole, &r.eligibleAuthID, &r.eligibleAuthRole} {
		s.index()
	}
}

func (r *receivers) admits(to *wamp.Peer) bool {
	switch {
	case r.exclude.has(to.Session),
		r.excludeAuthID.has(to.AuthID),
		r.excludeAuthRole.has(to.AuthRole),
		r.eligible.list != nil && !r.eligible.has(to.Session),
		r.eligibleAuthID.list != nil && !r.eligibleAuthID.has(to.AuthID),
		r.eligibleAuthRole.list != nil && !r.eligibleAuthRole.has(to.AuthRole):
		return false
	}
	return true
}
