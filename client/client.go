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
// For a URI that has a key these hold:
//
//   - What can't be sealed is not sent; the error is a *SealError.
//   - What can't be opened reaches no handler. It is reported to Config.OnError,
//     answers an INVOCATION with the fitting error URI, and is what Call returns
//     for a RESULT.
//   - What arrives in the clear is refused like what can't be opened: whoever
//     sits on the way could otherwise replace a sealed payload by one of his
//     own. Config.AllowClear gives this protection up.
//
// What is between this session and the router can't be sealed. Topics and procedures that
// begin with "wamp." are the router's: they are never sealed, and are accepted
// in the clear. So are ERRORs whose URI begins with "wamp." or "blindfold."
// (Error.Sealed tells what is genuine): a router can end any call anyway, but
// no such error should be believed beyond that. The arguments of the router's
// procedures are hence readable, and a URI among them is not scrambled: the topic
// and the payload of a testament (wamp.session.add_testament) go in the clear,
// whatever key the topic has.
//
// An ERROR in answer to a sealed INVOCATION whose own URI has no key is sent
// without arguments, since these could tell what was sealed.
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

// Config says where to connect, as whom, and how. A URL (or Connect) and a
// Realm are all that it needs. It must not be changed while in use.
type Config struct {
	// URL of the router: ws://, wss://, rs://, rss:// or unix://, as in
	// transport.Dial.
	URL string
	// Connect makes the connection in place of URL, if it is set. It is called
	// again for each reconnect.
	Connect func(context.Context) (transport.Conn, error)
	Realm   wamp.URI
	// Serializer of a connection made by URL. Default wamp.JSON. Sealed
	// payloads reach only peers with the same serializer, unless the router
	// allows otherwise.
	Serializer wamp.Serializer
	TLS        *tls.Config
	Header     http.Header // sent with a WebSocket handshake

	// Auth are the methods offered to the router, the preferred one first. None
	// means anonymous. The router chooses among them: one that is weaker than
	// the others (a ticket is shown as it is) makes all of them as weak. They have
	// to agree on what HELLO says once for all of them (AuthConflictError).
	Auth []Authenticator
	// AuthID and AuthRole are who to be and in which role; "" leaves it to the
	// methods and to the router.
	AuthID, AuthRole string
	Agent            string // Default "blindfold"

	// Sealer encrypts and decrypts payloads; nil leaves all in the clear and
	// announces no form of opaque payload.
	Sealer Sealer
	// AllowClear accepts clear payloads on URIs that have a key. It allows
	// everyone on the way to put in payloads of his own.
	AllowClear bool
	// Scrambler hides topics, procedures and error URIs from the router; nil
	// leaves them as they are.
	Scrambler Scrambler

	// Reconnect makes the session outlive its connection; nil ends it with it.
	Reconnect *Reconnect
	// OnState is told of each change of state after Dial, with the reason of a
	// loss. Like OnError it is called on the session's own goroutines: it must neither
	// block nor call Close. OnError may be called concurrently.
	OnState func(State, error)
	// OnError is told what went wrong where nobody waits for it: an event that
	// couldn't be opened or queued, a subscription that couldn't be restored.
	// Without it these are logged as warnings.
	OnError func(error)
	// Logger gets no payloads. Default: none.
	Logger *slog.Logger
	Limits Limits
}

// Limits bound what a session waits for and holds. A zero field stands for its
// default.
type Limits struct {
	// Handshake is the time to connect and join. Default 10 s.
	Handshake time.Duration
	// Stall is how long the router may take no byte of what is written before
	// the connection is given up. Default 10 s.
	Stall time.Duration
	// Goodbye is the time that Close waits for the router's GOODBYE. Default 2 s.
	Goodbye time.Duration
	// Kill is how long a Call with CancelMode "kill" waits for the callee once
	// its context is done. Default 10 s.
	Kill time.Duration
	// PingEvery and PingTimeout: a router that has been silent for PingEvery is
	// pinged, and given up if it stays silent for PingTimeout more. Defaults
	// 30 s and 10 s; negative PingEvery means never.
	PingEvery, PingTimeout time.Duration
	// Message is the size of the largest message accepted from a URL, in bytes.
	// Default 16 MiB.
	Message int
	// Queue and QueueBytes bound what waits for one slow consumer: the events
	// of a subscription, the progressive results of a call, the inputs of an
	// invocation. Defaults 1024 and 16 MiB (as encoded). One item is always
	// taken, whatever its size.
	Queue, QueueBytes int
	// Invocations is how many may be handled at once. Those over it are
	// answered with wamp.error.unavailable. Default 1024.
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
// auth/answer has those that there are. Sessions may share one.
type Authenticator = answer.Method

// Scrambler replaces URIs by others that only those with the key understand.
// Package cryptobox has one. It may be used concurrently.
type Scrambler interface {
	// Scramble returns the URI or pattern to send in place of uri.
	Scramble(uri wamp.URI, match wamp.Match) (wamp.URI, error)
	// Restore returns what a URI that came from the router stands for, if that
	// is known.
	Restore(uri wamp.URI) (clear wamp.URI, ok bool)
}

// Dial connects to the router and joins the realm. ctx bounds both, and no
// more. The router's refusal shows as an *Error with the reason of its ABORT, and
// so does one on this side: of a challenge that Auth can't answer, or a router
// that has not proved itself.
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
// transport.Pipe. It takes conn over, and closes it if it fails. The session
// can't reconnect.
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

// announced returns the roles of HELLO. A session that can't open sealed
// payloads does not claim to: the router then refuses them with a reason.
func announced(sealing bool) wamp.Roles {
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
