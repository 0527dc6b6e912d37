package hostile

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	bigendian "encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// hostileRow is a row of the corpus; testdata/hostile/README.md says what its
// fields mean.
type hostileRow struct {
	Name       string
	Transport  string
	To         string
	TLS        bool
	Serializer string
	Session    bool
	Unread     bool
	Slow       bool
	Allocates  int // over what every row may, in bytes
	Steps      []hostileStep
	Expect     string
	URI        wamp.URI
	Code       int
	Bytes      string
}

type hostileStep struct {
	Text       string
	Hex        string
	Message    string
	MessageHex string `yaml:"message_hex"`
	Within     int
	End        string
	Zeros      int
	Times      int
	Every      time.Duration
	Subscribe  wamp.URI
	Publish    wamp.URI
}

// TestHostileCorpus sends every row to the built server.
func TestHostileCorpus(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	dir := t.TempDir()
	routertest.SelfSigned(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), "router")
	p := routertest.StartProcess(t, fmt.Sprintf(hostileConfig, dir), logTo(log)...)
	for _, name := range []string{"rawsocket-full", "websocket-full", "tls", "both"} {
		p.URLs[name] = "unix://" + filepath.Join(dir, name)
	}
	around := newSurroundings(t, p)
	for _, over := range []string{"rawsocket", "websocket"} {
		around.occupy(over, over+"-full")
	}
	before := seriesOf(p)
	files, err := filepath.Glob("../../testdata/hostile/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("there is no corpus", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rows []hostileRow
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&rows); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, row := range rows {
			over := []string{row.Transport}
			if row.Transport == "any" {
				over = []string{"rawsocket", "websocket"}
			}
			if row.Slow && !testenv.All() {
				continue
			}
			for _, row.Transport = range over {
				name := strings.TrimSuffix(filepath.Base(file), ".yaml") + "/" + row.Transport + " " + row.Serializer + " " + row.Name
				t.Run(name, func(t *testing.T) {
					before := memoryUse(p)
					sent := runHostile(t, p.URLs, &row, around, before)
					around.checkMemory(t, before, sent+row.Allocates)
					around.check(t)
				})
			}
		}
	}
	// Whatever was sent is shown nowhere.
	text, err := os.ReadFile(log)
	routertest.NoError(t, err)
	if !bytes.Contains(text, []byte("refused")) {
		t.Error("the log says nothing of what was refused")
	}
	for line := range bytes.Lines(text) {
		if len(line) > 1<<10 {
			t.Errorf("a line of %d bytes is logged: %.200s", len(line), line)
		}
		if bytes.Contains(line, []byte("CANARY")) && !bytes.Contains(line, []byte(`"uri":`)) && !bytes.Contains(line, []byte(`"origin":`)) {
			t.Errorf("logged: %s", line)
		}
	}
	if strings.Contains(p.Get("/metrics"), "CANARY") {
		t.Error("a metric shows what was sent")
	}
	for series := range seriesOf(p) {
		if !before[series] && !isClosed(series) {
			t.Errorf("a new metric series: %s", series)
		}
	}
}

// logTo has startServer write the log to a file.
func logTo(file string) []string {
	return []string{"sh", "-c", `log=$1; shift; exec "$@" 2>"$log"`, "sh", file}
}

const hostileConfig = `
listeners:
  - websocket: 127.0.0.1:0
  - rawsocket: 127.0.0.1:0
  - {rawsocket: "unix:%[1]s/rawsocket-full", connections: 1}
  - {websocket: "unix:%[1]s/websocket-full", connections: 1}
  - {both: "unix:%[1]s/tls", tls: {cert: "%[1]s/cert.pem", key: "%[1]s/key.pem"}}
  - both: unix:%[1]s/both
admin: {address: "127.0.0.1:0", pprof: true}
log: {level: debug, format: json}
limits: {hello: 1s, message: 16MiB, ping_every: 5m}
`

// surroundings are the ordinary users of a server under attack.
type surroundings struct {
	t         *testing.T
	p         *routertest.Process
	bystander *routertest.Peer
	started   float64 // when the server was
	n         int
}

const bystanderTopic wamp.URI = "com.example.bystander"

func newSurroundings(t *testing.T, p *routertest.Process) *surroundings {
	s := &surroundings{t: t, p: p, started: p.Metric("process_start_time_seconds"), bystander: routertest.JoinProcess(t, p, "bystander", wamp.JSON)}
	s.bystander.Subscribe(bystanderTopic, wamp.MatchExact)
	return s
}

// occupy takes a place on a listener, and keeps it.
func (s *surroundings) occupy(over, listener string) {
	w := dialWire(s.t, s.p.URLs, &hostileRow{Transport: over, To: listener})
	w.hello()
}

// memory is what a process holds after collecting garbage, and what it has ever
// allocated, in bytes.
type memory struct{ live, total int }

func memoryUse(p *routertest.Process) memory {
	p.T.Helper()
	var m memory
	text := p.Get("/debug/pprof/heap?gc=1&debug=1")
	for line := range strings.Lines(text) {
		_, _ = fmt.Sscanf(line, "# HeapAlloc = %d", &m.live)
		_, _ = fmt.Sscanf(line, "# TotalAlloc = %d", &m.total)
	}
	if m.live == 0 || m.total == 0 {
		p.T.Fatalf("the profile does not say how much memory there is: %.200q", text)
	}
	return m
}

// spare is how much more memory a hostile client may make the server take.
const spare = 1 << 20

// checkMemory shows that the server has allocated no more than spare beside what
// was sent, whose buffers double while it arrives, and a copy or two; and that it
// holds no more than spare when the client has gone.
func (s *surroundings) checkMemory(t *testing.T, before memory, sent int) {
	t.Helper()
	after := memoryUse(s.p)
	if n := after.total - before.total; n > spare+4*sent {
		t.Errorf("the server allocated %d bytes for the %d that were sent", n, sent)
	}
	for deadline := time.Now().Add(routertest.Timeout); after.live > before.live+spare; after = memoryUse(s.p) {
		if time.Now().After(deadline) {
			t.Fatalf("the server holds %d bytes, and held %d before", after.live, before.live)
		}
	}
}

// check shows that the server is the same process, that a fresh publication
// reaches a fresh subscriber, and that the bystander misses nothing.
func (s *surroundings) check(t *testing.T) {
	t.Helper()
	if started := s.p.Metric("process_start_time_seconds"); started != s.started {
		t.Fatalf("another server, started at %f and not at %f", started, s.started)
	}
	alice, bob := routertest.JoinProcess(t, s.p, "alice", wamp.MsgPack), routertest.JoinProcess(t, s.p, "bob", wamp.MsgPack)
	bob.Subscribe(bystanderTopic, wamp.MatchExact)
	s.n++
	alice.Publish(bystanderTopic, wamp.Attributes{}, alice.Clear(s.n))
	routertest.Expect[*wamp.Published](alice)
	s.bystander.T = t
	for _, p := range []*routertest.Peer{bob, s.bystander} {
		event := routertest.Expect[*wamp.Event](p)
		if args, _, err := event.Payload.Decode(); err != nil || len(args) != 1 || args[0] != int64(s.n) {
			t.Fatalf("%s got %v, want %d (%v)", p.Name, args, s.n, err)
		}
	}
	for _, p := range []*routertest.Peer{alice, bob} {
		_ = p.Conn.Close()
	}
}

// seriesOf returns the series that the server shows.
func seriesOf(p *routertest.Process) map[string]bool {
	all := make(map[string]bool)
	for line := range strings.Lines(p.Get("/metrics")) {
		if name, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(name, "blindfold_") {
			all[name] = true
		}
	}
	return all
}

// isClosed reports whether the labels of a series that appears with its first use have
// only values that the router knows, so that clients cannot make any number of them.
func isClosed(series string) bool {
	for _, label := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(series, -1) {
		known := false
		switch value := label[2]; label[1] {
		case "realm":
			known = value == "" || value == routertest.Realm
		case "reason":
			known = slices.Contains(wamp.Reasons[:], wamp.Reason(value))
		case "type":
			known = value == "" || value == "other" || slices.ContainsFunc(messageTypes, func(t wamp.MessageType) bool { return t.String() == value })
		case "transport":
			known = slices.Contains([]string{"websocket", "rawsocket", "memory", "other"}, value)
		case "serializer":
			known = slices.Contains([]string{"json", "msgpack", "cbor", "other"}, value)
		}
		if !known {
			return false
		}
	}
	return true
}

var messageTypes = []wamp.MessageType{wamp.TypeHello, wamp.TypeAbort, wamp.TypeAuthenticate, wamp.TypeGoodbye, wamp.TypeError,
	wamp.TypePublish, wamp.TypeSubscribe, wamp.TypeUnsubscribe, wamp.TypeCall, wamp.TypeCancel, wamp.TypeRegister, wamp.TypeUnregister, wamp.TypeYield}

// wire is a socket, and what has come from it.
type wire struct {
	t          *testing.T
	conn       net.Conn
	in         *bufio.Reader
	seen       bytes.Buffer // everything that came
	sent       atomic.Int64 // bytes
	web        bool
	serializer wamp.Serializer
	framing    transport.Framing
}

func dialWire(t *testing.T, urls map[string]string, row *hostileRow) *wire {
	t.Helper()
	to := cmp.Or(row.To, row.Transport)
	if to == "tcp" {
		to = "rawsocket"
	}
	u, err := url.Parse(urls[to])
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", u.Host
	if u.Scheme == "unix" {
		network, address = "unix", u.Path
	}
	conn, err := net.DialTimeout(network, address, routertest.Timeout)
	if err != nil {
		t.Fatal(err)
	}
	if row.TLS {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	t.Cleanup(func() { _ = conn.Close() })
	w := &wire{t: t, conn: conn, serializer: wamp.JSON, framing: transport.FramingRaw}
	_ = conn.SetReadDeadline(time.Now().Add(routertest.Timeout))
	w.in = bufio.NewReader(io.TeeReader(conn, &w.seen))
	switch row.Serializer {
	case "msgpack":
		w.serializer = wamp.MsgPack
	case "cbor":
		w.serializer = wamp.CBOR
	}
	switch row.Transport {
	case "rawsocket":
		w.write([]byte{0x7f, 0xf0 | byte(w.serializer), 0, 0})
		var answer [4]byte
		if _, err := io.ReadFull(w.in, answer[:]); err != nil {
			t.Fatal(err)
		}
	case "websocket":
		w.web, w.framing = true, transport.FramingMaskedBinary
		if w.serializer == wamp.JSON {
			w.framing = transport.FramingMaskedText
		}
		w.write(fmt.Appendf(nil, "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: wamp.2.%s\r\n\r\n", w.serializer))
		for {
			line, err := w.in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				break
			}
		}
	}
	return w
}

// write sends bytes; a server that has closed the connection already is what the
// row is about, so that is no failure.
func (w *wire) write(b []byte) error {
	_ = w.conn.SetWriteDeadline(time.Now().Add(routertest.Timeout))
	n, err := w.conn.Write(b)
	w.sent.Add(int64(n))
	return err
}

func (w *wire) message(body []byte) []byte {
	return w.framing.AppendFrame(nil, transport.OpMessage, body)
}

func (w *wire) send(m wamp.Message) error {
	body, err := codec.Append(nil, w.serializer, m)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.write(w.message(body))
}

// frame reads a frame: its body if it is a message, or the status of a close.
func (w *wire) frame() (message []byte, status int, err error) {
	for {
		var n int
		var op byte
		if w.web {
			var head [2]byte
			if _, err = io.ReadFull(w.in, head[:]); err != nil {
				return nil, 0, err
			}
			op, n = head[0]&15, int(head[1]&127)
			wide := map[int]int{126: 2, 127: 8}[n]
			if wide > 0 {
				var b [8]byte
				if _, err = io.ReadFull(w.in, b[8-wide:]); err != nil {
					return nil, 0, err
				}
				n = int(bigendian.BigEndian.Uint64(b[:]))
			}
		} else {
			var head [4]byte
			if _, err = io.ReadFull(w.in, head[:]); err != nil {
				return nil, 0, err
			}
			op, n = head[0]&7, int(bigendian.BigEndian.Uint32(head[:])&0xffffff)
		}
		body := make([]byte, n)
		if _, err = io.ReadFull(w.in, body); err != nil {
			return nil, 0, err
		}
		switch {
		case w.web && op == 8:
			if len(body) < 2 {
				return nil, 1005, nil
			}
			return nil, int(bigendian.BigEndian.Uint16(body)), nil
		case w.web && op < 8, !w.web && op == 0:
			return body, 0, nil
		}
	}
}

// receive reads the next message.
func (w *wire) receive() (wamp.Message, error) {
	for {
		body, status, err := w.frame()
		if err != nil {
			return nil, err
		}
		if status == 0 {
			return codec.NewDecoder().Decode(w.serializer, body)
		}
	}
}

// hello opens a session.
func (w *wire) hello() {
	w.t.Helper()
	h := &wamp.Hello{Realm: routertest.Realm}
	routertest.AllFeatures(h)
	if err := w.send(h); err != nil {
		w.t.Fatal(err)
	}
	if m, err := w.receive(); err != nil || m.Type() != wamp.TypeWelcome {
		w.t.Fatalf("no WELCOME: %v, %v", m, err)
	}
}

// ended reports whether the connection has ended, however.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// runHostile plays a row, and returns how many bytes it sent.
func runHostile(t *testing.T, urls map[string]string, row *hostileRow, around *surroundings, before memory) (bytesSent int) {
	w := dialWire(t, urls, row)
	if row.Session {
		w.hello()
	}
	sent := make(chan error, 1)
	go func() { sent <- w.play(row.Steps, around) }()
	defer func() {
		_ = w.conn.Close()
		<-sent
		bytesSent = int(w.sent.Load())
		if bytes.Contains(w.seen.Bytes(), []byte("CANARY")) {
			t.Errorf("what was sent is echoed: %q", w.seen.Bytes())
		}
	}()
	if row.Unread {
		err := <-sent
		sent <- nil
		if !ended(err) {
			t.Errorf("the server took all of it: %v", err)
		}
		return
	}
	w.judge(row, around, before)
	return
}

// play sends what the steps say, until the server has closed the connection.
func (w *wire) play(steps []hostileStep, around *surroundings) error {
	for _, s := range steps {
		switch {
		case s.Subscribe != "":
			if err := w.send(&wamp.Subscribe{Request: 1, Topic: s.Subscribe}); err != nil {
				return err
			}
			continue
		case s.Publish != "":
			// After this session's SUBSCRIBE is through: somebody else asks how
			// many subscribers there are until there is one.
			by := around.bystander
			for {
				by.Send(&wamp.Call{Request: by.NextID(), Procedure: "wamp.subscription.match", Payload: by.Clear(string(s.Publish))})
				m := by.Receive()
				if r, ok := m.(*wamp.Result); ok {
					if args, _, err := r.Payload.Decode(); err == nil && len(args) == 1 && args[0] != nil {
						break
					}
				}
			}
			by.Send(&wamp.Publish{Request: by.NextID(), Topic: s.Publish})
			continue
		}
		b := s.bytes(w)
		var batch []byte
		for i := range max(1, s.Times) {
			if s.Every > 0 {
				time.Sleep(s.Every)
			}
			batch = append(batch, b...)
			if s.Every > 0 || len(batch) > 64<<10 || i == max(1, s.Times)-1 {
				if err := w.write(batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
	}
	return nil
}

func (s *hostileStep) bytes(w *wire) []byte {
	unhex := func(text string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			w.t.Errorf("not hex: %q", text)
		}
		return b
	}
	if s.Message != "" || s.MessageHex != "" {
		body := []byte(s.Message)
		body = append(body, bytes.Repeat(unhex(s.MessageHex), max(1, s.Within))...)
		return w.message(append(body, s.End...))
	}
	return append(append([]byte(s.Text), unhex(s.Hex)...), make([]byte, s.Zeros)...)
}

// judge compares what the server does with what the row expects.
func (w *wire) judge(row *hostileRow, around *surroundings, before memory) {
	t := w.t
	switch row.Expect {
	case "closed":
		if row.Transport == "tcp" {
			if _, err := w.in.ReadByte(); !ended(err) {
				t.Errorf("the connection was not closed without a word: %v, %q", err, w.seen.Bytes())
			}
			return
		}
		if m, err := w.receive(); !ended(err) {
			t.Errorf("the connection was not closed: %v, %v", m, err)
		}
	case "reply":
		want, _ := hex.DecodeString(row.Bytes)
		got, err := io.ReadAll(w.in)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("the reply is %x, want %x and the end (%v)", got, want, err)
		}
	case "status":
		line, err := w.in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, fmt.Sprintf("HTTP/1.1 %d ", row.Code)) {
			t.Errorf("the answer is %q, want %d (%v)", line, row.Code, err)
		}
	case "tls-closed":
		// There may be an alert before the end.
		if got, err := io.ReadAll(w.in); err != nil && !ended(err) || len(got) > 7 || len(got) > 0 && got[0] != 21 {
			t.Errorf("the answer is %x, want an alert or nothing (%v)", got, err)
		}
	case "welcome":
		if m, err := w.receive(); err != nil || m.Type() != wamp.TypeWelcome {
			t.Errorf("no WELCOME: %v, %v", m, err)
		}
	case "upgraded":
		// No extension, and nothing that was not offered.
		got := http.Header{}
		response, err := http.ReadResponse(w.in, nil)
		if err == nil {
			got = response.Header
		}
		if err != nil || response.StatusCode != 101 || len(got) != 4 || got.Get("Sec-Websocket-Protocol") != "wamp.2.json" {
			t.Fatalf("the answer is %v (%v)", got, err)
		}
		w.web = true
		w.wantClose(row.Code)
	case "held":
		// Nothing comes, and nothing is held for what was promised: the memory is
		// looked at while the connection is there.
		around.checkMemory(t, before, 0)
	case "close":
		w.wantClose(row.Code)
	case "abort":
		m, err := w.receive()
		abort, ok := m.(*wamp.Abort)
		if err != nil || !ok || abort.Reason != row.URI || abort.Details.Message == "" {
			t.Fatalf("want ABORT %s with a message, got %+v, %v", row.URI, m, err)
		}
		if m, err := w.receive(); !ended(err) {
			t.Errorf("after ABORT: %v, %v", m, err)
		}
	case "error":
		m, err := w.receive()
		if e, ok := m.(*wamp.Error); err != nil || !ok || e.Error != row.URI {
			t.Fatalf("want ERROR %s, got %+v, %v", row.URI, m, err)
		}
		w.goesOn()
	case "ignored":
		w.goesOn()
	case "event":
		if m, err := w.receive(); err != nil || m.Type() != wamp.TypeSubscribed {
			t.Fatalf("no SUBSCRIBED: %v, %v", m, err)
		}
		m, err := w.receive()
		if err != nil || m.Type() != wamp.TypeEvent {
			t.Errorf("no EVENT: %v, %v", m, err)
		}
	default:
		t.Fatalf("unknown expectation %q", row.Expect)
	}
}

// wantClose reads until a close frame with that status, if it is not 0.
func (w *wire) wantClose(code int) {
	w.t.Helper()
	for code != 0 {
		_, status, err := w.frame()
		if err != nil {
			w.t.Fatalf("no close frame: %v", err)
		}
		if status == code {
			return
		}
		if status != 0 {
			w.t.Fatalf("closed with status %d, want %d", status, code)
		}
	}
}

// goesOn shows that the session does.
func (w *wire) goesOn() {
	const request = 77
	if err := w.send(&wamp.Unsubscribe{Request: request, Subscription: 1}); err != nil {
		w.t.Fatal(err)
	}
	for {
		m, err := w.receive()
		if err != nil {
			w.t.Fatalf("the session has ended: %v", err)
		}
		if e, ok := m.(*wamp.Error); ok && e.Request == request && e.RequestType == wamp.TypeUnsubscribe {
			return
		}
	}
}
