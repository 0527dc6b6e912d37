package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A context that is cancelled ends Dial at whatever point of the handshakes the
// router has stopped, and the connection with it.
func TestClientDialIsCancelled(t *testing.T) {
	a := routertest.NewAuthority(t)
	for _, scheme := range []string{"ws", "wss", "rs", "rss", "unix"} {
		t.Run(scheme, func(t *testing.T) {
			network, address := "tcp", "127.0.0.1:0"
			if scheme == "unix" {
				network, address = "unix", filepath.Join(t.TempDir(), "s")
			}
			l, err := net.Listen(network, address)
			routertest.NoError(t, err)
			defer l.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			outcome := make(chan error, 1)
			go func() {
				s, err := client.Dial(ctx, client.Config{URL: scheme + "://" + l.Addr().String(), Realm: routertest.Realm, TLS: a.Trust()})
				if err == nil {
					_ = s.Close()
				}
				outcome <- err
			}()
			conn, err := l.Accept()
			routertest.NoError(t, err)
			defer conn.Close()
			// The client has begun, and waits.
			_ = conn.SetDeadline(time.Now().Add(routertest.Timeout))
			_, err = conn.Read(make([]byte, 1))
			routertest.NoError(t, err)
			cancel()
			if err := routertest.Receive(t, outcome); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			var timeout net.Error
			if _, err := io.Copy(io.Discard, conn); errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the connection is left open")
			}
		})
	}
	t.Run("WELCOME", func(t *testing.T) {
		near, far := transport.Pipe(wamp.JSON)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _ = far.Read() // HELLO
			cancel()
		}()
		outcome := make(chan error, 1)
		go func() {
			_, err := client.Join(ctx, near, client.Config{Realm: routertest.Realm})
			outcome <- err
		}()
		if err := routertest.Receive(t, outcome); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if _, err := far.Read(); err == nil {
			t.Error("the connection is left open")
		}
	})
}

// Close says goodbye and hears it back; what is in flight ends with ErrClosed,
// and nothing is left at the router.
func TestClientClosesCleanly(t *testing.T) {
	for _, over := range routertest.Transports {
		t.Run(over, func(t *testing.T) {
			w := routertest.NewWorld(t)
			var way *relay
			c := client.Config{Realm: routertest.Realm, Connect: func(context.Context) (transport.Conn, error) { return w.Dial(over, wamp.JSON), nil }}
			if over == "websocket" || over == "rawsocket" {
				u, err := url.Parse(w.URLs[over])
				routertest.NoError(t, err)
				way = newRelay(t, u.Host)
				u.Host = way.Addr().String()
				c.URL, c.Connect = u.String(), nil
			}
			bob := w.Client(over, wamp.JSON, client.Config{})
			begun := make(chan struct{})
			_, err := bob.Register(routertest.Context(t), "com.procedure", func(ctx context.Context, _ *client.Invocation) (*client.Result, error) {
				close(begun)
				<-ctx.Done()
				return nil, ctx.Err()
			}, client.RegisterOptions{})
			routertest.NoError(t, err)
			alice, err := client.Dial(routertest.Context(t), c)
			routertest.NoError(t, err)
			_, err = alice.Subscribe(routertest.Context(t), "com.topic", func(context.Context, *client.Event) {}, client.SubscribeOptions{})
			routertest.NoError(t, err)
			called := make(chan error, 1)
			go func() {
				_, err := alice.Call(routertest.Context(t), "com.procedure", nil, nil, client.CallOptions{})
				called <- err
			}()
			routertest.Receive(t, begun)
			for range 2 {
				routertest.NoError(t, alice.Close())
			}
			routertest.Receive(t, alice.Done())
			if err := routertest.Receive(t, called); err != client.ErrClosed {
				t.Errorf("the call: %v", err)
			}
			if _, err := alice.Publish(routertest.Context(t), "com.topic", nil, nil, client.PublishOptions{}); err != client.ErrClosed || alice.Err() != nil {
				t.Errorf("after Close: %v, %v", err, alice.Err())
			}
			w.WaitSessions(1)
			if way != nil && !bytes.Contains(way.heard(), []byte(wamp.CloseGoodbyeAndOut)) {
				t.Error("the router's GOODBYE did not come")
			}
		})
	}
}
