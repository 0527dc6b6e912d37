// Package nexus lets clients of a nexus router (github.com/gammazero/nexus) come in
// through Blindfold's transports and codec: their encrypted payloads cross the router as
// the bytes that they are, are never converted nor validated, and are counted.
//
//	r, err := nexus.NewRouter(config, logger, nexus.Options{Interceptors: …}) // in place of nexus's own NewRouter
//	server := &transport.Server{Handle: r.Accept, Rejected: r.Rejected}
//	err = server.Serve(listener, transport.ListenOptions{})
//
// Nexus itself is used as it is. Its broker and dealer hand Arguments on by reference
// and never look inside a pointer, so a payload, its attributes and its sender travel
// as one Go value in there, or beside it: see item.
package nexus

import (
	"sync"

	nexusrouter "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/stdlog"
	nexus "github.com/gammazero/nexus/v3/wamp"

	"github.com/blindfold-wamp/blindfold/adapter"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Options are what a Router adds to nexus. Of its Limits, those that package adapter
// lists, Subscriptions and Calls are kept.
type Options = adapter.Options

// Router is a nexus router that also takes clients by Accept. To nexus's own servers and
// to local clients it is the router that they are connected to. All methods may be called
// concurrently.
type Router struct {
	nexusrouter.Router
	adapter *adapter.Adapter

	mu        sync.Mutex
	closed    bool
	attaching sync.WaitGroup // clients that nexus is about to take: it can't be closed meanwhile
}

// NewRouter creates a nexus router as nexus's NewRouter does. The configurations of
// realms are copied.
func NewRouter(config *nexusrouter.Config, logger stdlog.StdLog, o Options) (*Router, error) {
	r := &Router{adapter: adapter.New(o)}
	c := *config
	c.RealmConfigs = make([]*nexusrouter.RealmConfig, len(config.RealmConfigs))
	for i, realm := range config.RealmConfigs {
		c.RealmConfigs[i] = r.configure(realm)
	}
	if c.RealmTemplate != nil {
		c.RealmTemplate = r.configure(c.RealmTemplate)
	}
	var err error
	if r.Router, err = nexusrouter.NewRouter(&c, logger); err != nil {
		return nil, err
	}
	return r, nil
}

// AddRealm adds a realm. The configuration is copied.
func (r *Router) AddRealm(c *nexusrouter.RealmConfig) error {
	return r.Router.AddRealm(r.configure(c))
}

// configure lets the Router see the publications of a realm when nexus has accepted
// them: it asks for their filter then.
func (r *Router) configure(c *nexusrouter.RealmConfig) *nexusrouter.RealmConfig {
	copied := *c
	filter := c.PublishFilterFactory
	if filter == nil {
		filter = nexusrouter.NewSimplePublishFilter
	}
	copied.PublishFilterFactory = func(m *nexus.Publish) nexusrouter.PublishFilter {
		r.published(m)
		return filter(m)
	}
	return &copied
}

// published counts a publication that is about to be routed.
func (r *Router) published(m *nexus.Publish) {
	it := itemOf(m.Arguments)
	if it == nil { // nexus's own meta API
		m.Arguments = beside(m.Arguments, &item{uri: wamp.URI(m.Topic), values: true})
		return
	}
	if it.from == nil {
		return
	}
	r.adapter.Observe(router.Observation{Kind: router.Routed, Realm: it.from.Realm, Peer: it.from, Routed: &wamp.RoutedMessage{From: it.from, URI: it.uri,
		Message: &wamp.Publish{Topic: it.uri, Options: wamp.PublishOptions{Attributes: it.attributes}, Payload: it.payload}}})
}

// Accept makes a connection a client of the router. It is for transport.Server, and
// closes the connection when the client's session ends.
func (r *Router) Accept(conn transport.Conn) {
	p := newPeer(r, conn)
	go p.write()
	p.read()
}

// Rejected tells the observers of a connection that was turned away in its transport
// handshake. It is for transport.Server.
func (r *Router) Rejected(why *wamp.Refusal, info *transport.Info) {
	r.adapter.Observe(router.Observation{Kind: router.Rejected, Refusal: why, Connection: info})
}

// Attach connects a client that does not come by Accept: see AttachClient.
func (r *Router) Attach(p nexus.Peer) error { return r.AttachClient(p, nil) }

// AttachClient connects a client that does not come by Accept: a local one, or one of
// nexus's own servers. Interceptors are asked about what it sends. A local client gets
// an opaque payload as a *Payload. Others get none, like any receiver that has not
// announced the form.
func (r *Router) AttachClient(p nexus.Peer, details nexus.Dict) error {
	l := newLocal(r, p)
	go l.write()
	go l.read()
	return r.attach(l, details)
}

// attach gives nexus a peer. Nexus would panic if it was closed by then.
func (r *Router) attach(p nexus.Peer, details nexus.Dict) error {
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.attaching.Add(1)
		defer r.attaching.Done()
	}
	r.mu.Unlock()
	if closed {
		p.Send() <- &nexus.Abort{Reason: nexus.ErrSystemShutdown, Details: nexus.Dict{}}
		p.Close()
		return errClosed
	}
	return r.Router.AttachClient(p, details)
}

// Close closes nexus and ends all sessions. It waits for logins that are under way.
func (r *Router) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.attaching.Wait()
	r.Router.Close()
}
