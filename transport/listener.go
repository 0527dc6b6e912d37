package transport

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Limits bounds the cost of connections.
type Limits struct {
	// MaxMessage is the size of the largest message accepted, in bytes, from
	// 512 to 16 MiB. 0 stands for 1 MiB. RawSocket announces the largest power
	// of two within it.
	MaxMessage int
	// MaxFirst is the same for the messages before Conn.SetReadLimit raises
	// it, which is when the peer is known. 0 stands for 16 KiB.
	MaxFirst int
	// HandshakeTimeout is how long a connection may take from being accepted
	// to the end of its transport handshake. 0 stands for 5 s.
	HandshakeTimeout time.Duration
	// PerAddress is how many connections one address may have; ConnectRate is
	// how many it may make in a second, beyond a first burst of as many. 0 is no
	// bound. An IPv6 address stands for its /64 network. Unix sockets are not
	// counted.
	PerAddress, ConnectRate int
}

const (
	minMessage       = 512
	maxMessage       = 16 << 20
	defaultMessage   = 1 << 20
	defaultFirst     = 16 << 10
	defaultHandshake = 5 * time.Second
)

func (l Limits) withDefaults() Limits {
	if l.MaxMessage == 0 {
		l.MaxMessage = defaultMessage
	}
	if l.MaxFirst == 0 {
		l.MaxFirst = defaultFirst
	}
	if l.HandshakeTimeout == 0 {
		l.HandshakeTimeout = defaultHandshake
	}
	l.MaxMessage = min(max(l.MaxMessage, minMessage), maxMessage)
	return l
}

// ListenOptions selects the protocols of a listener. The zero value allows all.
type ListenOptions struct {
	// NoWebSocket and NoRawSocket turn one of them off. Where both are on, the
	// first byte decides.
	NoWebSocket, NoRawSocket bool
	// Paths lists the paths of the WebSocket endpoint. nil stands for "/" and "/ws".
	Paths []string
	// Origins lists the origins ("https://example.org") whose pages may connect, in
	// addition to pages of this host; "*" stands for all. Clients that are not browsers
	// send no origin and do not need one.
	Origins []string
	// Hosts lists the names of this host, without a port. Pages of these names may
	// connect without TLS. IP addresses and localhost need not be listed. Any other name
	// may belong to an attacker who makes it resolve to this host (DNS rebinding).
	Hosts []string
	// Serializers lists the serializers that are accepted; nil stands for all.
	Serializers []wamp.Serializer
	// MaxConnections bounds the connections of this listener; 0 is no bound.
	MaxConnections int
	// Proxies are the addresses of trusted proxies. For a WebSocket connection from
	// one of them, X-Forwarded-For has the address of the peer. From any other address,
	// that field is dropped. UnixProxy trusts the peers of a Unix socket, which have no
	// address.
	Proxies   []netip.Prefix
	UnixProxy bool
}

// Server accepts connections, does their transport handshakes, and hands them
// over. Its fields must not be changed once it serves. All methods may be
// called concurrently.
type Server struct {
	// Handle is called for each connection that completed its handshake, on a
	// goroutine of its own. It must close the connection, before it returns or later.
	// Until then the connection counts as one of the server's.
	Handle func(Conn)
	// Rejected, if not nil, is called for each connection that was refused before
	// that. Info has Network, Address and Since, and the other fields as far as the
	// handshake got. It is called concurrently, and must not keep the Info.
	Rejected func(*wamp.Refusal, *Info)
	Limits   Limits
	// HTTP are the options of ServeHTTP. Their Paths, NoWebSocket and NoRawSocket have
	// no effect there.
	HTTP ListenOptions
	// Logger may be nil.
	Logger *slog.Logger

	limits    atomic.Pointer[Limits] // what SetLimits said last
	addresses addresses

	mu           sync.Mutex
	closed       bool
	listeners    map[*activeListener]struct{}
	conns        map[net.Conn]struct{}
	running      sync.WaitGroup  // a Serve or a connection each
	httpListener *activeListener // stands for the listener of ServeHTTP's connections
}

// activeListener is a listener that is served.
type activeListener struct {
	net.Listener
	opts ListenOptions
	open atomic.Int64
	stop chan struct{} // closed with the listener
	once sync.Once
}

func (l *activeListener) Close() error {
	l.once.Do(func() { close(l.stop) })
	return l.Listener.Close()
}

// maxRejecting is how many connections over MaxConnections get an error reply at the same
// time. Further ones are closed without a reply.
const maxRejecting = 64

// SetLimits replaces Limits for connections that are accepted from now on.
func (s *Server) SetLimits(l Limits) { s.limits.Store(&l) }

func (s *Server) limitsNow() Limits {
	if l := s.limits.Load(); l != nil {
		return l.withDefaults()
	}
	return s.Limits.withDefaults()
}

// Serve accepts connections on l until Close or CloseListeners, or until l
// fails for good, and closes l. It returns net.ErrClosed after the former. For
// TLS, l is one of tls.NewListener.
func (s *Server) Serve(l net.Listener, opts ListenOptions) error {
	ln := &activeListener{Listener: l, opts: opts, stop: make(chan struct{})}
	defer ln.Close()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return net.ErrClosed
	}
	if s.listeners == nil {
		s.listeners = make(map[*activeListener]struct{})
	}
	s.listeners[ln] = struct{}{}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, ln)
		s.mu.Unlock()
	}()

	var pause backoff
	for {
		nc, err := ln.Accept()
		if err != nil {
			select {
			case <-ln.stop:
				return net.ErrClosed
			default:
			}
			if !isTemporary(err) {
				return err
			}
			pause.failed(s, err, ln.stop)
			continue
		}
		pause = backoff{logged: pause.logged}
		s.handleAccepted(nc, ln)
	}
}

// isTemporary reports whether accepting may succeed later: descriptors or memory ran out,
// or only that connection failed.
func isTemporary(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// backoff waits longer and longer while accepting fails.
type backoff struct {
	delay  time.Duration
	logged time.Time
}

func (b *backoff) failed(s *Server, err error, stop <-chan struct{}) {
	b.delay = min(max(2*b.delay, 5*time.Millisecond), time.Second)
	if now := time.Now(); now.Sub(b.logged) > 10*time.Second {
		b.logged = now
		if s.Logger != nil {
			s.Logger.Warn("accepting connections fails", "error", err, "retry", b.delay)
		}
	}
	t := time.NewTimer(b.delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	}
}

func (s *Server) handleAccepted(nc net.Conn, l *activeListener) {
	full, ok := s.admit(nc, l)
	if !ok {
		nc.Close()
		if full {
			s.reject(refuseConnections, infoOf(nc, time.Now()))
		}
		return
	}
	go func() {
		limits := s.limitsNow()
		g := serverHandshake{
			net: nc, limits: limits, opts: &l.opts, accepted: time.Now(), addresses: &s.addresses,
		}
		if full {
			g.rejection = refuseConnections
		}
		c, refusal := g.run()
		if refusal != nil {
			info := g.info // here, so that only a refused connection costs an allocation
			s.reject(refusal, &info)
			g.reject()
			s.untrack(nc, l)
			return
		}
		// The handshake may have grown this goroutine's stack, so a new goroutine
		// waits for messages.
		c.slot = &connSlot{server: s, listener: l, net: nc, from: g.counted}
		go s.Handle(c)
	}()
}

// admit counts the connection nc. full reports that it exceeds MaxConnections, ok that
// the server handles it at all.
func (s *Server) admit(nc net.Conn, l *activeListener) (full, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, false
	}
	if most := l.opts.MaxConnections; most > 0 {
		open := int(l.open.Load())
		full = open >= most
		if open >= most+maxRejecting {
			return true, false
		}
	}
	l.open.Add(1)
	if s.conns == nil {
		s.conns = make(map[net.Conn]struct{})
	}
	s.conns[nc] = struct{}{}
	s.running.Add(1)
	return full, true
}

func (s *Server) untrack(nc net.Conn, l *activeListener) {
	l.open.Add(-1)
	s.mu.Lock()
	delete(s.conns, nc)
	s.mu.Unlock()
	s.running.Done()
}

// connSlot is the place that a connection occupies in its server until it is closed.
type connSlot struct {
	server   *Server
	listener *activeListener
	net      net.Conn
	from     netip.Addr // the address that it was counted under, if valid
	released atomic.Bool
}

func (p *connSlot) release() {
	if p != nil && !p.released.Swap(true) {
		p.server.addresses.release(p.from)
		p.server.untrack(p.net, p.listener)
	}
}

func infoOf(nc net.Conn, since time.Time) *Info {
	return &Info{Network: nc.RemoteAddr().Network(), Address: nc.RemoteAddr().String(), Since: since}
}

func (s *Server) reject(refusal *wamp.Refusal, from *Info) {
	if s.Rejected != nil {
		s.Rejected(refusal, from)
	}
}

// CloseListeners makes every Serve return, and leaves the connections alone.
func (s *Server) CloseListeners() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for l := range s.listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

// Close closes the listeners and all connections, and waits until every Serve
// has returned and every Handle has closed its connection. So it must not be called from
// a Handle.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for nc := range s.conns {
		if t, ok := nc.(*tls.Conn); ok {
			nc = t.NetConn() // at once, without a farewell that may wait
		}
		nc.Close()
	}
	s.mu.Unlock()
	err := s.CloseListeners()
	s.running.Wait()
	return err
}
