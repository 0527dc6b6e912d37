package router

import (
	"fmt"
	"slices"

	"github.com/blindfold-wamp/blindfold/router/eventstore"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// HistoryRule says which events a realm stores (WAMP, "Event History").
type HistoryRule = eventstore.Rule

// history is the log of one rule. It belongs to the subscription of the same URI and
// match, which exists as long as the realm, with or without members.
type history struct {
	log eventstore.Log
}

// openHistories opens the logs and makes the subscriptions of the rules.
func (m *realm) openHistories(rules []HistoryRule) error {
	if len(rules) == 0 {
		return nil
	}
	rules = slices.Clone(rules)
	for i := range rules {
		rule := &rules[i]
		if !rule.URI.Valid(rule.Match) {
			return fmt.Errorf("history[%d]: %q is not a URI to match by %s", i, string(rule.URI), rule.Match)
		}
		setDefault(&rule.Limit, 1000)
		setDefault(&rule.Bytes, 16<<20)
		if slices.ContainsFunc(rules[:i], func(r HistoryRule) bool { return r.URI == rule.URI && r.Match == rule.Match }) {
			return fmt.Errorf("history[%d]: %q is there twice", i, string(rule.URI))
		}
	}
	logs, err := m.historyStore.Open(rules)
	if err != nil {
		return err
	}
	for i, rule := range rules {
		sub := m.newSubscription(rule.URI, rule.Match)
		sub.history = &history{log: logs[i]}
		if m.link != nil {
			m.link.Interest(rule.Match, rule.URI, true)
		}
		m.broker.byID.Store(sub.id, sub)
		if !m.broker.topics.Update(rule.Match, rule.URI, func(*subscription, bool) (*subscription, bool) { return sub, true }) {
			return fmt.Errorf("history[%d]: %q: %s", i, string(rule.URI), tooManyShapes.Text)
		}
	}
	return nil
}

// record stores an event, unless it was published to sessions by their ids.
func (h *history) record(event *wamp.Event, m *wamp.Publish, from wamp.ID) {
	if m.Options.Exclude == nil && m.Options.Eligible == nil {
		h.log.Append(eventstore.New(event, m, from))
	}
}
