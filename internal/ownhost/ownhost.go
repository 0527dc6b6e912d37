// Package ownhost tells the names under which a server is meant to be reached from
// those that somebody else has made to lead to it. A page of evil.example can have
// that name resolved anew, to an address that only the browser reaches, and is then of
// the same host as the server there (DNS rebinding). A number can't be resolved anew.
package ownhost

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Is reports whether host, as a Host header has it, with a port or without, is the
// server's own: a number, localhost, or one of names, which have no port.
func Is(host string, names []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || strings.EqualFold(host, "localhost") {
		return true
	}
	return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, host) })
}
