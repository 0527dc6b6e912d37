// Package client is a WAMP client: it subscribes, publishes, registers and
// calls over WebSocket, RawSocket or memory. With a Sealer plugged in, payloads
// are encrypted before they leave and opened after they arrive, so that the
// router between the peers routes what it can't read.
//
// A Session may be used concurrently. Everything that waits takes a context.
//
// # Sealing
//
// With Config.Sealer set, the topic of PUBLISH and EVENT, the procedure of
// CALL, INVOCATION, YIELD and RESULT, and the error URI of ERROR select the key.
// These hold:
//
//   - If sealing fails, or the URI has no key, nothing is sent, and the error is a
//     *SealError.
//   - A payload that cannot be opened reaches no handler. The error goes to
//     Config.OnError. An INVOCATION is answered with the error's URI, and for a
//     RESULT it is what Call returns.
//   - A clear payload is refused in the same way. Otherwise anyone between the two
//     clients could replace a sealed payload by a clear one.
//
// Config.AllowClear gives this up for URIs that have no key and begin with one of its
// prefixes: they are sent and accepted in the clear. A key takes precedence.
//
// Messages between this session and the router cannot be sealed. Topics and
// procedures that begin with "wamp." belong to the router: they are never sealed,
// and are accepted in the clear. So are ERRORs whose URI begins with "wamp." or
// "blindfold.": a router can end any call anyway, but do not trust such an error
// beyond that. (Error.Sealed says whether an error is genuine.) The router can
// therefore read the arguments of its own procedures, and URIs among them are not
// scrambled: the topic and the payload of a testament (wamp.session.add_testament)
// are sent in the clear, whatever key the topic has.
//
// An ERROR whose own URI has no key is sent without arguments if it answers a sealed
// INVOCATION, because these could reveal what was sealed, or if AllowClear does not
// list its URI. Without arguments it is accepted, and Error.Sealed is false.
package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Config says where to connect, as whom, and how. URL (or Connect) and Realm are
// required. A Config must not be changed while it is in use.
type Config struct {
	// URL of the router: ws://, wss://, rs://, rss:// or unix://, as in
	// transport.Dial.
	URL string
	// Connect, if set, makes the connection instead of URL. It is called again for
	// each reconnect.
	Connect func(context.Context) (transport.Conn, error)
	Realm   wamp.URI
	// Serializer of a connection to URL. Default wamp.JSON. Sealed payloads reach
	// only clients with the same serializer, unless the router reframes.
	Serializer wamp.Serializer
	TLS        *tls.Config
	Header     http.Header // sent with a WebSocket handshake

	// Auth are the methods offered to the router, the preferred one first. None
	// means anonymous. The router chooses, so the weakest method decides about the
	// security of all (a ticket, for example, is sent as it is). The methods must
	// agree on the details that HELLO has only once (AuthConflictError).
	Auth []Authenticator
	// AuthID and AuthRole are the identity and role to ask for; "" leaves the choice
	// to the methods and to the router.
	AuthID, AuthRole string
	Agent            string // Default "blindfold"

	// Sealer encrypts and decrypts payloads. With nil, payloads are clear, and no form
	// of opaque payload is announced.
	Sealer Sealer
	// AllowClear lists prefixes of URIs, by characters ("" is all). Beside a Sealer,
	// payloads on these URIs are sent and accepted in the clear if the sealer has no key
	// for them. Whatever has a key, and all other URIs, are sealed or refused.
	AllowClear []wamp.URI
	// Scrambler hides topics, procedures and error URIs from the router. With nil they
	// are sent as they are.
	Scrambler Scrambler

	// Reconnect makes the session survive the loss of its connection. With nil, the
	// session ends with the connection.
	Reconnect *Reconnect
	// OnState is called on each change of state after Dial, with the reason of a loss.
	// Like OnError it runs on the session's own goroutines: it must neither block nor
	// call Close. OnError may be called concurrently.
	OnState func(State, error)
	// OnError gets the errors that no caller waits for: an event that could not be
	// opened or queued, a subscription that could not be restored. If it is nil, they
	// are logged as warnings.
	OnError func(error)
	// Logger gets no payloads. Default: none.
	Logger *slog.Logger
	Limits Limits
}

// Limits bound what a session waits for and keeps. A zero field stands for its
// default.
type Limits struct {
	// Handshake is the time to connect and join. Default 10 s.
	Handshake time.Duration
	// Stall is the write timeout: the connection is closed if the router reads nothing
	// for so long. Default 10 s.
	Stall time.Duration
	// Goodbye is the time that Close waits for the router's GOODBYE. Default 2 s.
	Goodbye time.Duration
	// Kill is how long a Call with CancelMode "kill" waits for the callee once
	// its context is done. Default 10 s.
	Kill time.Duration
	// A router that has been silent for PingEvery is pinged, and the connection is
	// closed if it stays silent for another PingTimeout. Defaults 30 s and 10 s;
	// negative PingEvery switches pings off.
	PingEvery, PingTimeout time.Duration
	// Message is the size of the largest message accepted from a URL, in bytes.
	// Default 16 MiB.
	Message int
	// Queue and QueueBytes bound what waits for one slow consumer: the events
	// of a subscription, the progressive results of a call, the inputs of an
	// invocation. Defaults 1024 and 16 MiB (as encoded). One item is always
	// accepted, whatever its size.
	Queue, QueueBytes int
	// Invocations is how many may be handled at once. Further ones are answered with
	// wamp.error.unavailable. Default 1024.
	Invocations int
}

func (l Limits) withDefaults() Limits {
	l.Handshake = cmp.Or(l.Handshake, 10*time.Second)
	l.Stall = cmp.Or(l.Stall, 10*time.Second)
	l.Goodbye = cmp.Or(l.Goodbye, 2*time.Second)
	l.Kill = cmp.Or(l.Kill, 10*time.Second)
	l.PingEvery = cmp.Or(l.PingEvery, 30*time.Second)
	l.PingTimeout = cmp.Or(l.PingTimeout, 10*time.Second)
	l.Queue = cmp.Or(l.Queue, 1024)
	l.QueueBytes = cmp.Or(l.QueueBytes, 16<<20)
	l.Invocations = cmp.Or(l.Invocations, 1024)
	return l
}

// Authenticator is the client's side of one authentication method. Package
// auth/answer implements them. Sessions may share one.
type Authenticator = answer.Method

// Scrambler replaces URIs by others that only clients with the key understand.
// Package cryptobox implements one. It must be safe for concurrent use.
type Scrambler interface {
	// Scramble returns the URI or pattern to send in place of uri.
	Scramble(uri wamp.URI, match wamp.Match) (wamp.URI, error)
	// Restore returns what a URI that came from the router stands for, if that
	// is known.
	Restore(uri wamp.URI) (clear wamp.URI, ok bool)
}

// Dial connects to the router and joins the realm. ctx bounds these two steps only.
// If the router refuses, the error is an *Error with the reason of its ABORT. It is
// also an *Error if this side refuses: if Auth cannot answer the challenge, or the
// router has not proved its identity.
func Dial(ctx context.Context, c Config) (*Session, error) {
	s, err := newSession(c)
	if err != nil {
		return nil, err
	}
	l, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	s.start(l)
	return s, nil
}

// Join joins the realm over an existing connection, such as one end of
// transport.Pipe. It takes ownership of conn, and closes it if it fails. The session
// cannot reconnect.
func Join(ctx context.Context, conn transport.Conn, c Config) (*Session, error) {
	c.Connect = func(context.Context) (transport.Conn, error) { return conn, nil }
	c.Reconnect = nil
	s, err := Dial(ctx, c)
	if err != nil {
		_ = conn.Close()
	}
	return s, err
}

var (
	errNoRealm = errors.New("client: Config.Realm is not a URI")
	errNoURL   = errors.New("client: Config needs a URL or Connect")
)

func newSession(c Config) (*Session, error) {
	switch {
	case !c.Realm.Valid(wamp.MatchExact):
		return nil, errNoRealm
	case c.Connect == nil && c.URL == "":
		return nil, errNoURL
	}
	c.Limits = c.Limits.withDefaults()
	c.Agent = cmp.Or(c.Agent, "blindfold")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Connect == nil {
		c.Connect = func(ctx context.Context) (transport.Conn, error) {
			return transport.Dial(ctx, c.URL, transport.DialOptions{
				Serializer: c.Serializer, TLS: c.TLS, MaxMessage: c.Limits.Message, Header: c.Header,
			})
		}
	}
	s := &Session{
		config:        c,
		topics:        make(map[topicKey]*topic),
		registrations: make(map[*Registration]struct{}),
		done:          make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s, nil
}

// helloRoles returns the roles of HELLO. A session that cannot open sealed
// payloads does not announce them: the router then refuses them with a reason.
func helloRoles(sealing bool) wamp.Roles {
	role := func(features ...wamp.Feature) wamp.Role {
		r := wamp.Role{Present: true, Features: wamp.NewFeatures(features...)}
		if sealing {
			r.Features.Add(wamp.PayloadPassthruMode)
			r.Features.Add(wamp.PayloadTransparency)
			r.Features.Add(wamp.PayloadEncryptionCryptobox)
		}
		return r
	}
	return wamp.Roles{
		Publisher: role(wamp.PublisherIdentification, wamp.PublisherExclusion, wamp.SubscriberBlackwhiteListing),
		Subscriber: role(wamp.PublisherIdentification, wamp.PatternBasedSubscription,
			wamp.SubscriptionRevocation),
		Caller: role(wamp.ProgressiveCallResults, wamp.ProgressiveCallInvocations, wamp.CallCanceling,
			wamp.CallTimeout, wamp.CallerIdentification),
		Callee: role(wamp.ProgressiveCallResults, wamp.ProgressiveCallInvocations, wamp.CallCanceling,
			wamp.CallTimeout, wamp.CallerIdentification, wamp.PatternBasedRegistration,
			wamp.SharedRegistration, wamp.RegistrationRevocation),
	}
}
