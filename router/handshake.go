package router

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// pendingConn is a connection without a session, and what is known about it.
type pendingConn struct {
	conn          transport.Conn
	realm, method string // as configured; "" until the client has named them
	login         *Login // nil until the client has named a realm
}

func (a *pendingConn) observation(k Kind, refusal *wamp.Refusal) Observation {
	return Observation{Kind: k, Realm: a.realm, Method: a.method, Refusal: refusal, Login: a.login, Connection: a.conn.Info()}
}

// handshake takes a connection from HELLO to WELCOME (WAMP, "Session Establishment").
// If it returns a *wamp.Refusal, the caller sends ABORT; after another error, nothing
// can be sent.
func (r *Router) handshake(a *pendingConn) (*session, error) {
	conn := a.conn
	deadline := r.deadline(conn)
	_ = conn.SetReadDeadline(deadline)
	conn.SetReadLimit(r.limits().FirstMessage)
	m, err := r.readMessage(a)
	if err != nil {
		return nil, err
	}
	if _, aborted := m.(*wamp.Abort); aborted {
		return nil, errClientAborted
	}
	hello, ok := m.(*wamp.Hello)
	if !ok {
		return nil, helloFirst
	}
	realm := r.realms[string(hello.Realm)]
	if realm != nil {
		a.realm, a.login = realm.name, &Login{Claimed: hello.Details.AuthID}
	}
	switch {
	case !hello.Realm.Valid(wamp.MatchExact):
		return nil, wamp.Violation("HELLO.Realm is not a URI")
	case realm == nil:
		return nil, noSuchRealm
	case !hello.Details.Roles.Any():
		return nil, wamp.Violation("HELLO.Details.roles names none of publisher, subscriber, caller, callee")
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	hooks := realm.hooks.Load()
	identity, method, id, err := r.authenticate(ctx, a, hooks.authenticators, hello)
	if err != nil {
		return nil, err
	}
	info := conn.Info()
	s := &session{
		realm:  realm,
		router: r,
		trust:  realm.trustIn(identity.AuthRole),
		out:    sendqueue.Queue{Conn: conn, Total: &r.queued},
		peer: wamp.Peer{
			Session: id, Realm: realm.name,
			AuthID: identity.AuthID, AuthRole: identity.AuthRole, AuthMethod: method, AuthProvider: identity.Provider,
			Serializer: info.Serializer, Transport: info.Transport, Address: info.Address,
			Agent: hello.Details.Agent, Roles: hello.Details.Roles, MaxMessage: info.MaxSend,
		},
	}
	s.out.SetLimits(&r.limits().queue)
	s.out.OnStall = func() { s.disconnectSlow(nil, writeTimedOut) }
	_ = conn.SetReadDeadline(time.Time{})
	conn.SetReadLimit(r.limits().Message)
	b := r.newBatch()
	defer b.end()
	if refusal := s.enter(b, identity, hooks); refusal != nil {
		return nil, refusal
	}
	r.notify(Observation{Kind: SessionOpened, Realm: s.peer.Realm, Peer: &s.peer})
	realm.meta.joined(b, s)
	return s, nil
}

// enter adds the session to its realm and queues WELCOME. It holds s.mu, so that a
// goroutine that ends the session at once can't queue GOODBYE before WELCOME.
func (s *session) enter(b *batch, identity *Identity, hooks *hooks) *wamp.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.realm.add(s)
	welcome := b.encode(&wamp.Welcome{Session: s.peer.Session, Details: wamp.WelcomeDetails{
		Roles: s.realm.hooks.Load().features, Agent: s.router.agent, Realm: s.peer.Realm,
		AuthID: s.peer.AuthID, AuthRole: s.peer.AuthRole, AuthMethod: s.peer.AuthMethod,
		AuthProvider: s.peer.AuthProvider, AuthExtra: identity.Extra,
	}}, nil, s)
	refusal := welcome.refusal
	if s.realm.hooks.Load() != hooks {
		refusal = reloadedDuringLogin
	}
	if s.router.isClosing() { // Close may have missed this session
		refusal = shuttingDown
	}
	if refusal != nil {
		s.ending.Store(true)
		s.realm.remove(s)
		return refusal
	}
	s.out.Put(welcome.frame, nil)
	b.dirty = append(b.dirty, s)
	return nil
}

// authenticate identifies the client, by the first of its methods that the realm
// serves.
func (r *Router) authenticate(ctx context.Context, a *pendingConn, authenticators []Authenticator, hello *wamp.Hello) (*Identity, string, wamp.ID, error) {
	methods := hello.Details.AuthMethods
	if len(methods) == 0 {
		methods = []string{"anonymous"}
	}
	for _, method := range methods {
		at := slices.IndexFunc(authenticators, func(a Authenticator) bool { return a.Method() == method })
		if at < 0 {
			continue
		}
		a.method = method
		id := wamp.RandomID()
		var challengeErr error // counts, whatever the authenticator returns
		identity, err := authenticators[at].Authenticate(ctx, &Handshake{
			Hello: hello, Connection: a.conn.Info(), Session: id,
			failed: func(err error) { r.authenticatorFailed(a, err) },
			Challenge: func(extra map[string]any) (*wamp.Authenticate, error) {
				answer, err := r.challenge(a, extra)
				if err != nil {
					challengeErr = err
				}
				return answer, err
			},
		})
		switch {
		case challengeErr != nil:
			return nil, "", 0, challengeErr
		case err == nil && identity.AuthRole == LocalRole:
			r.authenticatorFailed(a, errors.New("it gave the router's own role"))
			return nil, "", 0, authenticationFailed
		case err == nil:
			return identity, method, id, nil
		}
		var refusal *wamp.Refusal
		if errors.As(err, &refusal) {
			a.login.setDenied(err, refusal)
			return nil, "", 0, refusal
		}
		r.authenticatorFailed(a, err)
		return nil, "", 0, authenticationFailed
	}
	return nil, "", 0, noMatchingMethod
}

// setDenied records what an authenticator's error says beyond the refusal in it.
func (l *Login) setDenied(err error, refusal *wamp.Refusal) {
	var d *Denied
	if errors.As(err, &d) {
		l.AuthID = d.AuthID
	}
	if err != error(refusal) {
		l.Cause = err.Error()
	}
}

// authenticatorFailed reports to the observers what no client is shown.
func (r *Router) authenticatorFailed(a *pendingConn, err error) {
	r.notify(a.observation(AuthenticatorFailed, &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrAuthenticationFailed, Text: err.Error()}))
}

// challenge sends a CHALLENGE and reads the AUTHENTICATE.
func (r *Router) challenge(a *pendingConn, extra map[string]any) (*wamp.Authenticate, error) {
	if extra == nil {
		extra = map[string]any{}
	}
	if err := sendNow(a.conn, &wamp.Challenge{AuthMethod: a.method, Extra: extra}, r.limits().WriteTimeout); err != nil {
		return nil, err
	}
	m, err := r.readMessage(a)
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *wamp.Authenticate:
		return m, nil
	case *wamp.Abort:
		return nil, errClientAborted
	}
	return nil, wamp.Violation("unexpected message type: AUTHENTICATE or ABORT must follow CHALLENGE")
}

// errClientAborted ends a handshake silently: an ABORT is not answered (WAMP, "Session
// Establishment").
var errClientAborted = errors.New("the client aborted")

// decoderPool holds the decoders of handshakes.
var decoderPool = sync.Pool{New: func() any { return codec.NewDecoder() }}

// readMessage reads one message on a connection that has no session yet. The message
// belongs to the caller.
func (r *Router) readMessage(a *pendingConn) (wamp.Message, error) {
	conn := a.conn
	for {
		frame, err := conn.Read()
		if err != nil {
			var broken *transport.ProtocolError
			if errors.As(err, &broken) {
				r.notify(a.observation(Rejected, brokenFrame(broken, wamp.LimitFirstMessage)))
				if broken.CloseCode != 0 {
					closing := conn.Framing().AppendFrame(nil, transport.OpClose, transport.CloseBody(broken.CloseCode, broken.Text))
					_, _ = conn.Write([][]byte{closing}, r.limits().WriteTimeout)
				}
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil, helloTimeout
			}
			return nil, err
		}
		switch frame.Op {
		case transport.OpMessage:
			d := decoderPool.Get().(*codec.Decoder)
			d.Bound(r.limits().Nesting, r.limits().Elements)
			m, err := d.Decode(conn.Info().Serializer, frame.Body)
			d.Forget() // the message may hold a password
			decoderPool.Put(d)
			return m, err
		case transport.OpPing:
			pong := conn.Framing().AppendFrame(nil, transport.OpPong, frame.Body)
			if _, err := conn.Write([][]byte{pong}, r.limits().WriteTimeout); err != nil {
				return nil, err
			}
		case transport.OpClose:
			echo := conn.Framing().AppendFrame(nil, transport.OpClose, frame.Body)
			_, _ = conn.Write([][]byte{echo}, r.limits().WriteTimeout)
			return nil, transport.ErrClosed
		}
	}
}

// brokenFrame returns the refusal for a transport's protocol error. limit is the limit
// on messages in force.
func brokenFrame(e *transport.ProtocolError, limit wamp.Limit) *wamp.Refusal {
	if e.TooBig {
		return &wamp.Refusal{Reason: wamp.ReasonSize, URI: wamp.ErrPayloadSizeExceeded, Text: e.Text, Fatal: true, Limit: limit}
	}
	return wamp.Violation(e.Text)
}

// Anonymous admits every client, with the given role and a random authid (WAMP,
// "Authentication Methods": anonymous).
func Anonymous(role string) Authenticator { return anonymous(role) }

type anonymous string

func (anonymous) Method() string { return "anonymous" }

func (role anonymous) Authenticate(context.Context, *Handshake) (*Identity, error) {
	return &Identity{AuthID: randomAuthID(), AuthRole: string(role), Provider: "static"}, nil
}

// randomAuthID returns 20 letters and digits that nobody can predict.
func randomAuthID() string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	var out [20]byte
	for i := 0; i < len(out); i += 10 {
		for j, bits := i, uint64(wamp.RandomID()); j < i+10; j, bits = j+1, bits>>5 {
			out[j] = alphabet[bits&31]
		}
	}
	return string(out[:])
}

var (
	helloTimeout = &wamp.Refusal{Reason: wamp.ReasonProtocol, URI: wamp.ErrTimeout, Fatal: true, Limit: wamp.LimitHello,
		Text: "handshake timeout (limits.hello): no session was established in time"}
	helloFirst  = wamp.Violation("the first message must be HELLO")
	noSuchRealm = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchRealm, Text: "no such realm"}

	reloadedDuringLogin = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrUnavailable,
		Text: "the router's configuration was reloaded during the login: connect again"}
	noMatchingMethod = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNoMatchingAuthMethod,
		Text: "this realm serves none of HELLO.Details.authmethods"}
	authenticationFailed = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrAuthenticationFailed,
		Text: "authentication failed"}
)
