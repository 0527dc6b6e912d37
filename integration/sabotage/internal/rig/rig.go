//go:build sabotage

// Package rig is a router like cmd/router, with one thing wrong with it: what is
// sabotaged is up to the programs that use it. They are there to be found out by
// seal verify.
package rig

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blindfold-wamp/blindfold/metrics"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Sabotage is what is wrong with a router.
type Sabotage struct {
	// Interceptors run after that of passthrough.
	Interceptors []router.Interceptor
	// Rules changes the rules of passthrough.
	Rules func(*passthrough.Config)
	// Conn wraps the connections.
	Conn func(transport.Conn) transport.Conn
	// Metrics are added to those of the router.
	Metrics []prometheus.Collector
	// Refusal changes what passthrough refuses with.
	Refusal func(*wamp.Refusal)
}

// Main runs the router until SIGTERM, sabotaged as the option -as says. It listens
// where the configuration of seal verify says, and has its rules; it does not read the
// file.
func Main(all map[string]func() Sabotage) {
	flag.String("config", "", "not read")
	name := flag.String("as", "", "the sabotage")
	flag.Parse()
	make := all[*name]
	if make == nil {
		fmt.Fprintf(os.Stderr, "-as: unknown sabotage %q; there are %q\n", *name, slices.Sorted(maps.Keys(all)))
		os.Exit(2)
	}
	if err := run(make()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Check ends the program if what it needs for its sabotage did not work: a
// saboteur that does nothing wrong shows nothing.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "sabotage:", err)
		os.Exit(1)
	}
}

// refusing changes the refusals of an interceptor.
type refusing struct {
	router.Interceptor
	change func(*wamp.Refusal)
}

func (r refusing) Receive(m *wamp.RoutedMessage) error { return r.changed(r.Interceptor.Receive(m)) }

func (r refusing) Deliver(m *wamp.RoutedMessage, to *wamp.Peer) error {
	return r.changed(r.Interceptor.Deliver(m, to))
}

func (r refusing) changed(err error) error {
	var refusal *wamp.Refusal
	if r.change == nil || !errors.As(err, &refusal) {
		return err
	}
	other := *refusal
	r.change(&other)
	return &other
}

func run(s Sabotage) error {
	rules, err := verifyRules()
	if err != nil {
		return err
	}
	if s.Rules != nil {
		s.Rules(&rules)
	}
	police, err := passthrough.New(rules)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.Metrics...)
	observer, err := metrics.New(registry, metrics.Options{Realms: []string{"realm1"}, Version: "sabotaged"})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r, err := router.New(router.Config{
		Realms: []router.RealmConfig{{
			Name:           "realm1",
			Authenticators: []router.Authenticator{router.Anonymous("anonymous")},
			Interceptors:   append([]router.Interceptor{refusing{police, s.Refusal}}, s.Interceptors...),
		}},
		Observers: []router.Observer{observer, router.LogTo(log)},
		Logger:    log,
	})
	if err != nil {
		return err
	}
	observer.Watch(r)
	return serve(s, r, registry)
}

// verifyRules are those of the configuration that seal verify makes.
func verifyRules() (passthrough.Config, error) {
	schema, err := passthrough.CompileSchema("schema.json", []byte(`{"properties": {"args": {"maxItems": 0}}}`))
	return passthrough.Config{
		Require:    []passthrough.Rule{{URI: "com.blindfold.verify.required", Match: wamp.MatchPrefix}},
		Validation: []passthrough.Validation{{URI: "com.blindfold.verify.validated", Schema: schema}},
	}, err
}

func serve(s Sabotage, r *router.Router, registry *prometheus.Registry) error {
	handle := r.Accept
	if s.Conn != nil {
		handle = func(c transport.Conn) { r.Accept(s.Conn(c)) }
	}
	server := &transport.Server{Handle: handle, Rejected: r.Rejected}
	wamps, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = server.Serve(wamps, transport.ListenOptions{}) }()
	go func() { _ = http.Serve(admin, metrics.Handler(registry, r.Ready)) }()
	tell(os.Stdout, wamps.Addr(), admin.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	return nil
}

func tell(w io.Writer, wamps, admin net.Addr) {
	fmt.Fprintf(w, "WebSocket  ws://%s/ws, and RawSocket  rs://%s\nadmin      http://%s/metrics\n", wamps, wamps, admin)
}

// Carried returns the payload of a message, if it has one, and its attributes.
func Carried(t *wamp.RoutedMessage) (*wamp.Payload, *wamp.Attributes) {
	c, ok := t.Message.(wamp.Carrier)
	if !ok {
		return nil, nil
	}
	p, a := c.Carried()
	if p.Elements() == 0 {
		return nil, nil
	}
	return p, a
}

// About returns the URI that a message's payload is sealed for, and whether the
// originator's side has sealed it.
func About(t *wamp.RoutedMessage) (uri wamp.URI, originator bool) {
	switch m := t.Message.(type) {
	case *wamp.Publish, *wamp.Call:
		return t.URI, true
	case *wamp.Error:
		return m.Error, false
	}
	return t.URI, false
}

// Handover is a payload that one process hands another.
type Handover struct {
	URI        wamp.URI
	Originator bool
	Attributes wamp.Attributes
	Data       []byte
}

// Receiver is an Interceptor that looks at what comes in.
type Receiver func(t *wamp.RoutedMessage) error

// Receive calls the function.
func (f Receiver) Receive(t *wamp.RoutedMessage) error { return f(t) }

// Deliver does nothing.
func (Receiver) Deliver(*wamp.RoutedMessage, *wamp.Peer) error { return nil }

// Reader changes the messages that come in on a connection. It gets the body of
// each frame and returns what the router is to read in its place, or nil for
// nothing at all.
type Reader func(s wamp.Serializer, body []byte) []byte

// Wrap returns a function for Sabotage.Conn.
func (f Reader) Wrap() func(transport.Conn) transport.Conn {
	return func(c transport.Conn) transport.Conn { return &reading{c, f} }
}

type reading struct {
	transport.Conn
	change Reader
}

func (r *reading) Read() (transport.Frame, error) {
	for {
		frame, err := r.Conn.Read()
		if err != nil || frame.Op != transport.OpMessage {
			return frame, err
		}
		if frame.Body = r.change(r.Info().Serializer, frame.Body); frame.Body != nil {
			return frame, nil
		}
	}
}

// Rewrite returns a Reader that writes sealed payloads anew: those for which
// change, which may change their bytes, returns true.
func Rewrite(change func(s wamp.Serializer, data []byte) bool) Reader {
	return func(s wamp.Serializer, body []byte) []byte {
		m, err := codec.NewDecoder().Decode(s, body)
		if err != nil {
			return body
		}
		c, ok := m.(wamp.Carrier)
		if !ok {
			return body
		}
		p, a := c.Carried()
		data, ok := codec.Binary(p)
		if !ok || !change(s, data) {
			return body
		}
		*p = codec.BinaryPayload(s, wamp.FormOf(a, p), data)
		if again, err := codec.Append(nil, s, m); err == nil {
			return again
		}
		return body
	}
}
