package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
)

// listenerConfig is one address that clients connect to.
type listenerConfig struct {
	network, address string // arguments of net.Listen, or "systemd" and a socket's name
	websocket        bool
	rawsocket        bool
	paths            []string
	origins          []string
	hosts            []string
	tls              *tls.Config // nil: none
	connections      int
	proxies          []netip.Prefix
	unixProxy        bool
}

// name is the address, which no two listeners can share, or "" for a port that the
// system chooses.
func (l *listenerConfig) name() string {
	if _, port, _ := net.SplitHostPort(l.address); l.network == "tcp" && port == "0" {
		return ""
	}
	return l.address
}

// sameAs reports whether two listeners are the same, except for their certificates.
func (l *listenerConfig) sameAs(o *listenerConfig) bool {
	a, b := *l, *o
	if (a.tls == nil) != (b.tls == nil) {
		return false
	}
	a.tls, b.tls = nil, nil
	return reflect.DeepEqual(a, b)
}

func readListener(v value) (l listenerConfig) {
	var addresses []string
	listen := func(key string, websocket, rawsocket bool) field {
		return field{key, func(v value) {
			s, ok := v.scalar("an address like 127.0.0.1:8080 or unix:/run/blindfold.sock")
			if !ok {
				return
			}
			addresses = append(addresses, s)
			l.websocket, l.rawsocket = websocket, rawsocket
			var err error
			if l.network, l.address, err = splitAddress(s); err != nil {
				v.fail("%v", err)
			}
		}}
	}
	v.mapping(
		listen("websocket", true, false),
		listen("rawsocket", false, true),
		listen("both", true, true),
		texts("paths", &l.paths),
		texts("origins", &l.origins),
		hostNames(&l.hosts),
		field{"tls", func(v value) { l.tls = readTLS(v) }},
		integer("connections", &l.connections, 1),
		field{"proxies", func(v value) { l.proxies = readList(v, readPrefix) }},
		boolean("unix_proxy", &l.unixProxy),
	)
	if len(addresses) != 1 {
		v.fail("needs exactly one of websocket, rawsocket and both")
	}
	return l
}

// hostNames reads the names under which a listener is reached.
func hostNames(dst *[]string) field {
	return field{"hosts", func(v value) {
		texts("", dst).read(v)
		for _, name := range *dst {
			if name == "" || strings.ContainsAny(name, "/:*") {
				v.fail("must be host names, like router.example.com, without a port")
			}
		}
	}}
}

// readPrefix reads an address, or a network of them.
func readPrefix(v value) netip.Prefix {
	s, ok := v.scalar("an address or a network, like 10.0.0.0/8")
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked()
	}
	a, err := netip.ParseAddr(s)
	if ok && err != nil {
		v.fail("must be an address or a network, like 10.0.0.0/8")
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// splitAddress turns "host:port" or "unix:/path" into arguments of net.Listen.
func splitAddress(s string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("unix: needs a path, like unix:/run/blindfold.sock")
		}
		return "unix", path, nil
	}
	if name, ok := strings.CutPrefix(s, "systemd:"); ok {
		return "systemd", name, nil
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", "", fmt.Errorf("must be an address like 127.0.0.1:8080 or unix:/run/blindfold.sock")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", "", fmt.Errorf("the port must be a number from 0 to 65535")
	}
	return "tcp", s, nil
}
