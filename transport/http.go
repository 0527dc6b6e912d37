package transport

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// ServeHTTP upgrades a request to WebSocket, for programs that already have an HTTP
// server. That server bounds the time until the upgrade, and chooses the path.
// The connection then belongs to s.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l, limits := s.httpListenerOf(), s.limitsNow()
	from, trusted := s.HTTP.peerOf(r.RemoteAddr)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	u := upgrade{opts: &s.HTTP, host: r.Host, trusted: trusted, secure: r.TLS != nil}
	address, entered := r.RemoteAddr, false
	info := func() *Info {
		i := &Info{Network: "tcp", Address: address, TLS: r.TLS, Since: time.Now()}
		switch {
		case r.TLS != nil:
			i.Network = "tls"
		case local != nil:
			i.Network = local.Network()
		}
		return i
	}
	u.admit = func(u *upgrade) *wamp.Refusal {
		if most := l.opts.MaxConnections; most > 0 && int(l.open.Load()) >= most {
			return refuseConnections
		}
		if client, ok := u.client(); ok {
			from, address = client, client.String()
		}
		refusal := s.addresses.acquire(from, limits, time.Now())
		entered = refusal == nil
		return refusal
	}
	gone := func() {
		if entered {
			s.addresses.release(from)
		}
	}
	for key, values := range r.Header {
		for _, v := range values {
			u.recordHeader(key, v)
		}
	}
	for _, offered := range r.Header.Values("Sec-Websocket-Protocol") {
		for name := range strings.SplitSeq(offered, ",") {
			if u.serializer == 0 {
				u.selectSubprotocol(strings.TrimSpace(name))
			}
		}
	}
	if u.checkRequest() != nil {
		from := info()
		from.Origin = u.origin
		s.reject(u.refusal, from)
		http.Error(w, u.refusal.Text, statusOf(u.refusal))
		return
	}
	chosen := subprotocol + u.serializer.String()
	nc, rw, _, err := ws.HTTPUpgrader{
		Timeout:  limits.HandshakeTimeout,
		Protocol: func(name string) bool { return name == chosen },
	}.Upgrade(r, w)
	if err != nil {
		s.reject(refuseRequest, info())
		gone()
		if nc != nil {
			nc.Close()
		}
		return
	}
	if full, ok := s.admit(nc, l); full || !ok {
		nc.Close()
		gone()
		if ok {
			s.untrack(nc, l)
		}
		return
	}
	known := info()
	u.describe(known)
	var in buffer
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	in.put(early)
	nc.SetDeadline(time.Time{})
	c := newConn(newStream(nc), &in, *known, wsFraming(u.serializer), limits.MaxFirst, limits.MaxMessage)
	c.slot = &connSlot{server: s, listener: l, net: nc, from: from}
	go s.Handle(c)
}

// httpListenerOf returns the activeListener that ServeHTTP's connections count for.
func (s *Server) httpListenerOf() *activeListener {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.httpListener == nil {
		s.httpListener = &activeListener{opts: s.HTTP}
	}
	return s.httpListener
}

func statusOf(refusal *wamp.Refusal) int {
	switch refusal {
	case refuseOrigin:
		return http.StatusForbidden
	case refuseConnections, refuseAddress, refuseRate:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}
