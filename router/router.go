// Package router is a WAMP router: realms, sessions, a broker and a dealer. It opens no
// sockets: package transport accepts connections, and Accept turns them into sessions.
//
// The path of a message: session.serve reads it. session.message passes it, by its
// type, to broker.publish, dealer.call or a similar method. That method asks the
// interceptors, finds the receivers and puts a frame into the send queue of each
// (batch.deliver, sendqueue.Queue.Put). At the end of the read batch, batch.flush
// writes the queues out. All of this happens on the goroutine that reads from the
// sender. A payload is passed on as the bytes that came off the wire.
package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Config configures a router.
type Config struct {
	Realms    []RealmConfig
	Observers []Observer
	Limits    Limits
	// Logger gets what observers do not see: failing hooks, lost connections.
	// Default: nothing is logged.
	Logger *slog.Logger
	// Cluster connects the realms to those of other nodes; nil: a single node.
	Cluster Cluster
	// Agent is sent in WELCOME.Details.agent. Default "blindfold".
	Agent string
}

// Router routes between the sessions of its realms. Its methods may be called
// concurrently.
type Router struct {
	realms        map[string]*realm
	order         []*realm
	observers     []Observer
	currentLimits atomic.Pointer[limitsInForce]
	shedding      sync.Mutex
	queued        atomic.Int64 // bytes waiting in all send queues; sendqueue.Queue.Total
	log           *slog.Logger
	agent         string
	timeouts      *timeouts

	mu       sync.Mutex
	sessions int // connections in Accept
	closing  bool
	idle     sync.Cond // signalled when sessions falls to 0
}

// New makes a router.
func New(c Config) (*Router, error) {
	r := &Router{
		realms:    make(map[string]*realm),
		observers: c.Observers,
		log:       c.Logger,
		agent:     c.Agent,
	}
	r.currentLimits.Store(newLimits(c.Limits))
	r.idle.L = &r.mu
	setDefault(&r.agent, "blindfold")
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.timeouts = newTimeouts(r.expire)
	if len(c.Realms) == 0 {
		return nil, errors.New("router: no realm is configured")
	}
	for _, rc := range c.Realms {
		if !wamp.URI(rc.Name).Valid(wamp.MatchExact) {
			return nil, fmt.Errorf("router: realm %q: not a URI", rc.Name)
		}
		if r.realms[rc.Name] != nil {
			return nil, fmt.Errorf("router: realm %q is configured twice", rc.Name)
		}
		m, err := newRealm(rc, r, c.Cluster)
		if err != nil {
			r.closeHistories()
			return nil, err
		}
		r.realms[rc.Name] = m
		r.order = append(r.order, m)
	}
	return r, nil
}

// Accept takes over a connection, serves it from HELLO to its end, and closes it. It
// returns once the session has been established or refused. It is the Handle of a
// transport.Server. When the router ends a session, the connection stays open a little
// longer, so that the client can read the reason.
func (r *Router) Accept(conn transport.Conn) {
	if refusal := r.admit(); refusal != nil {
		r.reject(&pendingConn{conn: conn}, refusal)
		return
	}
	a := &pendingConn{conn: conn}
	s, err := r.handshake(a)
	if err != nil {
		r.release()
		var refusal *wamp.Refusal
		if errors.As(err, &refusal) {
			r.reject(a, refusal)
			return
		}
		_ = conn.Close()
		return
	}
	var w keepalive
	w.rearm(s)
	go s.run(w)
}

// deadline returns the time by which the connection must have a session.
func (r *Router) deadline(conn transport.Conn) time.Time {
	since := conn.Info().Since
	if since.IsZero() {
		since = time.Now()
	}
	return since.Add(r.limits().Hello)
}

func (r *Router) isClosing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closing
}

// admit counts a connection, or returns why it can't be served.
func (r *Router) admit() *wamp.Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return shuttingDown
	}
	if r.sessions >= r.limits().Sessions {
		return routerFull
	}
	r.sessions++
	return nil
}

func (r *Router) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions--; r.sessions == 0 {
		r.idle.Broadcast()
	}
}

var (
	shuttingDown = &wamp.Refusal{Reason: wamp.ReasonShutdown, URI: wamp.CloseSystemShutdown,
		Text: "the router is shutting down"}
	routerFull = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrUnavailable, Limit: wamp.LimitSessions,
		Text: "the router's limit of sessions is reached (limits.sessions): try again later"}
)

// reject ends a connection that has no session: it sends ABORT, if the transport still
// works, and closes.
func (r *Router) reject(a *pendingConn, refusal *wamp.Refusal) {
	conn := a.conn
	r.notify(a.observation(Rejected, refusal))
	err := sendNow(conn, &wamp.Abort{Reason: refusal.URI, Details: wamp.Closing{Message: refusal.Text}}, r.limits().WriteTimeout)
	if closing := conn.Framing().AppendFrame(nil, transport.OpClose, closeNormal); err == nil && len(closing) > 0 {
		_, err = conn.Write([][]byte{closing}, r.limits().WriteTimeout)
	}
	if err == nil && conn.CloseWrite() == nil {
		conn.Linger(r.limits().linger(r.deadline(conn)))
	}
	_ = conn.Close()
}

// sendNow writes a message on a connection that has no session yet.
func sendNow(conn transport.Conn, m wamp.Message, stall time.Duration) error {
	body, err := codec.Append(nil, conn.Info().Serializer, m)
	if err != nil {
		return err
	}
	_, err = conn.Write([][]byte{conn.Framing().AppendFrame(nil, transport.OpMessage, body)}, stall)
	return err
}

// Rejected reports to the observers that the transport has rejected a connection before
// Accept. It is the Rejected of a transport.Server.
func (r *Router) Rejected(refusal *wamp.Refusal, from *transport.Info) {
	r.notify(Observation{Kind: Rejected, Refusal: refusal, Connection: from})
}

func (r *Router) notify(o Observation) {
	for _, observer := range r.observers {
		observer.Observe(&o)
	}
}

// expire ends calls whose timeout has passed.
func (r *Router) expire(due []*invocation) {
	b := r.newBatch()
	defer b.end()
	for _, inv := range due {
		inv.caller.realm.dealer.expire(b, inv)
		b.makeRoom()
	}
}

// textPayload returns the arguments of an ERROR that the router itself sends: its text.
func (r *Router) textPayload(s wamp.Serializer, text string) wamp.Payload {
	p, err := codec.EncodePayload(s, []any{text}, nil)
	if err != nil {
		r.log.Error("cannot encode an error's text", "error", err)
	}
	return p
}

// Ready returns nil if the router takes new sessions, and otherwise why it does not.
func (r *Router) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closing:
		return shuttingDown
	case r.sessions >= r.limits().Sessions:
		return routerFull
	}
	return nil
}

// Sessions counts the connections that the router serves, from HELLO to their end.
func (r *Router) Sessions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions
}

// Stats counts what each realm holds, in the order of the configuration.
func (r *Router) Stats() []RealmStats {
	out := make([]RealmStats, len(r.order))
	for i, m := range r.order {
		out[i] = m.stats()
	}
	return out
}

// Close shuts the router down. New connections are rejected. Calls in flight may finish
// until ctx ends. Then all sessions get GOODBYE (wamp.close.system_shutdown), and Close
// returns when all of them have ended.
func (r *Router) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.drain(ctx)
	for _, m := range r.order {
		for _, s := range m.allSessions() {
			s.noEndEvents.Store(true)
			s.sendGoodbye(shuttingDown, wamp.CloseSystemShutdown, shuttingDown.Text)
		}
	}
	r.mu.Lock()
	for r.sessions > 0 {
		r.idle.Wait()
	}
	r.mu.Unlock()
	r.timeouts.close()
	for _, m := range r.order {
		m.meta.events.close()
	}
	return r.closeHistories()
}

func (r *Router) closeHistories() (err error) {
	for _, m := range r.order {
		err = errors.Join(err, m.historyStore.Close())
	}
	return err
}

// drain waits until no call is in flight, or ctx ends.
func (r *Router) drain(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		busy := 0
		for _, st := range r.Stats() {
			busy += st.Invocations
		}
		if busy == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
