package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// realm holds every series of one realm, so that Observe finds them by index. Most
// reasons never occur in a realm, so their series are created when they first do (late).
// Series whose first increase is an alert are there from the start (see alerting).
type realm struct {
	opaque                [carriers][forms][schemeCount]*histogram // of sizes
	clear                 [carriers]clear
	deliveries            [carriers]prometheus.Counter
	opaqueRefused         [carriers + 1][len(wamp.Reasons)]late[prometheus.Counter] // and typeEvent
	refused               [types][len(wamp.Reasons)]late[prometheus.Counter]
	dropped               [len(wamp.Reasons)]late[prometheus.Counter]
	opened                prometheus.Counter
	authenticatorFailures prometheus.Counter
	closed                [len(wamp.Reasons)]late[prometheus.Counter] // by a refusal
	ended                 [len(router.Ends)]prometheus.Counter        // in another way
	sessions              [len(transports)][len(serializers)]late[prometheus.Gauge]
}

// late is a series that is created when it is first used. It may be used concurrently.
type late[T any] struct {
	create func() T // returns the same series each time
	series atomic.Pointer[T]
}

func (l *late[T]) get() T {
	if s := l.series.Load(); s != nil {
		return *s
	}
	s := l.create()
	l.series.Store(&s)
	return s
}

// lateCounter is a counter of v, created now if now is true.
func lateCounter(l *late[prometheus.Counter], now bool, v *prometheus.CounterVec, labels ...string) {
	l.create = func() prometheus.Counter { return v.WithLabelValues(labels...) }
	if now {
		l.get()
	}
}

// alerting says whether an alert watches for the first refusal with this reason. A series
// that begins at 1 has no increase, so these begin at 0.
func alerting(r wamp.Reason) bool {
	switch r {
	case wamp.ReasonCleartext, wamp.ReasonConversion, wamp.ReasonUnsupported, wamp.ReasonQueueFull:
		return true
	}
	return false
}

type clear struct{ messages, bytes prometheus.Counter }

func (r *realm) session(p *wamp.Peer) prometheus.Gauge {
	return r.sessions[transportIndex(p.Transport)][serializerIndex(p.Serializer)].get()
}

func (r *realm) routed(e *router.Observation) {
	t := typeIndex(e.Routed)
	if t >= carriers {
		return
	}
	if e.Deliveries > 0 {
		r.deliveries[t].Add(float64(e.Deliveries))
	}
	p, a, form := carried(e.Routed)
	if form != wamp.FormNone {
		r.opaque[t][form-1][schemeIndex(a.Scheme())].observe(uint64(p.Size()))
		return
	}
	cell := &r.clear[t]
	cell.messages.Inc()
	if p != nil {
		cell.bytes.Add(float64(p.Size()))
	}
}

func (r *realm) refuse(e *router.Observation) {
	t, reason := typeIndex(e.Routed), reasonIndex(e.Refusal)
	r.refused[t][reason].get().Inc()
	if t >= carriers {
		return
	}
	_, _, form := carried(e.Routed)
	if form != wamp.FormNone || wamp.Reasons[reason] == wamp.ReasonCleartext {
		r.opaqueRefused[t][reason].get().Inc()
	}
}

// carried returns the payload of a routed message, and its form.
func carried(t *wamp.RoutedMessage) (*wamp.Payload, *wamp.Attributes, wamp.Form) {
	if t == nil {
		return nil, nil, wamp.FormNone
	}
	c, ok := t.Message.(wamp.Carrier)
	if !ok {
		return nil, nil, wamp.FormNone
	}
	p, a := c.Carried()
	return p, a, wamp.FormOf(a, p)
}

// vectors create the series of a realm.
type vectors struct {
	clearMessages, clearBytes, deliveries           *prometheus.CounterVec
	opaqueRefused, refused, dropped, opened, closed *prometheus.CounterVec
	turnedAway, limits, authenticatorFailures       *prometheus.CounterVec
	sessions                                        *prometheus.GaugeVec
}

func newVectors() vectors {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "blindfold_" + name, Help: help}, labels)
	}
	return vectors{
		clearMessages:         counter("clear_messages_total", "Messages with a clear payload, or none, that were routed.", "realm", "type"),
		clearBytes:            counter("clear_payload_bytes_total", "Bytes of the clear payloads that were routed, as on the wire.", "realm", "type"),
		deliveries:            counter("deliveries_total", "Messages put into receivers' queues.", "realm", "type"),
		opaqueRefused:         counter("opaque_refused_total", "Refused messages, and skipped deliveries of events, whose payload is opaque or had to be.", "realm", "type", "reason"),
		refused:               counter("refused_total", "Refused messages, opaque or not.", "realm", "type", "reason"),
		dropped:               counter("dropped_total", "Skipped deliveries of events, opaque or not.", "realm", "reason"),
		opened:                counter("sessions_opened_total", "Sessions that were welcomed.", "realm"),
		closed:                counter("sessions_closed_total", "Sessions that ended, by how they did.", "realm", "reason"),
		turnedAway:            counter("turned_away_total", "Connections that were turned away before they became a session.", "reason"),
		authenticatorFailures: counter("authenticator_failures_total", "Logins that failed because the authenticator itself failed: for example a dynamic authenticator whose procedure is missing, fails, or returns an invalid result.", "realm"),
		limits:                counter("limits_total", "How often each limit was reached.", "limit"),
		sessions: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "blindfold_sessions", Help: "Sessions now.",
		}, []string{"realm", "transport", "serializer"}),
	}
}

func (v *vectors) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		v.clearMessages, v.clearBytes, v.deliveries, v.opaqueRefused, v.refused,
		v.dropped, v.opened, v.closed, v.turnedAway, v.authenticatorFailures, v.limits, v.sessions,
	}
}

func (v *vectors) realm(name string) *realm {
	r := &realm{opened: v.opened.WithLabelValues(name), authenticatorFailures: v.authenticatorFailures.WithLabelValues(name)}
	for t := range carriers {
		sent := typeNames[t]
		r.clear[t] = clear{v.clearMessages.WithLabelValues(name, sent), v.clearBytes.WithLabelValues(name, sent)}
		r.deliveries[t] = v.deliveries.WithLabelValues(name, deliveredNames[t])
		for f := range r.opaque[t] {
			for s := range r.opaque[t][f] {
				r.opaque[t][f][s] = newSizes(name, sent)
			}
		}
	}
	for n, reason := range wamp.Reasons {
		for t, sent := range typeNames {
			lateCounter(&r.refused[t][n], false, v.refused, name, sent, string(reason))
		}
		for t := range carriers {
			lateCounter(&r.opaqueRefused[t][n], alerting(reason), v.opaqueRefused, name, typeNames[t], string(reason))
		}
		lateCounter(&r.opaqueRefused[skippedEvent][n], alerting(reason), v.opaqueRefused, name, wamp.TypeEvent.String(), string(reason))
		lateCounter(&r.dropped[n], alerting(reason), v.dropped, name, string(reason))
		lateCounter(&r.closed[n], false, v.closed, name, string(reason))
	}
	for n, end := range router.Ends {
		if end != router.EndRefused {
			r.ended[n] = v.closed.WithLabelValues(name, string(end))
		}
	}
	for t, transport := range transports {
		for s, serializer := range serializers {
			r.sessions[t][s].create = func() prometheus.Gauge { return v.sessions.WithLabelValues(name, transport, serializer) }
		}
	}
	return r
}
