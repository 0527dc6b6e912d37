package hostile

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// memoryConfig leaves time to fill everything; all that bounds memory has its default.
const memoryConfig = `
log: {level: error}
limits: {hello: 10m, write_timeout: 10m, ping_every: 10m, ping_timeout: 10m}
realms:
  - name: realm1
    anonymous: {role: anonymous}
    roles:
      - name: anonymous
        permissions:
          - {uri: "", match: prefix, allow: [publish, subscribe, call, register]}
          - {uri: "wamp.session.modify_details", allow: [call]}
    retained: {topics: 100000, size: 16MiB}
    history:
      topics:
        - {uri: com.example.kept, match: exact, limit: 100000, size: 16MiB}
    testaments: {count: 16, size: 64KiB}
`

// hoard is one row of the table in docs/limits.md, "Memory": something that clients can
// make the router keep. fill makes it keep n of them; sessions that it needs come from
// join, and are there, idle, before memory is measured first.
type hoard struct {
	row      string // as the table calls it
	sessions int
	n        int
	fill     func(t *testing.T, p *routertest.Process, peers []*routertest.Peer)
}

// longURI is a URI of n bytes, at most 255, that no other i has.
func longURI(i, n int) wamp.URI {
	head := fmt.Sprintf("com.example.x%d.", i)
	return wamp.URI(head + strings.Repeat("u", n-len(head)))
}

// wildcard is a pattern of 255 bytes and 32 components that no other i has.
func wildcard(i int) wamp.URI {
	return wamp.URI(fmt.Sprintf("com.%08d", i) + strings.Repeat(".aaaaaaa", 29) + ".")
}

var hoards = []hoard{
	{"session", 0, 1000, func(t *testing.T, p *routertest.Process, _ []*routertest.Peer) {
		agent := strings.Repeat("a", 15<<10)
		for range 1000 {
			join(t, p, nil, routertest.NoFeatures, func(h *wamp.Hello) { h.Details.Agent = agent })
		}
	}},
	{"TLS of a session", 0, 200, func(t *testing.T, p *routertest.Process, _ []*routertest.Peer) {
		for range 200 {
			join(t, p, authority(t).Trust())
		}
	}},
	{"connection before WELCOME", 0, 1000, func(t *testing.T, p *routertest.Process, _ []*routertest.Peer) {
		for range 1000 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(p.URLs["rawsocket"], "rs://"))
			routertest.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close() })
			write(t, conn, []byte{0x7f, 0xf1, 0, 0})
			_, err = conn.Read(make([]byte, 4))
			routertest.NoError(t, err)
			write(t, conn, append([]byte{0, 0, 0x3f, 0xf0}, bytes.Repeat([]byte{'['}, 16<<10-100)...))
		}
	}},
	{"incomplete message", 0, 64, func(t *testing.T, p *routertest.Process, _ []*routertest.Peer) {
		for range 64 {
			write(t, begin(t, p), append([]byte{0, 0x0f, 0xff, 0xff}, bytes.Repeat([]byte{'['}, 1<<20-10)...))
		}
	}},
	{"subscription", 20, 20 * 1024, func(t *testing.T, _ *routertest.Process, peers []*routertest.Peer) {
		each(peers, 1024, func(p *routertest.Peer, i int) {
			p.Send(&wamp.Subscribe{Request: p.NextID(), Topic: wildcard(i), Options: wamp.SubscribeOptions{Match: "wildcard"}})
		}, func(p *routertest.Peer) { routertest.Expect[*wamp.Subscribed](p) })
	}},
	{"registration", 20, 20 * 1024, func(t *testing.T, _ *routertest.Process, peers []*routertest.Peer) {
		each(peers, 1024, func(p *routertest.Peer, i int) {
			p.Send(&wamp.Register{Request: p.NextID(), Procedure: wildcard(i), Options: wamp.RegisterOptions{Match: "wildcard", Concurrency: 1}})
		}, func(p *routertest.Peer) { routertest.Expect[*wamp.Registered](p) })
	}},
	{"call in flight", 10, 9 * 4096, func(t *testing.T, _ *routertest.Process, peers []*routertest.Peer) {
		callee := peers[0]
		callee.Register("com.example.", wamp.RegisterOptions{Match: "prefix"})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 9 * 4096 {
				routertest.Expect[*wamp.Invocation](callee)
			}
		}()
		for k, p := range peers[1:] {
			for i := range 4096 {
				p.Send(&wamp.Call{Request: p.NextID(), Procedure: longURI(k<<12|i, 255), Options: wamp.CallOptions{Timeout: 3_600_000}})
			}
		}
		<-done
	}},
	{"payloads of waiting calls", 9, 8, func(t *testing.T, p *routertest.Process, peers []*routertest.Peer) {
		payload := strings.Repeat("x", 16<<10)
		for i := range peers[1:] {
			peers[0].Register(wamp.URI(fmt.Sprintf("com.example.p%d", i)), wamp.RegisterOptions{Concurrency: 1})
		}
		for i, p := range peers[1:] {
			procedure := wamp.URI(fmt.Sprintf("com.example.p%d", i))
			refused := false
			for n := 0; !refused && n < 1000; n++ {
				p.Send(&wamp.Call{Request: p.NextID(), Procedure: procedure, Payload: p.Clear(payload)})
				if n%16 == 15 { // an answer shows what has become of those before
					refused = !roundTrip(p)
				}
			}
			if !refused {
				t.Error("calls may wait without bound")
			}
		}
	}},
	{"send queue", 17, 16, func(t *testing.T, _ *routertest.Process, peers []*routertest.Peer) {
		alice := peers[16]
		for i, p := range peers[:16] {
			p.Subscribe(wamp.URI(fmt.Sprintf("com.example.t%d", i)), wamp.MatchExact)
		}
		payload := alice.Clear(strings.Repeat("x", 64<<10))
		for i := range peers[:16] {
			for range 100 { // they don't read, and the kernel takes some of it
				alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: wamp.URI(fmt.Sprintf("com.example.t%d", i)), Payload: payload})
			}
		}
		roundTrip(alice)
	}},
	{"testaments", 200, 200, func(t *testing.T, _ *routertest.Process, peers []*routertest.Peer) {
		each(peers, 16, func(p *routertest.Peer, i int) {
			p.AddTestament("com.example.will", wamp.FormNone, strings.Repeat("x", 12000), "")
		}, func(p *routertest.Peer) { p.Receive() })
	}},
	{"details of a session", 20, 20, func(t *testing.T, p *routertest.Process, peers []*routertest.Peer) {
		for _, p := range peers {
			for i := range 32 {
				list := make([]any, 200+100*i)
				for j := range list {
					list[j] = map[string]any{"": nil}
				}
				p.SendCallMeta("wamp.session.modify_details", nil, p.ID, map[string]any{fmt.Sprint("d", i): list, fmt.Sprint("t", i): strings.Repeat("x", 1000)})
				p.Receive()
			}
		}
		if p.Metric(`blindfold_refused_total{realm="realm1",reason="limit",type="CALL"}`) == 0 {
			t.Error("details have no bound")
		}
	}},
	{"retained events", 1, 1, func(t *testing.T, _ *routertest.Process, peers []*routertest.Peer) {
		alice := peers[0]
		for i := range 30_000 {
			alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: longURI(i, 100), Options: wamp.PublishOptions{Retain: wamp.True}})
		}
		roundTrip(alice)
	}},
	{"history", 1, 1, func(t *testing.T, _ *routertest.Process, peers []*routertest.Peer) {
		alice := peers[0]
		for range 40_000 {
			alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: "com.example.kept"})
		}
		roundTrip(alice)
	}},
}

// authority is that of the test's router: one for all its clients.
func authority(t *testing.T) *routertest.Authority {
	a, _ := authorities.LoadOrStore(t.Name(), sync.OnceValue(func() *routertest.Authority { return routertest.NewAuthority(t) }))
	return a.(func() *routertest.Authority)()
}

var authorities sync.Map

// join opens a session whose HELLO is changed.
func join(t *testing.T, p *routertest.Process, trust *tls.Config, change ...func(*wamp.Hello)) {
	t.Helper()
	conn, err := transport.Dial(routertest.Context(t), p.URLs["rawsocket"], transport.DialOptions{TLS: trust})
	routertest.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	peer := &routertest.Peer{T: t, Name: "peer", Conn: conn}
	peer.Hello(change...)
}

// each has all peers send n messages, and then take the answers. Every message of a peer
// has another number.
func each(peers []*routertest.Peer, n int, send func(p *routertest.Peer, i int), answer func(p *routertest.Peer)) {
	for k, p := range peers {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range n {
				answer(p)
			}
		}()
		for i := range n {
			send(p, k*n+i)
		}
		<-done
	}
}

// roundTrip waits until the router has routed what the peer has sent, and reports whether
// none of it was refused.
func roundTrip(p *routertest.Peer) (ok bool) {
	ok = true
	p.Send(&wamp.Publish{Request: p.NextID(), Topic: "com.example.nobody", Options: wamp.PublishOptions{Acknowledge: wamp.True}})
	for {
		switch p.Receive().(type) {
		case *wamp.Published:
			return ok
		case *wamp.Error:
			ok = false
		}
	}
}

// begin opens a RawSocket session for JSON without more.
func begin(t *testing.T, p *routertest.Process) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URLs["rawsocket"], "rs://"))
	routertest.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	hello := `[1,"realm1",{"roles":{"publisher":{}}}]`
	write(t, conn, append([]byte{0x7f, 0xf1, 0, 0, 0, 0, 0, byte(len(hello))}, hello...))
	routertest.NoError(t, conn.SetReadDeadline(time.Now().Add(routertest.Timeout)))
	_, err = conn.Read(make([]byte, 4))
	routertest.NoError(t, err)
	_, err = conn.Read(make([]byte, 4096)) // WELCOME
	routertest.NoError(t, err)
	return conn
}

func write(t *testing.T, conn net.Conn, b []byte) {
	t.Helper()
	_, err := conn.Write(b)
	routertest.NoError(t, err)
}

// resident is the resident set of a process in bytes.
func resident(t *testing.T, p *routertest.Process) int {
	t.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Cmd.Process.Pid))
	routertest.NoError(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	routertest.NoError(t, err)
	return pages * os.Getpagesize()
}

// Everything that clients can make the router keep is in the table of docs/limits.md,
// and takes no more than half again of what that says.
func TestMemoryTable(t *testing.T) {
	testenv.SkipSlow(t, "half a minute")
	if runtime.GOOS != "linux" {
		t.Skip("the resident set is read from /proc")
	}
	bounds := memoryTable(t)
	for _, h := range hoards {
		t.Run(strings.ReplaceAll(h.row, " ", "_"), func(t *testing.T) {
			bound, there := bounds[h.row]
			if !there {
				t.Fatalf("docs/limits.md has no row %q", h.row)
			}
			listeners := "\nlisteners:\n  - rawsocket: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"
			if strings.Contains(h.row, "TLS") {
				listeners = authority(t).Listeners()
			}
			p := routertest.StartProcess(t, listeners+memoryConfig, "env", "GOGC=10")
			peers := make([]*routertest.Peer, h.sessions)
			for i := range peers {
				peers[i] = routertest.JoinProcess(t, p, fmt.Sprint("peer", i), wamp.JSON)
			}
			before := resident(t, p)
			h.fill(t, p, peers)
			kept, most := resident(t, p)-before, h.n*bound
			t.Logf("%d kept of %d, %d each", kept, most, kept/h.n)
			if kept > most*3/2 {
				t.Errorf("%d bytes are kept, %d each, where the table has %d each", kept, kept/h.n, bound)
			}
			if kept < most/4 {
				t.Errorf("%d bytes are kept, %d each: the bound was not met", kept, kept/h.n)
			}
		})
	}
	for row := range bounds {
		if !filled(row) {
			t.Errorf("nothing fills %q", row)
		}
	}
}

func filled(row string) bool {
	for _, h := range hoards {
		if h.row == row {
			return true
		}
	}
	return false
}

// memoryTable reads the table: what each row takes, in bytes.
func memoryTable(t *testing.T) map[string]int {
	t.Helper()
	doc, err := os.ReadFile("../../docs/limits.md")
	routertest.NoError(t, err)
	_, section, there := strings.Cut(string(doc), "\n## Memory\n")
	if !there {
		t.Fatal("docs/limits.md has no section on memory")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	bounds := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \| (\d+) (B|KiB|MiB) \|`).FindAllStringSubmatch(section, -1) {
		n, err := strconv.Atoi(m[2])
		routertest.NoError(t, err)
		switch m[3] {
		case "KiB":
			n <<= 10
		case "MiB":
			n <<= 20
		}
		bounds[m[1]] = n
	}
	return bounds
}
