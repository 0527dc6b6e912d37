//go:build !race

package router

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A session that waits allocates no more stack than waiting needs: neither after it
// has said what it wants, nor when it has been routed for and then is silent.
func TestIdleSessionAllocatesSmallestStack(t *testing.T) {
	const n, most = 400, 2600 // bytes each; the smallest stack is 2,048
	r, err := New(Config{Realms: []RealmConfig{{Name: "realm1", Authenticators: []Authenticator{Anonymous("guest")}}},
		Limits: Limits{PingEvery: time.Second, PingTimeout: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &transport.Server{Handle: r.Accept}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l, transport.ListenOptions{}) }()
	t.Cleanup(func() { _ = server.Close(); _ = r.Close(t.Context()); <-served })

	join := func() (peers [n]*rawPeer) {
		for i := range peers {
			peers[i] = dialRaw(t, l.Addr().String())
			peers[i].say(&wamp.Hello{Realm: "realm1", Details: wamp.HelloDetails{Roles: wamp.Roles{Subscriber: wamp.Role{Present: true}}}})
			peers[i].say(&wamp.Subscribe{Request: 1, Topic: "com.example.topic"})
		}
		return peers
	}
	// A goroutine starts with the stack that they had need of on average when
	// garbage was last collected: with many who wait, as here.
	first := join()
	before := stacks()
	second := join()
	each := func() int { return int(stacks()-before) / n }
	if got := each(); got > most {
		t.Errorf("after SUBSCRIBED, a session has %d bytes of stack", got)
	}
	for _, p := range second {
		for range 2 * newSessionBatches {
			p.say(&wamp.Subscribe{Request: 2, Topic: "com.example.topic"})
		}
	}
	for i := range n {
		first[i].pong()
		second[i].pong()
	}
	deadline := time.Now().Add(20 * time.Second)
	for each() > most {
		if time.Now().After(deadline) {
			t.Fatalf("after silence, a session has %d bytes of stack", each())
		}
	}
}

// stacks returns the bytes of all goroutines' stacks.
func stacks() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.StackInuse
}

// rawPeer is a client on RawSocket that has no goroutine.
type rawPeer struct {
	t *testing.T
	net.Conn
}

func dialRaw(t *testing.T, address string) *rawPeer {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	p := &rawPeer{t, nc}
	p.write([]byte{0x7f, 0xf0 | byte(wamp.CBOR), 0, 0})
	p.read(4)
	return p
}

func (p *rawPeer) write(b []byte) {
	if _, err := p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *rawPeer) read(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(p.Conn, b); err != nil {
		p.t.Fatal(err)
	}
	return b
}

// say sends a message and reads one answer.
func (p *rawPeer) say(m wamp.Message) {
	p.write(transport.FramingRaw.AppendFrame(nil, transport.OpMessage, frame(p.t, wamp.CBOR, m)))
	for p.frame() != transport.OpMessage {
	}
}

// pong waits for a ping and answers it.
func (p *rawPeer) pong() {
	for p.frame() != transport.OpPing {
	}
	p.write(transport.FramingRaw.AppendFrame(nil, transport.OpPong, nil))
}

// frame reads a frame and returns what it is for.
func (p *rawPeer) frame() transport.Op {
	head := p.read(4)
	p.read(int(head[1])<<16 | int(head[2])<<8 | int(head[3]))
	return [...]transport.Op{transport.OpMessage, transport.OpPing, transport.OpPong}[head[0]&7]
}
