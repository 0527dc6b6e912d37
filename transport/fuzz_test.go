package transport

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

const fuzzLimit = 5000

// fuzzFrames checks that raw comes to the same however it is cut and whatever
// deadlines pass meanwhile, and that the frames keep the limit.
func fuzzFrames(t *testing.T, f Framing, raw []byte, size uint16) {
	want, wantErr := readAll(play(f, fuzzLimit, bytes.Clone(raw)))
	for _, n := range []int{1, int(size)%4096 + 1} {
		got, err := readAll(play(f, fuzzLimit, cut(raw, n, true)...))
		if fmt.Sprint(got) != fmt.Sprint(want) || err.Error() != wantErr.Error() {
			t.Fatalf("in chunks of %d: %v, %v; at once: %v, %v", n, got, err, want, wantErr)
		}
	}
	for _, frame := range want {
		if _, body, _ := strings.Cut(frame, ":"); len(body) > 2*fuzzLimit {
			t.Fatalf("a frame of %d bytes was handed up", len(body)/2)
		}
	}
}

func seed(f *testing.F, framings ...string) {
	for _, v := range loadVectors(f) {
		for i, framing := range framings {
			if raw := unhex(f, strings.Join(v.Bytes, " ")); v.Framing == framing && len(raw) < 1<<16 {
				f.Add(raw, uint16(i))
			}
		}
	}
}

func FuzzRawSocket(f *testing.F) {
	seed(f, "raw")
	f.Fuzz(func(t *testing.T, raw []byte, size uint16) { fuzzFrames(t, FramingRaw, raw, size) })
}

func FuzzWebSocket(f *testing.F) {
	seed(f, "text", "binary", "client")
	f.Fuzz(func(t *testing.T, raw []byte, size uint16) {
		for _, framing := range []Framing{FramingMaskedText, FramingMaskedBinary, FramingText} {
			fuzzFrames(t, framing, raw, size)
		}
	})
}

// FuzzHandshake checks that a handshake ends in a connection or a refusal, and
// says the same to the peer.
func FuzzHandshake(f *testing.F) {
	f.Add([]byte("\x7f\xf2\x00\x00"))
	f.Add([]byte(request("/ws", offerJSON)))
	f.Add([]byte(request("/ws", offerJSON, "Origin: http://router.example:8080", "Cookie: a=b")))
	f.Add([]byte("GET\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		reply := new(recorder)
		reply.chunks, reply.end = cut(raw, 1000, false), io.EOF
		g := serverHandshake{stream: reply, opts: &ListenOptions{}, limits: Limits{}.withDefaults()}
		if g.readAtLeast(1) != nil {
			return
		}
		var c *conn
		var refusal *wamp.Refusal
		web := false
		switch first := g.in.bytes()[0]; {
		case first == rawMagic:
			c, refusal = g.rawSocket()
		case first >= 'A' && first <= 'Z':
			web = true
			c, refusal = g.webSocket()
		default:
			return
		}
		if (c == nil) == (refusal == nil) {
			t.Fatal("neither a connection nor a refusal")
		}
		if c != nil && !c.info.Serializer.Valid() {
			t.Fatal("a connection without a serializer")
		}
		if web && reply.Len() > 0 && strings.HasPrefix(reply.String(), "HTTP/1.1 101") != (c != nil) {
			t.Fatalf("answered %q", reply.String())
		}
	})
}

// recorder is a script that keeps what is written to it.
type recorder struct {
	script
	bytes.Buffer
}

func (r *recorder) write(segments [][]byte, _ time.Duration) (int, error) {
	for _, s := range segments {
		r.Write(s)
	}
	return size(segments), nil
}
