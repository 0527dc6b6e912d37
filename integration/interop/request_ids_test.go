package interop

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Why the router takes request ids in any order, and need not be afraid of its
// own: the test is the router of real clients, and looks at what they send, and
// at what they make of INVOCATIONs that are not in sequence.
func TestRequestIDsOfClients(t *testing.T) {
	autobahn := func(t *testing.T, url string) *script {
		needAutobahn(t)
		return python(t, "ids.py", url)
	}
	node := func(name string) func(t *testing.T, url string) *script {
		return func(t *testing.T, url string) *script {
			needJavaScript(t, name)
			s, _ := javaScript(t, "ids.mjs", url, name)
			return s
		}
	}
	for name, client := range map[string]struct {
		start func(t *testing.T, url string) *script
		calls [2]wamp.ID // of the two that are sent
		// careful is whether an INVOCATION under the id of one that is pending ends
		// the session.
		careful bool
	}{
		"Autobahn|Python": {autobahn, [2]wamp.ID{2, 4}, true},
		"Autobahn|JS":     {node("autobahn"), [2]wamp.ID{2, 4}, false},
		"wampy":           {node("wampy"), [2]wamp.ID{2, 4}, false},
	} {
		t.Run(name, func(t *testing.T) {
			conns := make(chan transport.Conn)
			ended := make(chan struct{})
			defer close(ended)
			url := listenAs(t, func(c transport.Conn) {
				select {
				case conns <- c:
					<-ended
				case <-ended:
				}
			})
			program := client.start(t, url)
			r := &routertest.Peer{T: t, Name: "the router", Conn: <-conns}
			routertest.Expect[*wamp.Hello](r)
			welcome := &wamp.Welcome{Session: 1}
			all := wamp.Role{Present: true, Features: ^wamp.Features(0)}
			welcome.Details.Roles.Broker, welcome.Details.Roles.Dealer = all, all
			r.Send(welcome)
			register := routertest.Expect[*wamp.Register](r)
			if register.Request != 1 {
				t.Errorf("the first request is %d", register.Request)
			}
			r.Send(&wamp.Registered{Request: register.Request, Registration: 17})
			for i, want := range client.calls {
				c := routertest.Expect[*wamp.Call](r)
				if c.Request != want {
					t.Errorf("the request of call %d is %d, not %d", i, c.Request, want)
				}
				r.Send(&wamp.Error{RequestType: wamp.TypeCall, Request: c.Request, Error: wamp.ErrNoSuchProcedure})
				program.want(map[string]any{"call": true, "answer": "error"})
				if i == 0 {
					program.want(map[string]any{"call": false, "answer": "none"})
				}
			}
			for _, id := range []wamp.ID{7, 3, 3, 1 << 53, 1} {
				r.Send(&wamp.Invocation{Request: id, Registration: 17, Payload: r.Clear("now")})
				if y := routertest.Expect[*wamp.Yield](r); y.Request != id {
					t.Errorf("a YIELD for %d, not %d", y.Request, id)
				}
			}
			r.Send(&wamp.Invocation{Request: 5, Registration: 17})
			r.Send(&wamp.Invocation{Request: 5, Registration: 17})
			if goesOn := pong(r); goesOn == client.careful {
				t.Errorf("it goes on: %v", goesOn)
			}
		})
	}
}

// pong pings the other end of a connection, and reports whether it answers.
func pong(p *routertest.Peer) bool {
	p.T.Helper()
	if _, err := p.Conn.Write([][]byte{p.Conn.Framing().AppendFrame(nil, transport.OpPing, nil)}, routertest.Timeout); err != nil {
		return false
	}
	_ = p.Conn.SetReadDeadline(time.Now().Add(routertest.Timeout))
	f, err := p.Conn.Read()
	if errors.Is(err, os.ErrDeadlineExceeded) || err == nil && f.Op == transport.OpMessage {
		p.T.Fatalf("%s: neither a pong nor the end: %+v, %v", p.Name, f, err)
	}
	return err == nil && f.Op == transport.OpPong
}

// listenAs serves WebSocket connections in the place of a router.
func listenAs(t *testing.T, handle func(transport.Conn)) (url string) {
	t.Helper()
	server := &transport.Server{Handle: func(c transport.Conn) {
		defer c.Close()
		handle(c)
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l, transport.ListenOptions{})
	}()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return "ws://" + l.Addr().String() + "/ws"
}
