package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"golang.org/x/sys/unix"
)

// A listener that fails for good is told by /readyz and in the log, and the others
// go on. The end of the server, or a start that fails, is no such failure.
func TestListenerThatFails(t *testing.T) {
	for name, fail := range map[string]func(*net.TCPListener) error{
		// As any process can that holds the same socket, like the service manager.
		"shut down": func(l *net.TCPListener) error {
			raw, err := l.SyscallConn()
			if err != nil {
				return err
			}
			var failed error
			err = raw.Control(func(fd uintptr) { failed = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
			if err != nil {
				return err
			}
			return failed
		},
		"closed under the server": (*net.TCPListener).Close,
	} {
		t.Run(name, func(t *testing.T) {
			log := &errorLog{told: make(chan struct{}, 1)}
			c := defaults()
			c.listeners = []listenerConfig{{network: "tcp", address: "127.0.0.1:0", rawsocket: true}}
			c.admin = "127.0.0.1:0"
			s, err := start(c, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError})))
			if err != nil {
				t.Fatal(err)
			}
			defer s.shutdown()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s.serve("listeners[1]", l, c.listeners[0])
			first, second, admin := urlOf(s.addresses[0]), urlOf(s.addresses[2]), urlOf(s.addresses[1])
			connects(t, first)
			connects(t, second)
			if status, text := get(t, admin+"/readyz"); status != http.StatusOK {
				t.Fatalf("at first: %d, %s", status, text)
			}

			if err := fail(l.(*net.TCPListener)); err != nil {
				t.Fatal(err)
			}
			select {
			case <-log.told:
			case <-time.After(10 * time.Second):
				t.Fatal("the log says nothing")
			}
			if got := log.String(); !strings.Contains(got, "listener failed permanently") || !strings.Contains(got, "listener=listeners[1] address="+l.Addr().String()) {
				t.Errorf("logged: %s", got)
			}
			if status, text := get(t, admin+"/readyz"); status != http.StatusServiceUnavailable || text != "listeners[1] failed: a restart is needed\n" {
				t.Errorf("%d, %s", status, text)
			}
			if status, _ := get(t, admin+"/healthz"); status != http.StatusOK {
				t.Errorf("/healthz: %d", status)
			}
			connects(t, first)

			before := log.String()
			s.shutdown()
			if after := log.String(); after != before {
				t.Errorf("the end of the server is logged as a failure: %s", after[len(before):])
			}
		})
	}
}

// A start that fails at its second listener closes the first, and tells no failure
// but its own.
func TestStartThatFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	log := new(errorLog)
	c := defaults()
	c.listeners = []listenerConfig{
		{network: "tcp", address: address, rawsocket: true},
		{network: "tcp", address: taken.Addr().String(), rawsocket: true},
	}
	if _, err := start(c, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError}))); err == nil {
		t.Fatal("an address that is taken was listened on")
	}
	if again, err := net.Listen("tcp", address); err != nil {
		t.Errorf("the first listener is still open: %v", err)
	} else {
		_ = again.Close()
	}
	if got := log.String(); got != "" {
		t.Errorf("logged: %s", got)
	}
}

// urlOf is the URL in a line of describe.
func urlOf(line string) string {
	for word := range strings.FieldsSeq(line) {
		if strings.Contains(word, "://") {
			return word
		}
	}
	return ""
}

func connects(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := transport.Dial(ctx, url, transport.DialOptions{Serializer: wamp.JSON})
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return
	}
	_ = conn.Close()
}

func get(t *testing.T, url string) (status int, text string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// errorLog is what was logged; told gets word of the first line.
type errorLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	told chan struct{}
}

func (l *errorLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.told <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *errorLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
