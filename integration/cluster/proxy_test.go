package cluster

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a node and a NATS server. It can stop forwarding, as a network
// does that has come apart: nothing arrives, and no connection is closed.
type proxy struct {
	url string

	mu      sync.Mutex
	changed sync.Cond
	stopped bool
	closed  bool
	conns   []net.Conn
}

func startProxy(t testing.TB, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: "nats://" + l.Addr().String()}
	p.changed.L = &p.mu
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", strings.TrimPrefix(server, "nats://"))
			if err != nil {
				_ = conn.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, conn, to)
			closed := p.closed
			p.mu.Unlock()
			if closed {
				_, _ = conn.Close(), to.Close()
				return
			}
			running.Go(func() { p.forward(to, conn) })
			running.Go(func() { p.forward(conn, to) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.closed, p.stopped = true, false
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.changed.Broadcast()
		p.mu.Unlock()
		running.Wait()
	})
	return p
}

// forward copies what comes from one end to the other, while the proxy is not stopped.
func (p *proxy) forward(to, from net.Conn) {
	defer to.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		for p.stopped {
			p.changed.Wait()
		}
		p.mu.Unlock()
		if _, failed := to.Write(b[:n]); failed != nil || err != nil {
			if err != io.EOF {
				_ = from.Close()
			}
			return
		}
	}
}

func (p *proxy) set(stopped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = stopped
	p.changed.Broadcast()
}

func (p *proxy) stop()   { p.set(true) }
func (p *proxy) resume() { p.set(false) }
