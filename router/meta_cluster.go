package router

import (
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// In a cluster the meta API speaks of the sessions and subscriptions of all nodes: what
// this node answers is merged with what the others do. Registrations are the same on
// all nodes.

// merge makes one answer, in c, of this node's, which is in c or refused, and those of
// the others.
type merge func(c *metaCall, refused *wamp.Refusal, others []RemoteAnswer) *wamp.Refusal

// askOthers completes the answer to a procedure, if other nodes may have to add to it.
func (c *metaCall) askOthers(procedure wamp.URI, merge merge, refused *wamp.Refusal) *wamp.Refusal {
	link := c.realm.link
	if link == nil || merge == nil || refused != nil && refused.Reason != wamp.ReasonNoTarget {
		return refused
	}
	c.batch.flush() // what follows takes a while
	others, refusal := link.Ask(procedure, c.args, c.kwargs)
	if refusal != nil {
		return refusal
	}
	return merge(c, refused, others)
}

// Answer answers a procedure of the meta API for another node, which has authorized it.
// It says nothing of the other nodes.
func (cr *ClusterRealm) Answer(procedure wamp.URI, args []any, kwargs map[string]any) RemoteAnswer {
	api := cr.realm.meta
	p, ok := api.procedures[procedure]
	if !ok || p.merge == nil {
		return RemoteAnswer{Error: wamp.ErrNoSuchProcedure}
	}
	b := cr.router.newBatch()
	defer b.end()
	c := metaCall{batch: b, from: api.service, realm: cr.realm, args: args, kwargs: kwargs}
	if refusal := p.answer(&c); refusal != nil {
		return RemoteAnswer{Error: refusal.URI}
	}
	api.events.publish(b, api.service)
	return RemoteAnswer{Args: c.result, Kwargs: c.resultKw}
}

// firstAnswer is for what is about one session or subscription: the node that has it
// answers.
func firstAnswer(c *metaCall, refused *wamp.Refusal, others []RemoteAnswer) *wamp.Refusal {
	if refused == nil && !(len(c.result) == 1 && c.result[0] == nil) {
		return nil
	}
	for _, a := range others {
		if a.Error == "" && !(len(a.Args) == 1 && a.Args[0] == nil) {
			c.result, c.resultKw = a.Args, a.Kwargs
			return nil
		}
	}
	return refused
}

// sumOf adds numbers.
func sumOf(c *metaCall, refused *wamp.Refusal, others []RemoteAnswer) *wamp.Refusal {
	sum, found := uint64(0), refused == nil
	if n, ok := firstOf(c.result).(int); ok {
		sum = uint64(n)
	}
	for _, a := range others {
		if n, ok := number(firstOf(a.Args)); ok && a.Error == "" {
			sum += n
			found = true
		}
	}
	if !found {
		return refused
	}
	c.result = []any{sum}
	return nil
}

// unionOf joins lists of ids, each id once; null is an empty list.
func unionOf(c *metaCall, refused *wamp.Refusal, others []RemoteAnswer) *wamp.Refusal {
	ids, isList := firstOf(c.result).([]any)
	found := refused == nil
	for _, a := range others {
		if a.Error != "" {
			continue
		}
		found = true
		if more, ok := firstOf(a.Args).([]any); ok {
			isList = true
			ids = addIDs(ids, more)
		}
	}
	switch {
	case !found:
		return refused
	case isList:
		c.result = []any{ids}
	}
	return nil
}

// listsOf joins the lists of a dict, as unionOf does.
func listsOf(c *metaCall, refused *wamp.Refusal, others []RemoteAnswer) *wamp.Refusal {
	lists, _ := firstOf(c.result).(map[string]any)
	for _, a := range others {
		more, _ := firstOf(a.Args).(map[string]any)
		for key, v := range more {
			ids, _ := lists[key].([]any)
			list, _ := v.([]any)
			if lists != nil {
				lists[key] = addIDs(ids, list)
			}
		}
	}
	return refused
}

func addIDs(ids, more []any) []any {
	seen := make(map[uint64]bool, len(ids)+len(more))
	for _, list := range [][]any{ids, more} {
		for _, v := range list {
			if n, ok := asID(v); ok {
				seen[n] = true
			}
		}
	}
	out := make([]any, 0, len(seen))
	for n := range seen {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b any) int { return int(int64(a.(uint64)) - int64(b.(uint64))) })
	return out
}

func asID(v any) (uint64, bool) {
	if n, ok := v.(uint64); ok {
		return n, true
	}
	return number(v)
}

func firstOf(list []any) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}
