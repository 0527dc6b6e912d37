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

// query is what get_events is asked for. Zero fields ask for nothing special.
type query struct {
	reverse                            bool
	limit                              int
	topic                              wamp.URI
	from, after, before, until         time.Time
	fromID, afterID, beforeID, untilID wamp.ID
}

// getEvents answers with the events of a subscription that has a history, or
// that is covered by a pattern that has one. The caller must be allowed to
// subscribe, and gets what it would have got as a subscriber. The answer ends
// early where it would be too large; is_limit_reached, by keyword, says whether
// there is more.
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

// events makes the answer. An event that a publication id of the query stands
// for must be there still, or nothing can be said to be before or after it.
func (c *metaCall) events(h *history, sub *subscription, q *query) error {
	limitReached := false
	c.result, c.resultKw = []any{}, map[string]any{}
	defer func() { c.resultKw["is_limit_reached"] = limitReached }()
	if known, err := h.knows(q.fromID, q.afterID, q.beforeID, q.untilID); !known {
		return err
	}
	room := c.from.router.limits().Message / 2 // a payload takes more room as JSON
	if most := c.from.peer.MaxMessage; most > 0 {
		room = min(room, most/2)
	}
	w := newWindow(q)
	return h.log.Scan(q.reverse, func(e *eventstore.Event) bool {
		in, on := w.admits(e)
		if !in || !e.Admits(&c.from.peer) { // exclude_me was for the event's own time
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

// knows reports whether there is an event of each publication id that is not 0.
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

// window follows the events that a query selects along a scan, which passes
// its bounds in this order whether it goes forward or backward.
type window struct {
	q *query
	// The scan is within the bounds from the first and behind the second, and
	// until the third or up to the fourth. 0 is no bound, or one that is passed.
	startAt, startAfter, endBefore, endAt wamp.ID
}

func newWindow(q *query) *window {
	w := &window{q: q, startAt: q.fromID, startAfter: q.afterID, endBefore: q.beforeID, endAt: q.untilID}
	if q.reverse {
		w.startAt, w.startAfter, w.endBefore, w.endAt = q.untilID, q.beforeID, q.afterID, q.fromID
	}
	return w
}

// admits reports whether an event is selected, and whether those that follow can
// be.
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

// query reads the arguments behind the subscription: the limit, as Crossbar.io takes it,
// and keywords.
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

// field returns where a keyword argument goes, or nil.
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

// setField reads an argument into a field, and reports whether it is what the field
// takes.
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

// eventDict makes the dict that get_events has for an event, or nil if the caller
// may not have it. Clear arguments stand in args and kwargs. Of an opaque
// payload, args has the list of the passthru form, and payload the bare binary of
// the transparency form, byte for byte; how it was made is in the details.
// Where an event's arguments have no counterpart in the caller's serializer, or may not
// be converted by the rules of now, error has the reason instead.
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
	wrongQuery = invalidArgument("the arguments are a subscription and a limit, or limit by keyword; limit and publications are integers from 1, times RFC 3339, topic a string, reverse a boolean; there are no others")
	noHistory  = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchSubscription,
		Text: "no history is configured for this subscription's topics"}
	historyUnreadable = &wamp.Refusal{Reason: wamp.ReasonInterceptor, URI: wamp.ErrRuntime,
		Text: "the history can't be read"}
)
