package transport

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// A router may send its first message together with the end of the handshake.
func TestDialKeepsWhatFollowsTheHandshake(t *testing.T) {
	for _, scheme := range []string{"rs", "ws"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		served := make(chan error, 1)
		go func() {
			nc, err := l.Accept()
			if err != nil {
				served <- err
				return
			}
			defer nc.Close()
			var reply bytes.Buffer
			f := FramingRaw
			if scheme == "ws" {
				f = FramingText
				_, err = ws.Upgrader{Protocol: func([]byte) bool { return true }}.Upgrade(struct {
					io.Reader
					io.Writer
				}{nc, &reply})
			} else {
				_, err = io.CopyN(&reply, nc, 4)
			}
			if err == nil {
				_, err = nc.Write(f.AppendFrame(reply.Bytes(), OpMessage, []byte("early")))
			}
			served <- err
		}()
		c := dial(t, scheme+"://"+l.Addr().String(), DialOptions{})
		if f := receive(t, c); string(f.Body) != "early" {
			t.Errorf("%s: %q", scheme, f.Body)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// So may a client that is sure of itself.
func TestServeHTTPKeepsWhatFollowsTheHandshake(t *testing.T) {
	s, _ := newServer()
	h := httptest.NewServer(s)
	defer h.Close()
	defer s.Close()
	nc := dialNet(t, strings.TrimPrefix(h.URL, "http://"))
	nc.Write(FramingMaskedText.AppendFrame([]byte(request("/", offerJSON)), OpMessage, []byte("early")))
	r := bufio.NewReader(nc)
	if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer, err)
	}
	got := make([]byte, len("\x81\x05early"))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "\x81\x05early" {
		t.Errorf("%q, %v", got, err)
	}
}
