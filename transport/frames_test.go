package transport

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// vector is a stream of bytes, and what has to become of it.
type vector struct {
	Name    string
	Framing string // raw, text, binary: what the receiving server speaks; client: a client of text
	Limit   int
	Bytes   []string // hex with spaces; "XX*n" repeats a byte
	Want    []string // the frames: op, colon, body in hex with the same shorthand
	Error   string   // of a *ProtocolError, or "EOF", or "unexpected EOF"
	Code    uint16   // the status code to close with
	TooBig  bool
}

var vectorFramings = map[string]Framing{
	"raw": FramingRaw, "text": FramingMaskedText, "binary": FramingMaskedBinary, "client": FramingText,
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		t.Fatal(err)
	}
	return list
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for field := range strings.FieldsSeq(s) {
		one, times, repeated := strings.Cut(field, "*")
		p, err := hex.DecodeString(one)
		if err != nil {
			t.Fatalf("%q: %v", field, err)
		}
		n := 1
		if repeated {
			if _, err := fmt.Sscan(times, &n); err != nil {
				t.Fatalf("%q: %v", field, err)
			}
		}
		out = append(out, bytes.Repeat(p, n)...)
	}
	return out
}

var opNames = [...]string{OpMessage: "message", OpPing: "ping", OpPong: "pong", OpClose: "close"}

// readAll reads to the end, and returns the frames as vectors name them.
func readAll(c *conn) (frames []string, err error) {
	for {
		f, err := c.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return frames, err
		}
		frames = append(frames, opNames[f.Op]+":"+hex.EncodeToString(f.Body))
	}
}

func TestVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			raw := unhex(t, strings.Join(v.Bytes, " "))
			var want []string
			for _, w := range v.Want {
				op, body, _ := strings.Cut(w, ":")
				want = append(want, op+":"+hex.EncodeToString(unhex(t, body)))
			}
			f, ok := vectorFramings[v.Framing]
			if !ok {
				t.Fatalf("unknown framing %q", v.Framing)
			}
			for _, size := range []int{len(raw) + 1, 1, 3} {
				if len(raw) > 1<<20 && size < 1000 {
					size *= 1 << 20
				}
				c := play(f, v.Limit, cut(raw, size, false)...)
				got, err := readAll(c)
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("in chunks of %d: got %v, want %v", size, got, want)
				}
				checkEnd(t, v, err)
				if c.in.mem != nil && c.err != io.EOF {
					t.Errorf("in chunks of %d: a buffer is held after the end", size)
				}
			}
		})
	}
}

func checkEnd(t *testing.T, v vector, err error) {
	t.Helper()
	var p *ProtocolError
	if !errors.As(err, &p) {
		if err.Error() != v.Error {
			t.Errorf("error %q, want %q", err, v.Error)
		}
		return
	}
	if p.Text != v.Error || p.CloseCode != v.Code || p.TooBig != v.TooBig {
		t.Errorf("error %q, code %d, too big %v; want %q, %d, %v",
			p.Text, p.CloseCode, p.TooBig, v.Error, v.Code, v.TooBig)
	}
}

// cut returns copies of p's bytes in chunks of that size, and deadlines that
// pass between them.
func cut(p []byte, size int, deadlines bool) [][]byte {
	var out [][]byte
	for len(p) > 0 {
		n := min(size, len(p))
		out = append(out, bytes.Clone(p[:n]))
		if deadlines {
			out = append(out, nil)
		}
		p = p[n:]
	}
	return out
}

// What one side frames, the other reads, in every framing, at every size at which a
// header changes, whatever size Begin was told. What precedes the frame stays.
func TestFramesRoundTrip(t *testing.T) {
	for f := range Framings {
		for _, op := range []Op{OpMessage, OpPing, OpPong, OpClose} {
			for _, n := range []int{0, 1, 2, 125, 126, 127, 0xFFFF, 0x10000, 70000} {
				body := bytes.Repeat([]byte{'a'}, n)
				if op == OpClose && n >= 2 {
					copy(body, CloseBody(1000, ""))
				}
				one := f.AppendFrame([]byte("before"), op, body)
				framed := [][]byte{one}
				for _, told := range []int{0, n, 1000, 70000} {
					b := append(f.Begin([]byte("before"), told), body...)
					framed = append(framed, f.Finish(b, len("before"), len(b)-n, op))
				}
				if !f.carries(op, n) || op == OpClose && n == 1 && f != FramingMemory {
					continue
				}
				for _, b := range framed {
					frame, ok := bytes.CutPrefix(b, []byte("before"))
					if !ok {
						t.Errorf("framing %d, op %d, %d bytes: what precedes the frame has changed", f, op, n)
					}
					got, err := play(f, 1<<20, bytes.Clone(frame)).Read()
					if err != nil || got.Op != op || !bytes.Equal(got.Body, body) {
						t.Errorf("framing %d, op %d, %d bytes: got op %d, %d bytes, %v", f, op, n, got.Op, len(got.Body), err)
					}
				}
			}
		}
	}
}

// What can't be framed is not framed wrongly.
func TestFramesThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		f    Framing
		op   Op
		size int
	}{
		{FramingRaw, OpMessage, rawMax + 1},
		{FramingRaw, OpClose, 0},
		{FramingText, OpPing, 126},
		{FramingMaskedBinary, OpClose, 126},
	} {
		body := make([]byte, c.size)
		if got := c.f.AppendFrame([]byte("x"), c.op, body); string(got) != "x" {
			t.Errorf("%+v: AppendFrame gave %d bytes", c, len(got)-1)
		}
		b := append(c.f.Begin(nil, c.size), body...)
		if got := c.f.Finish(b, 0, len(b)-c.size, c.op); got != nil {
			t.Errorf("%+v: Finish gave %d bytes", c, len(got))
		}
	}
}

func TestMaskChangesWithEveryFrame(t *testing.T) {
	keys := make(map[string]bool)
	for range 64 {
		frame := FramingMaskedText.AppendFrame(nil, OpMessage, []byte("x"))
		keys[string(frame[2:6])] = true
	}
	if len(keys) < 60 {
		t.Errorf("64 frames with %d keys", len(keys))
	}
}

func TestCloseBodyFits(t *testing.T) {
	b := CloseBody(1002, strings.Repeat("é", 100))
	if len(b) > wsControlMax || len(b) < wsControlMax-1 || checkClose(b) != nil {
		t.Errorf("%d bytes, %v", len(b), checkClose(b))
	}
}

// Buffered says yes only where Read won't wait, and whenever a whole frame is
// there.
func TestBufferedAgreesWithRead(t *testing.T) {
	for _, v := range loadVectors(t) {
		raw := unhex(t, strings.Join(v.Bytes, " "))
		f := vectorFramings[v.Framing]
		for n := 1; n <= min(len(raw), 200); n++ {
			// All of raw[:n] arrives at once; then reading would wait.
			c := play(f, v.Limit, bytes.Clone(raw[:n]))
			c.stream.(*script).end = os.ErrDeadlineExceeded
			if err := c.stream.fill(&c.in, 0); err != nil {
				t.Fatal(err)
			}
			for {
				ready := c.Buffered()
				_, err := c.Read()
				waited := errors.Is(err, os.ErrDeadlineExceeded)
				if ready == waited {
					t.Fatalf("%s: after %d bytes: Buffered %v, but Read: %v", v.Name, n, ready, err)
				}
				if err != nil {
					break
				}
			}
		}
	}
}

// A header's promise costs no memory: what is held follows what has arrived.
func TestMemoryFollowsArrival(t *testing.T) {
	const limit = 16 << 20
	for _, f := range []Framing{FramingRaw, FramingMaskedBinary, FramingMemory} {
		frame := f.AppendFrame(nil, OpMessage, make([]byte, 8<<20))
		c := play(f, limit)
		s := c.stream.(*script)
		s.end = os.ErrDeadlineExceeded
		for sent := 0; sent < 4<<20; {
			n := 3000
			s.chunks = [][]byte{bytes.Clone(frame[sent : sent+n])}
			sent += n
			for len(s.chunks) > 0 {
				if _, err := c.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal(err)
				}
			}
			if held := len(c.in.mem); held > max(classSizes[startClasses-1], 2*sent) {
				t.Fatalf("framing %d: %d bytes arrived, %d are held", f, sent, held)
			}
		}
	}
}

// Many messages, one read: the bodies are parts of the read buffer.
func TestMessagesAreHandedUpInPlace(t *testing.T) {
	for _, f := range []Framing{FramingRaw, FramingMaskedText, FramingMaskedBinary, FramingText} {
		var raw []byte
		for range 100 {
			raw = f.AppendFrame(raw, OpMessage, []byte("0123456789"))
		}
		c := play(f, 1<<10, raw)
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(90, func() {
			if !c.Buffered() {
				t.Fatal("not buffered")
			}
			if f, err := c.Read(); err != nil || string(f.Body) != "0123456789" {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("framing %d: %v allocations per frame", f, n)
		}
	}
}

func TestReadLimitCanBeRaised(t *testing.T) {
	raw := FramingRaw.AppendFrame(nil, OpMessage, make([]byte, 100))
	raw = FramingRaw.AppendFrame(raw, OpMessage, make([]byte, 900))
	raw = FramingRaw.AppendFrame(raw, OpMessage, make([]byte, 1001))
	c := newConn(&script{chunks: [][]byte{raw}, end: io.EOF}, new(buffer), Info{}, FramingRaw, 100, 1000)
	if f, err := c.Read(); err != nil || len(f.Body) != 100 {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 30) // no further than what the connection was made with
	if f, err := c.Read(); err != nil || len(f.Body) != 900 {
		t.Fatal(err)
	}
	var p *ProtocolError
	for range 2 { // an error stays
		if _, err := c.Read(); !errors.As(err, &p) || !p.TooBig {
			t.Fatalf("a message over the limit: %v", err)
		}
	}
}
