package client_test

import (
	"context"
	"testing"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// FuzzRouterMessages sends a session with something of everything in flight a
// message that it did not expect. Whatever that is, the session goes on or ends.
func FuzzRouterMessages(f *testing.F) {
	for _, m := range []wamp.Message{
		&wamp.Event{Subscription: 5, Publication: 1, Payload: values("x", []byte("y"))},
		&wamp.Event{Subscription: 5, Publication: 1, Payload: codec.BinaryPayload(wamp.CBOR, wamp.FormTransparency, make([]byte, 60)),
			Details: wamp.EventDetails{Topic: "com.secret.topic", Attributes: wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}}},
		&wamp.Invocation{Request: 1, Registration: 6, Details: wamp.InvocationDetails{Progress: true, ReceiveProgress: true, Timeout: 1}},
		&wamp.Interrupt{Request: 1, Options: wamp.CancelOptions{Mode: "kill"}},
		&wamp.Result{Request: 3, Details: wamp.ResultDetails{Progress: true}, Payload: values(1.5)},
		&wamp.Error{RequestType: wamp.TypeCall, Request: 3, Error: "com.error", Payload: values("x")},
		&wamp.Unsubscribed{Details: wamp.Revocation{Subscription: 5}},
		&wamp.Unregistered{Details: wamp.Revocation{Registration: 6}},
		&wamp.Published{Request: 4, Publication: 1},
		&wamp.Goodbye{Reason: wamp.CloseNormal}, &wamp.Abort{Reason: wamp.ErrNotAuthorized},
	} {
		b, err := codec.Append(nil, wamp.CBOR, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	v := newVault(f, "com.secret.")
	f.Fuzz(func(t *testing.T, body []byte) {
		s, r := dial(t, client.Config{Sealer: &cryptobox.Box{Keys: &v.ring}, AllowClear: []wamp.URI{""}, OnError: func(error) {}})
		r.subscribe(s, 5, "com.", func(context.Context, *client.Event) {}, client.SubscribeOptions{Match: wamp.MatchPrefix})
		r.register(s, 6, "com.procedure", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
			return &client.Result{Args: inv.Args}, inv.Progress(nil, nil)
		}, client.RegisterOptions{})
		call := async(func() (*client.Result, error) {
			return s.Call(within(t), "com.procedure", nil, nil, client.CallOptions{})
		})
		expect[*wamp.Call](r)
		publish := async(func() (wamp.ID, error) {
			return s.Publish(within(t), "com.topic", nil, nil, client.PublishOptions{Acknowledge: true})
		})
		expect[*wamp.Publish](r)
		r.sendFrame(transport.OpMessage, body)
		_ = r.conn.Close()
		next(t, s.Done())
		_, _ = call.wait(t)
		_, _ = publish.wait(t)
	})
}
