package router

import (
	"time"

	"github.com/blindfold-wamp/blindfold/router/eventstore"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// historyProcedures are those of WAMP, "Event History".
var historyProcedures = map[wamp.URI]metaProcedure{
	"wamp.subscription.get_events": {answer: getEvents},
}

// query is the parsed arguments of get_events. Zero fields select nothing special.
type query struct {
	reverse                            bool
	limit                              int
	topic                              wamp.URI
	from, after, before, until         time.Time
	fromID, afterID, beforeID, untilID wamp.ID
}

// getEvents returns the events of a subscription that has a history, or whose topic is
// covered by a pattern that has one. The caller must be allowed to subscribe, and gets
// the events that it would have got as a subscriber. The result is cut where it would
// be too large; is_limit_reached, by keyword, says whether there is more.
func getEvents(c *metaCall) *wamp.Refusal {
	sub, refusal := subscriptions.one(c)
	if refusal != nil {
		return refusal
	}
	if _, refusal := c.batch.authorized(c.from, ActionSubscribe, sub.uri, sub.match); refusal != nil {
		return refusal
	}
	q, refusal := c.query()
	if refusal != nil {
		return refusal
	}
	h := sub.history
	if h == nil && sub.match == wamp.MatchExact {
		for _, wider := range c.realm.broker.topics.All(nil, sub.uri) {
			if wider.history != nil {
				h, q.topic = wider.history, sub.uri
				break
			}
		}
	}
	if h == nil {
		return noHistory
	}
	if err := c.events(h, sub, &q); err != nil {
		c.from.router.log.Error("cannot read a history", "realm", c.realm.name, "error", err)
		return historyUnreadable
	}
	return nil
}

// events builds the result. If the query names an event by its publication id, that
// event must still be stored; otherwise the result is empty.
func (c *metaCall) events(h *history, sub *subscription, q *query) error {
	limitReached := false
	c.result, c.resultKw = []any{}, map[string]any{}
	defer func() { c.resultKw["is_limit_reached"] = limitReached }()
	if known, err := h.knows(q.fromID, q.afterID, q.beforeID, q.untilID); !known {
		return err
	}
	room := c.from.router.limits().Message / 2 // a payload takes more room as JSON
	if limit := c.from.peer.MaxMessage; limit > 0 {
		room = min(room, limit/2)
	}
	w := newWindow(q)
	return h.log.Scan(q.reverse, func(e *eventstore.Event) bool {
		in, on := w.admits(e)
		if !in || !e.Admits(&c.from.peer) { // exclude_me applied only when the event was published
			return on
		}
		if q.limit > 0 && len(c.result) >= q.limit || len(c.result) > 0 && room < e.Size() {
			limitReached = true
			return false
		}
		if event := c.eventDict(e, sub); event != nil {
			room -= e.Size()
			c.result = append(c.result, event)
		}
		return on
	})
}

// knows reports whether an event of each publication id that is not 0 is stored.
func (h *history) knows(ids ...wamp.ID) (known bool, err error) {
	missing := make(map[wamp.ID]bool)
	for _, id := range ids {
		if id != 0 {
			missing[id] = true
		}
	}
	if len(missing) > 0 {
		err = h.log.Scan(false, func(e *eventstore.Event) bool {
			delete(missing, e.Event.Publication)
			return len(missing) > 0
		})
	}
	return len(missing) == 0 && err == nil, err
}

// window tracks, along a scan, which events a query selects. A scan passes the bounds in
// the same order whether it goes forward or backward.
type window struct {
	q *query
	// Publication ids that bound the selection: it starts at or after one, and ends before
	// or at one. 0 is no bound, or one that has been passed.
	startAt, startAfter, endBefore, endAt wamp.ID
}

func newWindow(q *query) *window {
	w := &window{q: q, startAt: q.fromID, startAfter: q.afterID, endBefore: q.beforeID, endAt: q.untilID}
	if q.reverse {
		w.startAt, w.startAfter, w.endBefore, w.endAt = q.untilID, q.beforeID, q.afterID, q.fromID
	}
	return w
}

// admits reports whether an event is selected, and whether later ones can be.
func (w *window) admits(e *eventstore.Event) (in, on bool) {
	id, q := e.Event.Publication, w.q
	if id == w.endBefore {
		return false, false
	}
	if id == w.startAt {
		w.startAt = 0
	}
	in = w.startAt == 0 && w.startAfter == 0
	if id == w.startAfter {
		w.startAfter = 0
	}
	if q.topic != "" && q.topic != e.Event.Details.Topic ||
		!q.from.IsZero() && e.At.Before(q.from) || !q.after.IsZero() && !e.At.After(q.after) ||
		!q.before.IsZero() && !e.At.Before(q.before) || !q.until.IsZero() && e.At.After(q.until) {
		in = false
	}
	return in, id != w.endAt
}

// query parses the arguments after the subscription: the limit, as Crossbar.io takes
// it, and keywords.
func (c *metaCall) query() (q query, refusal *wamp.Refusal) {
	if len(c.args) > 2 {
		return q, wrongQuery
	}
	if len(c.args) == 2 && c.args[1] != nil && !setField(&q.limit, c.args[1]) {
		return q, wrongQuery
	}
	for key, v := range c.kwargs {
		field := q.field(key)
		if field == nil || key == "limit" && q.limit > 0 {
			return q, wrongQuery
		}
		if v != nil && !setField(field, v) {
			return q, wrongQuery
		}
	}
	return q, nil
}

// field returns the field that a keyword argument sets, or nil.
func (q *query) field(key string) any {
	switch key {
	case "reverse":
		return &q.reverse
	case "limit":
		return &q.limit
	case "topic":
		return &q.topic
	case "from_time":
		return &q.from
	case "after_time":
		return &q.after
	case "before_time":
		return &q.before
	case "until_time":
		return &q.until
	case "from_publication":
		return &q.fromID
	case "after_publication":
		return &q.afterID
	case "before_publication":
		return &q.beforeID
	case "until_publication":
		return &q.untilID
	}
	return nil
}

// setField sets a field to an argument, and reports whether the argument is valid for
// it.
func setField(field, v any) (ok bool) {
	switch field := field.(type) {
	case *bool:
		*field, ok = v.(bool)
	case *int:
		var n uint64
		n, ok = number(v)
		ok = ok && n > 0
		*field = int(min(n, 1<<30))
	case *wamp.URI:
		var s string
		s, ok = v.(string)
		*field = wamp.URI(s)
	case *time.Time:
		s, _ := v.(string)
		var err error
		*field, err = time.Parse(time.RFC3339, s)
		ok = err == nil
	case *wamp.ID:
		var n uint64
		n, ok = number(v)
		*field = wamp.ID(n)
		ok = ok && field.Valid()
	}
	return ok
}

// eventDict returns the dict that describes an event in the result, or nil if the
// caller may not get it. Clear arguments are in args and kwargs. An opaque payload is
// in args, as the list of the passthru form, or in payload, as the bare binary of the
// transparency form, byte for byte; its attributes are in the details. If an event's
// arguments can't be converted to the caller's serializer, or the current rules forbid
// it, error has the reason instead.
func (c *metaCall) eventDict(e *eventstore.Event, sub *subscription) map[string]any {
	event := e.Event
	event.Subscription = sub.id
	if sub.match == wamp.MatchExact {
		event.Details.Topic = ""
	}
	c.batch.outbound = wamp.RoutedMessage{From: &c.realm.meta.service.peer, URI: e.Event.Details.Topic, Message: &event}
	var inconvertible *wamp.Refusal
	for _, i := range c.realm.hooks.Load().interceptors {
		if err := i.Deliver(&c.batch.outbound, &c.from.peer); err != nil {
			refusal := c.from.router.interceptorRefusal(err)
			if refusal.Reason == wamp.ReasonConversion {
				inconvertible = refusal
				continue
			}
			c.batch.dropped(c.from, refusal)
			return nil
		}
	}
	dict := map[string]any{
		"timestamp": timestamp(e.At), "subscription": uint64(sub.id), "publication": uint64(event.Publication),
		"details": map[string]any(valuesOf(&event.Details)),
	}
	if inconvertible != nil {
		dict["error"] = string(inconvertible.URI)
	} else if err := addArguments(dict, &event.Payload, c.from.peer.Serializer); err != nil {
		dict["error"] = string(asRefusal(err).URI)
	}
	return dict
}

func addArguments(dict map[string]any, p *wamp.Payload, s wamp.Serializer) error {
	elements, err := codec.Elements(p, s)
	if len(elements) == 0 {
		return err
	}
	key := "args"
	if p.Shape() == wamp.ShapeBinary {
		key = "payload"
	}
	dict[key] = elements[0]
	if p.Kwargs() > 0 {
		dict["kwargs"] = elements[1]
	}
	return nil
}

var (
	wrongQuery = invalidArgument("invalid arguments: give a subscription and, if wanted, a limit; keywords are limit and *_publication (integers from 1), *_time (RFC 3339), topic (a string), reverse (a boolean)")
	noHistory  = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchSubscription,
		Text: "no history is configured for this subscription: add a rule to the realm's history"}
	historyUnreadable = &wamp.Refusal{Reason: wamp.ReasonInterceptor, URI: wamp.ErrRuntime,
		Text: "cannot read the history: see the router's log"}
)
