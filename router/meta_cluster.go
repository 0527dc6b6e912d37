package router

import (
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// In a cluster the meta API covers the sessions and subscriptions of all nodes: the answer
// of this node is merged with those of the others. Registrations are the same on
// all nodes.

// merge merges the answers of other nodes into c. refused is this node's refusal, or
// nil if its answer is in c.
type merge func(c *metaCall, refused *wamp.Refusal, others []RemoteAnswer) *wamp.Refusal

// askOthers completes the answer of a procedure with those of other nodes, if it has a
// merge function.
func (c *metaCall) askOthers(procedure wamp.URI, merge merge, refused *wamp.Refusal) *wamp.Refusal {
	link := c.realm.link
	if link == nil || merge == nil || refused != nil && refused.Reason != wamp.ReasonNoTarget {
		return refused
	}
	c.batch.flush() // as Ask blocks for a while
	others, refusal := link.Ask(procedure, c.args, c.kwargs)
	if refusal != nil {
		return refusal
	}
	return merge(c, refused, others)
}

// Answer answers a procedure of the meta API for another node, which has authorized it.
// The answer covers this node only.
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

// firstAnswer is for procedures about one session or subscription: the node that has it
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

// sumOf adds counts.
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
	ids, isList := idsIn(firstOf(c.result))
	found := refused == nil
	for _, a := range others {
		if a.Error != "" {
			continue
		}
		found = true
		more, ok := idsIn(firstOf(a.Args))
		isList = isList || ok
		ids = append(ids, more...)
	}
	switch {
	case !found:
		return refused
	case isList:
		c.result = []any{distinct(ids)}
	}
	return nil
}

// listsOf joins the lists in a dict, as unionOf does.
func listsOf(c *metaCall, refused *wamp.Refusal, others []RemoteAnswer) *wamp.Refusal {
	if refused != nil {
		return refused
	}
	lists, _ := firstOf(c.result).(map[string]any)
	joined := make(map[string]any, len(lists))
	for key, v := range lists {
		ids, _ := idsIn(v)
		for _, a := range others {
			dict, _ := firstOf(a.Args).(map[string]any)
			more, _ := idsIn(dict[key])
			ids = append(ids, more...)
		}
		joined[key] = distinct(ids)
	}
	c.result = []any{joined}
	return nil
}

// idsIn returns a copy of a list of ids, as made by this node or as received from
// another.
func idsIn(v any) (ids []wamp.ID, ok bool) {
	switch list := v.(type) {
	case []wamp.ID:
		return slices.Clone(list), true
	case []any:
		for _, v := range list {
			switch v := v.(type) {
			case uint64:
				ids = append(ids, wamp.ID(v))
			default:
				if n, ok := number(v); ok {
					ids = append(ids, wamp.ID(n))
				}
			}
		}
		return ids, true
	}
	return nil, false
}

func distinct(ids []wamp.ID) []wamp.ID {
	slices.Sort(ids)
	return slices.Compact(ids)
}

func firstOf(list []any) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}
