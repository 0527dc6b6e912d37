// Package adapter connects clients to a router that is not this project's, through
// this project's transports and codec: a Client reads and writes the messages of one
// connection, within limits, and asks and tells the same interceptors and observers
// as a router.Router does. What becomes of a message between the two is the business
// of whoever uses the package; see adapter/nexus, a module of its own.
package adapter

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Options are what all clients of an adapter have in common.
type Options struct {
	// Interceptors are asked in this order, as those of a router.RealmConfig are.
	Interceptors []router.Interceptor
	// Observers are told, as those of a router.Config are.
	Observers []router.Observer
	// Limits bound each client. Of them, a Client keeps Hello, FirstMessage, Message,
	// Queue, BackpressureTimeout, WriteTimeout, CloseTimeout, PingEvery, PingTimeout,
	// Nesting and Elements. A zero field stands for its default.
	Limits router.Limits
	// Logger may be nil.
	Logger *slog.Logger
}

// Adapter holds Options. Its methods may be called concurrently.
type Adapter struct {
	options  Options
	queue    sendqueue.Limits
	features []wamp.Feature
}

// New returns an Adapter. The slices of o must not change afterwards.
func New(o Options) *Adapter {
	o.Limits = o.Limits.WithDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Adapter{options: o, queue: sendqueue.Limits{Bytes: o.Limits.Queue, BackpressureTimeout: o.Limits.BackpressureTimeout,
		WriteTimeout: o.Limits.WriteTimeout, CloseTimeout: o.Limits.CloseTimeout}}
	for _, i := range o.Interceptors {
		if announcer, ok := i.(router.Announcer); ok {
			a.features = append(a.features, announcer.Features()...)
		}
	}
	return a
}

// Limits returns the limits, with defaults in place of zeros.
func (a *Adapter) Limits() *router.Limits { return &a.options.Limits }

// Features returns what is to be announced in WELCOME for the interceptors.
func (a *Adapter) Features() []wamp.Feature { return a.features }

// Observe tells the observers.
func (a *Adapter) Observe(o router.Observation) {
	for _, observer := range a.options.Observers {
		observer.Observe(&o)
	}
}

// Receive asks the interceptors whether an inbound message may go on. It returns nil if so.
func (a *Adapter) Receive(t *wamp.RoutedMessage) *wamp.Refusal {
	for _, i := range a.options.Interceptors {
		if err := i.Receive(t); err != nil {
			return a.refusal(err)
		}
	}
	return nil
}

// Deliver asks the interceptors whether an outbound message may go to a receiver. It
// returns nil if so.
func (a *Adapter) Deliver(t *wamp.RoutedMessage, to *wamp.Peer) *wamp.Refusal {
	for _, i := range a.options.Interceptors {
		if err := i.Deliver(t, to); err != nil {
			return a.refusal(err)
		}
	}
	return nil
}

func (a *Adapter) refusal(err error) *wamp.Refusal {
	r, meant := router.InterceptorRefusal(err)
	if !meant {
		a.options.Logger.Warn("interceptor failed", "error", err)
	}
	return r
}

var encoders = sync.Pool{New: func() any { return codec.NewEncoder() }}

// Frame appends m to dst, as a frame for receivers of a serializer and a framing, and
// returns the size of the message in it. A payload of another serializer is converted,
// if it may be. If there is a refusal, dst comes back as it was.
func Frame(dst []byte, m wamp.Message, s wamp.Serializer, f transport.Framing) (frame []byte, size int, r *wamp.Refusal) {
	room := 64
	if carrier, ok := m.(wamp.Carrier); ok {
		p, _ := carrier.Carried()
		if from := p.Serializer(); from != 0 && from != s {
			converted, err := codec.Convert(p, s)
			if err != nil {
				return dst, 0, inconvertible(err)
			}
			original := *p
			*p = converted
			defer func() { *p = original }()
		}
		room += p.WireSize()
	}
	encoder := encoders.Get().(*codec.Encoder)
	defer encoders.Put(encoder)
	start := len(dst)
	b := f.Begin(dst, room)
	body := len(b)
	b, err := encoder.Append(b, s, m)
	if err != nil {
		return dst, 0, inconvertible(err)
	}
	size = len(b) - body
	if b = f.Finish(b, start, body, transport.OpMessage); b == nil {
		return dst, 0, router.MessageTooLarge
	}
	return b, size, nil
}

func inconvertible(err error) *wamp.Refusal {
	var r *wamp.Refusal
	if errors.As(err, &r) {
		return r
	}
	return &wamp.Refusal{Reason: wamp.ReasonInconvertible, URI: wamp.ErrInvalidArgument,
		Text: "the payload has no counterpart in the receiver's serializer"}
}
