package transport

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// addresses counts the connections of each address, and how fast it makes them. An
// address is in the table while it has a connection or its rate limit has not refilled.
// So the cost of connecting bounds the size of the table.
type addresses struct {
	mu      sync.Mutex
	known   map[netip.Addr]*address
	sweepAt int // the table is swept when it has this many entries
}

type address struct {
	open int
	// tokens is how many connections the address could make at the time since. It
	// grows by Limits.ConnectRate per second.
	tokens float64
	since  time.Time
}

// addressKey returns the key of an address in the table. IPv6 addresses are grouped by
// /64 networks, the smallest that a customer gets.
func addressKey(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// acquire counts a connection, or returns why it is refused. If it counts the
// connection, release must follow. An invalid address (of a Unix socket) is not counted.
func (t *addresses) acquire(a netip.Addr, l Limits, now time.Time) *wamp.Refusal {
	if !a.IsValid() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = make(map[netip.Addr]*address)
	}
	e := t.known[addressKey(a)]
	if e == nil {
		t.sweepIdleLocked(l, now)
		e = &address{tokens: float64(l.ConnectRate), since: now}
		t.known[addressKey(a)] = e
	}
	e.refill(l, now)
	switch {
	case l.PerAddress > 0 && e.open >= l.PerAddress:
		return refuseAddress
	case l.ConnectRate > 0 && e.tokens < 1:
		return refuseRate
	}
	e.open++
	e.tokens--
	return nil
}

func (e *address) refill(l Limits, now time.Time) {
	e.tokens = min(float64(l.ConnectRate), e.tokens+now.Sub(e.since).Seconds()*float64(l.ConnectRate))
	e.since = now
}

// sweepIdleLocked removes the addresses that have no connection and all their tokens. It
// runs when the table has doubled, so its cost is spread over the addresses added. mu is
// held.
func (t *addresses) sweepIdleLocked(l Limits, now time.Time) {
	if len(t.known) < max(t.sweepAt, 1024) {
		return
	}
	for a, e := range t.known {
		if e.refill(l, now); e.open == 0 && e.tokens >= float64(l.ConnectRate) {
			delete(t.known, a)
		}
	}
	t.sweepAt = 2 * len(t.known)
}

// release ends the count of a connection. An invalid address was not counted.
func (t *addresses) release(a netip.Addr) {
	if !a.IsValid() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.known[addressKey(a)]; e != nil && e.open > 0 {
		e.open--
	}
}

// peer returns the address that a connection comes from (invalid for a Unix socket), and
// whether it is a trusted proxy.
func (o *ListenOptions) peer(a net.Addr) (from netip.Addr, proxied bool) {
	if t, ok := a.(*net.TCPAddr); ok {
		from = t.AddrPort().Addr().Unmap().WithZone("")
		return from, o.isTrustedProxy(from)
	}
	return netip.Addr{}, o.UnixProxy
}

// peerOf is peer for the RemoteAddr of an http.Request.
func (o *ListenOptions) peerOf(remote string) (from netip.Addr, proxied bool) {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, o.UnixProxy
	}
	from = ap.Addr().Unmap().WithZone("")
	return from, o.isTrustedProxy(from)
}

func (o *ListenOptions) isTrustedProxy(a netip.Addr) bool {
	return slices.ContainsFunc(o.Proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// client returns the address of the client that a trusted proxy reports. Each proxy
// appends the address that it got the request from. So the list is read from its end, as
// long as the addresses are trusted proxies. Everything before that may have been forged.
func (u *upgrade) client() (netip.Addr, bool) {
	if !u.trusted {
		return netip.Addr{}, false
	}
	list := strings.Split(strings.Join(u.header.Values("X-Forwarded-For"), ","), ",")
	var last netip.Addr
	for _, field := range slices.Backward(list) {
		a, ok := parseForwarded(strings.TrimSpace(field))
		if !ok {
			break
		}
		last = a
		if !u.opts.isTrustedProxy(a) {
			break
		}
	}
	return last, last.IsValid()
}

// parseForwarded reads an address, with or without a port.
func parseForwarded(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}
