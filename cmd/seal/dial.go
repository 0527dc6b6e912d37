package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func (o *options) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, usageError("--ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usageError("--ca: %s contains no certificate (PEM)", o.ca)
		}
	}
	if o.cert != "" || o.certKey != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.certKey)
		if err != nil {
			return nil, usageError("--cert, --cert-key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// config makes the client's configuration.
func (o *options) config() (client.Config, error) {
	var c client.Config
	serializer, err := parseSerializer(o.serializer)
	if err != nil {
		return c, err
	}
	methods, err := o.authenticators()
	if err != nil {
		return c, err
	}
	header, err := o.cookie()
	if err != nil {
		return c, err
	}
	security, err := o.tls()
	if err != nil {
		return c, err
	}
	if !wamp.URI(o.realm).Valid(wamp.MatchExact) {
		return c, usageError("--realm must be a URI")
	}
	switch scheme, _, _ := strings.Cut(o.url, ":"); scheme {
	case "ws", "wss", "rs", "rss", "unix":
	default:
		return c, usageError("--url must begin with ws://, wss://, rs://, rss:// or unix:")
	}
	if !o.uri.Valid(o.match) {
		return c, usageError("%s is not a valid URI, or not a valid pattern for this --match", printable(string(o.uri)))
	}
	c = client.Config{
		URL: o.url, Realm: wamp.URI(o.realm), Serializer: serializer, TLS: security,
		Header: header, Auth: methods, AuthID: o.authID, AuthRole: o.authRole, Agent: "blindfold-seal",
	}
	err = o.configureSealing(&c)
	return c, err
}

func parseSerializer(name string) (wamp.Serializer, error) {
	for _, s := range wamp.Serializers {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, usageError("--serializer must be json, msgpack or cbor")
}

// dial joins the realm.
func (o *options) dial(ctx context.Context, change func(*client.Config)) (*client.Session, error) {
	c, err := o.config()
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(&c)
	}
	var joined atomic.Pointer[client.Session]
	if told := c.OnState; o.scopes != nil && told != nil {
		// Epochs may have passed meanwhile.
		c.OnState = func(state client.State, reason error) {
			told(state, reason)
			if s := joined.Load(); s != nil && state == client.Connected {
				go o.scopes.followAgain(ctx, s)
			}
		}
	}
	s, err := client.Dial(ctx, c)
	if err != nil {
		return nil, dialError(err)
	}
	joined.Store(s)
	if err := o.scopes.follow(ctx, s); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// dialError words an error of connecting and joining.
func dialError(err error) error {
	var network *net.OpError
	var refused *transport.HandshakeError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &statusError{exitTimeout, errors.New("the router did not answer in time")}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &statusError{exitConnection, errors.New("the server closed the connection: check the URL and its scheme (ws, wss, rs or rss)")}
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return &statusError{exitConnection, errors.New("the server has no WebSocket at this path (HTTP status 404): Blindfold's path is /ws")}
	case errors.As(err, &network) && network.Op == "dial":
		return &statusError{exitConnection, fmt.Errorf("cannot connect to the router: %w", err)}
	case statusOf(err) == exitFailed:
		return &statusError{exitConnection, err}
	}
	return err
}

// limit bounds ctx by --timeout.
func (o *options) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, o.timeout)
}
