package routertest

import (
	"context"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Client opens a session of package client, which ends with the test.
func (w *World) Client(over string, s wamp.Serializer, c client.Config) *client.Session {
	w.T.Helper()
	c.Realm = Realm
	c.Connect = func(context.Context) (transport.Conn, error) { return w.Dial(over, s), nil }
	session, err := client.Dial(Context(w.T), c)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = session.Close() })
	return session
}
