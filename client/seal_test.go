package client_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// vault has one key for com.secret, of both sides.
type vault struct {
	t    testing.TB
	ring cryptobox.KeyRing
}

func newVault(t testing.TB, prefixes ...wamp.URI) *vault {
	t.Helper()
	v := &vault{t: t}
	for _, p := range prefixes {
		key, err := cryptobox.NewSharedKey(cryptobox.GenerateKey())
		if err != nil {
			t.Fatal(err)
		}
		if err := v.ring.Set(p, key); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// forms are sealers of both forms over the same keys.
func (v *vault) forms() map[string]*cryptobox.Forms {
	f := func(form wamp.Form) *cryptobox.Forms {
		return &cryptobox.Forms{Form: form, Box: cryptobox.Box{Keys: &v.ring}, Passthru: cryptobox.Passthru{Keys: &v.ring}}
	}
	return map[string]*cryptobox.Forms{"transparency": f(wamp.FormTransparency), "passthru": f(wamp.FormPassthru)}
}

func (v *vault) box() *cryptobox.Box { return &cryptobox.Box{Keys: &v.ring} }

// seal makes the payload of a peer.
func seal(t testing.TB, s client.Sealer, uri wamp.URI, originator bool, args ...any) (wamp.Attributes, wamp.Payload) {
	t.Helper()
	a, data, sealed, err := s.Seal(&wamp.Subject{URI: uri, Originator: originator}, args, nil)
	if err != nil || !sealed {
		t.Fatal(sealed, err)
	}
	return a, codec.BinaryPayload(wamp.CBOR, a.Declared(), data)
}

// opened opens what the client has sent, and makes sure that it is sealed in
// the form of the attributes.
func opened(t testing.TB, s client.Sealer, uri wamp.URI, originator bool, m wamp.Carrier) []any {
	t.Helper()
	p, a := m.Carried()
	data, ok := codec.Binary(p)
	if !ok {
		t.Fatalf("%v: the payload is not one binary: %v", m.Type(), p)
	}
	if bare := p.Shape() == wamp.ShapeBinary; bare != (a.Declared() == wamp.FormTransparency) {
		t.Errorf("%v: form %v, bare %v", m.Type(), a.Declared(), bare)
	}
	args, _, err := s.Open(&wamp.Subject{URI: uri, Originator: originator}, a, data)
	if err != nil {
		t.Fatal(err)
	}
	return args
}

// The four actions, both ways, in both forms.
func TestPayloadsAreSealedAndOpened(t *testing.T) {
	v := newVault(t, "com.secret.", "com.error.")
	for name, sealer := range v.forms() {
		t.Run(name, func(t *testing.T) {
			s, r := dial(t, client.Config{Sealer: sealer})
			events := make(chan *client.Event, 1)
			r.subscribe(s, 5, "com.secret.topic", func(_ context.Context, e *client.Event) { events <- e }, client.SubscribeOptions{})
			r.register(s, 6, "com.secret.procedure", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
				if !inv.Sealed {
					t.Error("not sealed")
				}
				if inv.Args[0] == "fail" {
					return nil, &client.Error{URI: "com.error.sealed", Args: []any{"why"}}
				}
				if err := inv.Progress([]any{"half"}, nil); err != nil {
					return nil, err
				}
				return &client.Result{Args: inv.Args}, nil
			}, client.RegisterOptions{})

			if _, err := s.Publish(within(t), "com.secret.topic", []any{"hush"}, nil, client.PublishOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := opened(t, sealer, "com.secret.topic", false, expect[*wamp.Publish](r)); got[0] != "hush" {
				t.Errorf("PUBLISH %v", got)
			}
			e := &wamp.Event{Subscription: 5, Publication: 1}
			e.Details.Attributes, e.Payload = seal(t, sealer, "com.secret.topic", true, "psst")
			r.send(e)
			if got := next(t, events); !got.Sealed || got.Args[0] != "psst" {
				t.Errorf("EVENT %+v", got)
			}

			var half []any
			call := async(func() (*client.Result, error) {
				return s.Call(within(t), "com.secret.procedure", []any{"q"}, nil, client.CallOptions{
					OnProgress: func(res *client.Result) { half = res.Args }})
			})
			c := expect[*wamp.Call](r)
			if got := opened(t, sealer, "com.secret.procedure", false, c); got[0] != "q" {
				t.Errorf("CALL %v", got)
			}
			res := &wamp.Result{Request: c.Request, Details: wamp.ResultDetails{Progress: true}}
			res.Details.Attributes, res.Payload = seal(t, sealer, "com.secret.procedure", false, "half")
			r.send(res)
			res.Details.Progress = false
			res.Details.Attributes, res.Payload = seal(t, sealer, "com.secret.procedure", false, "a")
			r.send(res)
			if got := call.good(t); !got.Sealed || got.Args[0] != "a" || half[0] != "half" {
				t.Errorf("RESULT %+v", got)
			}

			failing := async(func() (*client.Result, error) {
				return s.Call(within(t), "com.secret.procedure", nil, nil, client.CallOptions{})
			})
			failure := &wamp.Error{RequestType: wamp.TypeCall, Request: expect[*wamp.Call](r).Request, Error: "com.error.sealed"}
			failure.Details.Message = "from the router"
			failure.Details.Attributes, failure.Payload = seal(t, sealer, "com.error.sealed", false, "why")
			r.send(failure)
			var told *client.Error
			if err := failing.bad(t, client.ErrURI("com.error.sealed")); !errors.As(err, &told) || !told.Sealed || told.Message != "why" {
				t.Errorf("ERROR %#v", told)
			}

			inv := &wamp.Invocation{Request: 1, Registration: 6, Details: wamp.InvocationDetails{ReceiveProgress: true}}
			inv.Details.Attributes, inv.Payload = seal(t, sealer, "com.secret.procedure", true, "x")
			r.send(inv)
			for _, want := range []string{"half", "x"} {
				if got := opened(t, sealer, "com.secret.procedure", true, expect[*wamp.Yield](r)); got[0] != want {
					t.Errorf("YIELD %v", got)
				}
			}
			inv.Request = 2
			inv.Details.Attributes, inv.Payload = seal(t, sealer, "com.secret.procedure", true, "fail")
			r.send(inv)
			if got := opened(t, sealer, "com.error.sealed", true, expect[*wamp.Error](r)); got[0] != "why" {
				t.Errorf("ERROR %v", got)
			}
		})
	}
}

// Whoever sits on the way could put in clear payloads of his own.
func TestClearPayloadsOnKeyedURIsAreRefused(t *testing.T) {
	v := newVault(t, "com.secret.", "com.error.")
	reported := make(chan error, 10)
	s, r := dial(t, client.Config{Sealer: v.box(), OnError: func(err error) { reported <- err }})
	r.subscribe(s, 5, "com.", func(_ context.Context, e *client.Event) { t.Errorf("EVENT %+v", e) },
		client.SubscribeOptions{Match: wamp.MatchPrefix})
	r.register(s, 6, "com.secret.procedure", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		t.Errorf("INVOCATION %+v", inv)
		return nil, nil
	}, client.RegisterOptions{})
	refused := func(err error, uri wamp.URI) {
		t.Helper()
		var e *client.SealError
		if !errors.As(err, &e) || e.URI != uri || !e.Opening || !errors.Is(err, client.ErrClear) || !errors.Is(err, client.ErrURI(wamp.ErrCleartextRefused)) {
			t.Errorf("%#v", err)
		}
	}
	for _, p := range []wamp.Payload{values("forged"), {}} {
		r.send(&wamp.Event{Subscription: 5, Publication: 1, Details: wamp.EventDetails{Topic: "com.secret.topic"}, Payload: p})
		refused(next(t, reported), "com.secret.topic")
	}
	r.send(&wamp.Invocation{Request: 1, Registration: 6, Payload: values("forged")})
	r.expectError(1, wamp.ErrCleartextRefused)
	refused(next(t, reported), "com.secret.procedure")

	call := func() (*outcome[*client.Result], wamp.ID) {
		o := async(func() (*client.Result, error) {
			return s.Call(within(t), "com.secret.procedure", nil, nil, client.CallOptions{OnProgress: func(*client.Result) { t.Error("progress") }})
		})
		return o, expect[*wamp.Call](r).Request
	}
	o, id := call()
	r.send(&wamp.Result{Request: id, Payload: values("forged")})
	_, err := o.wait(t)
	refused(err, "com.secret.procedure")
	o, id = call()
	r.send(&wamp.Result{Request: id, Details: wamp.ResultDetails{Progress: true}})
	_, err = o.wait(t)
	refused(err, "com.secret.procedure")
	expect[*wamp.Cancel](r)
	o, id = call()
	r.send(&wamp.Error{RequestType: wamp.TypeCall, Request: id, Error: "com.error.x", Payload: values("forged")})
	_, err = o.wait(t)
	refused(err, "com.error.x")
}

// A URI that has no key is not sent in the clear because of that, nor is a clear payload
// accepted on it: the prefix of the key may be mistyped.
func TestNothingIsClearBesideASealer(t *testing.T) {
	v := newVault(t, "com.secret.")
	for name, sealer := range v.forms() {
		t.Run(name, func(t *testing.T) {
			reported := make(chan error, 10)
			s, r := dial(t, client.Config{Sealer: sealer, OnError: func(err error) { reported <- err }})
			want := func(err error, uri wamp.URI, opening bool, cause error) {
				t.Helper()
				var e *client.SealError
				if !errors.As(err, &e) || e.URI != uri || e.Opening != opening || !errors.Is(err, cause) {
					t.Errorf("%#v", err)
				}
			}
			_, err := s.Publish(within(t), "com.secrets.topic", []any{"hush"}, nil, client.PublishOptions{})
			want(err, "com.secrets.topic", false, client.ErrNoKey)
			_, err = s.Call(within(t), "com.secrets.procedure", []any{"hush"}, nil, client.CallOptions{})
			want(err, "com.secrets.procedure", false, client.ErrNoKey)

			r.subscribe(s, 5, "com.secrets.topic", func(_ context.Context, e *client.Event) { t.Errorf("EVENT %+v", e) }, client.SubscribeOptions{})
			r.register(s, 6, "com.secrets.procedure", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
				t.Errorf("INVOCATION %+v", inv)
				return nil, nil
			}, client.RegisterOptions{}) // the first that the router gets: nothing was sent before
			r.send(&wamp.Event{Subscription: 5, Publication: 1, Payload: values("forged")})
			want(next(t, reported), "com.secrets.topic", true, client.ErrClear)
			r.send(&wamp.Invocation{Request: 1, Registration: 6, Payload: values("forged")})
			r.expectError(1, wamp.ErrCleartextRefused)
			want(next(t, reported), "com.secrets.procedure", true, client.ErrClear)
		})
	}
}

// AllowClear is by prefixes: what they list may be clear, and what belongs to a call of
// that. What has a key is sealed all the same.
func TestAllowClear(t *testing.T) {
	v := newVault(t, "com.open.secret.")
	reported := make(chan error, 10)
	s, r := dial(t, client.Config{Sealer: v.box(), AllowClear: []wamp.URI{"com.open."}, OnError: func(err error) { reported <- err }})
	clear := func(m wamp.Carrier) []any {
		t.Helper()
		p, _ := m.Carried()
		args, _, err := p.Decode()
		if err != nil {
			t.Fatalf("%v: %v", m.Type(), err)
		}
		return args
	}
	if _, err := s.Publish(within(t), "com.open.topic", []any{"hello"}, nil, client.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := clear(expect[*wamp.Publish](r)); got[0] != "hello" {
		t.Errorf("PUBLISH %v", got)
	}
	if _, err := s.Publish(within(t), "com.open.secret.topic", []any{"hush"}, nil, client.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := opened(t, v.box(), "com.open.secret.topic", false, expect[*wamp.Publish](r)); got[0] != "hush" {
		t.Errorf("PUBLISH %v", got)
	}
	if _, err := s.Publish(within(t), "com.opened", nil, nil, client.PublishOptions{}); !errors.Is(err, client.ErrNoKey) {
		t.Errorf("PUBLISH to what is not listed: %v", err)
	}
	// And what has a key is only accepted sealed: AllowClear opens no door to it.
	r.subscribe(s, 5, "com.open.secret.topic", func(_ context.Context, e *client.Event) { t.Errorf("EVENT %+v", e) }, client.SubscribeOptions{})
	r.send(&wamp.Event{Subscription: 5, Publication: 1, Payload: values("forged")})
	if err := next(t, reported); !errors.Is(err, client.ErrClear) {
		t.Errorf("a clear EVENT where there is a key: %v", err)
	}
	for _, answer := range []wamp.Message{&wamp.Result{Payload: values("forged")}, &wamp.Error{Error: "com.open.secret.error", Payload: values("forged")}} {
		o := async(func() (*client.Result, error) {
			return s.Call(within(t), "com.open.secret.procedure", nil, nil, client.CallOptions{})
		})
		request := expect[*wamp.Call](r).Request
		switch m := answer.(type) {
		case *wamp.Result:
			m.Request = request
		case *wamp.Error:
			m.RequestType, m.Request = wamp.TypeCall, request
		}
		r.send(answer)
		o.bad(t, client.ErrClear)
	}
	// The error of a clear call is as clear as its result.
	o := async(func() (*client.Result, error) {
		return s.Call(within(t), "com.open.procedure", nil, nil, client.CallOptions{})
	})
	r.send(&wamp.Error{RequestType: wamp.TypeCall, Request: expect[*wamp.Call](r).Request, Error: "com.other.error", Payload: values("why")})
	var e *client.Error
	if err := o.bad(t, client.ErrURI("com.other.error")); !errors.As(err, &e) || e.Message != "why" {
		t.Errorf("%#v", e)
	}
	r.register(s, 6, "com.open.procedure", func(context.Context, *client.Invocation) (*client.Result, error) {
		return nil, &client.Error{URI: "com.other.error", Args: []any{"why"}}
	}, client.RegisterOptions{})
	r.send(&wamp.Invocation{Request: 1, Registration: 6, Payload: values("x")})
	if got := clear(expect[*wamp.Error](r)); got[0] != "why" {
		t.Errorf("ERROR %v", got)
	}
	if len(reported) > 0 {
		t.Error(<-reported)
	}
}

// The error of a sealed call, whose URI has no key, comes without arguments, and says
// what its URI says. With arguments, anybody may have made it.
func TestErrorsWithoutAKey(t *testing.T) {
	v := newVault(t, "com.secret.")
	s, r := dial(t, client.Config{Sealer: v.box()})
	call := func(payload wamp.Payload) error {
		t.Helper()
		o := async(func() (*client.Result, error) {
			return s.Call(within(t), "com.secret.procedure", nil, nil, client.CallOptions{})
		})
		r.send(&wamp.Error{RequestType: wamp.TypeCall, Request: expect[*wamp.Call](r).Request, Error: "com.other.error", Payload: payload})
		_, err := o.wait(t)
		return err
	}
	var e *client.Error
	if err := call(wamp.Payload{}); !errors.As(err, &e) || e.URI != "com.other.error" || e.Sealed {
		t.Errorf("without arguments: %#v", err)
	}
	if err := call(values("forged")); !errors.Is(err, client.ErrClear) {
		t.Errorf("with arguments: %#v", err)
	}
}

// With a key for everything, what the router says itself is still heard, and
// what is said to it still readable.
func TestRoutersOwnURIsStayClear(t *testing.T) {
	v := newVault(t, "")
	s, r := dial(t, client.Config{Sealer: v.box()})
	events := make(chan *client.Event, 1)
	r.subscribe(s, 5, "wamp.session.on_join", func(_ context.Context, e *client.Event) { events <- e }, client.SubscribeOptions{})
	r.send(&wamp.Event{Subscription: 5, Publication: 1, Payload: values("x")})
	next(t, events)
	o := async(func() (*client.Result, error) {
		return s.Call(within(t), "wamp.session.count", []any{"x"}, nil, client.CallOptions{})
	})
	m := expect[*wamp.Call](r)
	if m.Payload.Opaque() {
		t.Error("CALL to the router is sealed")
	}
	r.send(&wamp.Result{Request: m.Request, Payload: values(3)})
	o.good(t)
	for _, uri := range []wamp.URI{wamp.ErrNoSuchProcedure, wamp.ErrConversionRefused} {
		o = async(func() (*client.Result, error) {
			return s.Call(within(t), "com.procedure", nil, nil, client.CallOptions{})
		})
		r.send(&wamp.Error{RequestType: wamp.TypeCall, Request: expect[*wamp.Call](r).Request, Error: uri, Payload: values("text")})
		var e *client.Error
		if err := o.bad(t, client.ErrURI(uri)); !errors.As(err, &e) || e.Sealed {
			t.Errorf("%#v", e)
		}
	}
}

func TestWhatCantBeOpened(t *testing.T) {
	v, other := newVault(t, "com.secret."), newVault(t, "com.secret.")
	reported := make(chan error, 10)
	s, r := dial(t, client.Config{Sealer: v.box(), OnError: func(err error) { reported <- err }})
	r.subscribe(s, 5, "com.secret.topic", func(_ context.Context, e *client.Event) { t.Errorf("EVENT %+v", e) }, client.SubscribeOptions{})
	r.register(s, 6, "com.secret.procedure", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		t.Errorf("INVOCATION %+v", inv)
		return nil, nil
	}, client.RegisterOptions{})
	dict, _ := codec.EncodePayload(wamp.CBOR, []any{map[string]any{"a": 1}}, nil)
	passthru := wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor", PPTCipher: "xsalsa20poly1305"}
	wrongKey, wrongKeyPayload := seal(t, other.box(), "com.secret.procedure", true, "x")
	wrongURI, wrongURIPayload := seal(t, v.box(), "com.secret.other", true, "x")
	for i, c := range []struct {
		a      wamp.Attributes
		p      wamp.Payload
		reason wamp.URI
	}{
		{wrongKey, wrongKeyPayload, wamp.ErrDecryptError},
		{wrongURI, wrongURIPayload, wamp.ErrTrustedURIMismatch},
		{wamp.Attributes{}, codec.BinaryPayload(wamp.CBOR, wamp.FormTransparency, []byte("x")), wamp.ErrNoPayloadCodec},
		{passthru, dict, wamp.ErrNoPayloadCodec},
		{wamp.Attributes{EncAlgo: "mqtt"}, wamp.Payload{}, wamp.ErrNoPayloadCodec},
	} {
		id := wamp.ID(i + 1)
		e := &wamp.Event{Subscription: 5, Publication: id, Payload: c.p}
		inv := &wamp.Invocation{Request: id, Registration: 6, Payload: c.p}
		e.Details.Attributes, inv.Details.Attributes = c.a, c.a
		r.send(e)
		r.send(inv)
		r.expectError(id, c.reason)
		reasons := []wamp.URI{}
		for range 2 {
			var told *client.SealError
			if err := next(t, reported); errors.As(err, &told) {
				reasons = append(reasons, told.Reason)
			}
		}
		// An event of another URI fails for that, whatever its key.
		if reasons[0] != c.reason && reasons[1] != c.reason || len(reasons) != 2 {
			t.Errorf("%d: reported %v, want %v", i, reasons, c.reason)
		}
		o := async(func() (*client.Result, error) {
			return s.Call(within(t), "com.secret.procedure", nil, nil, client.CallOptions{})
		})
		res := &wamp.Result{Request: expect[*wamp.Call](r).Request, Payload: c.p}
		res.Details.Attributes = c.a
		r.send(res)
		o.bad(t, client.ErrURI(c.reason))
	}
}

func TestSealedPayloadWithoutSealer(t *testing.T) {
	v := newVault(t, "com.secret.")
	reported := make(chan error, 1)
	s, r := dial(t, client.Config{OnError: func(err error) { reported <- err }})
	r.subscribe(s, 5, "com.secret.topic", func(_ context.Context, e *client.Event) { t.Errorf("EVENT %+v", e) }, client.SubscribeOptions{})
	e := &wamp.Event{Subscription: 5, Publication: 1}
	e.Details.Attributes, e.Payload = seal(t, v.box(), "com.secret.topic", true, "x")
	r.send(e)
	if err := next(t, reported); !errors.Is(err, client.ErrNoSealer) || !errors.Is(err, client.ErrURI(wamp.ErrNoPayloadCodec)) {
		t.Error(err)
	}
}

// onlyOpens has a key for the other side alone.
func TestWhatCantBeSealedIsNotSent(t *testing.T) {
	responder := cryptobox.GenerateKey()
	key, err := cryptobox.NewKey(cryptobox.Half{Public: cryptobox.GenerateKey().Public()}, cryptobox.Half{Private: responder})
	if err != nil {
		t.Fatal(err)
	}
	v := newVault(t)
	if err := v.ring.Set("com.secret.", key); err != nil {
		t.Fatal(err)
	}
	s, r := dial(t, client.Config{Sealer: v.box()})
	_, err = s.Publish(within(t), "com.secret.topic", []any{"hush"}, nil, client.PublishOptions{})
	var e *client.SealError
	if !errors.As(err, &e) || e.Opening || !errors.Is(err, cryptobox.ErrNoKey) || !errors.Is(err, client.ErrURI(wamp.ErrNoPayloadCodec)) {
		t.Errorf("%#v", err)
	}
	_, err = s.Call(within(t), "com.secret.procedure", []any{"hush"}, nil, client.CallOptions{})
	if !errors.Is(err, cryptobox.ErrNoKey) {
		t.Error(err)
	}
	r.quiet(s)
}

// A value that can't be sealed must not go out in another way either.
func TestHandlersResultThatCantBeSealed(t *testing.T) {
	v := newVault(t, "com.secret.")
	s, r := dial(t, client.Config{Sealer: v.box()})
	r.register(s, 6, "com.secret.procedure", func(context.Context, *client.Invocation) (*client.Result, error) {
		return &client.Result{Args: []any{"hush", make(chan int)}}, nil
	}, client.RegisterOptions{})
	inv := &wamp.Invocation{Request: 1, Registration: 6}
	inv.Details.Attributes, inv.Payload = seal(t, v.box(), "com.secret.procedure", true)
	r.send(inv)
	r.expectError(1, wamp.ErrInvalidArgument)
}

// The text of an error could tell what was sealed.
func TestErrorsOfSealedCallsDontTalk(t *testing.T) {
	v := newVault(t, "com.secret.")
	reported := make(chan error, 10)
	s, r := dial(t, client.Config{Sealer: v.box(), AllowClear: []wamp.URI{"com.open."}, OnError: func(err error) { reported <- err }})
	for id, procedure := range map[wamp.ID]wamp.URI{6: "com.secret.procedure", 7: "com.open.procedure"} {
		r.register(s, id, procedure, func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
			return nil, errors.New("the secret is " + inv.Args[0].(string))
		}, client.RegisterOptions{})
	}
	inv := &wamp.Invocation{Request: 1, Registration: 6}
	inv.Details.Attributes, inv.Payload = seal(t, v.box(), "com.secret.procedure", true, "42")
	r.send(inv)
	r.expectError(1, wamp.ErrRuntime)
	if err := next(t, reported); !errors.Is(err, client.ErrNotSealed) || strings.Contains(err.Error(), "42") {
		t.Error(err)
	}
	r.send(&wamp.Invocation{Request: 2, Registration: 7, Payload: values("none")})
	r.expectError(2, wamp.ErrRuntime, "the secret is none")
}

// An error without arguments is sealed like any other, where its URI has a key:
// the caller would not believe it.
func TestEmptyErrorsAreSealed(t *testing.T) {
	v := newVault(t, "com.secret.")
	reported := make(chan error, 10)
	s, r := dial(t, client.Config{Sealer: v.box(), AllowClear: []wamp.URI{"com.procedure"}, OnError: func(err error) { reported <- err }})
	for id, uri := range map[wamp.ID]wamp.URI{6: "com.secret.error", 7: "com.open.error"} {
		r.register(s, id, wamp.URI(fmt.Sprintf("com.secret.procedure%d", id)), func(context.Context, *client.Invocation) (*client.Result, error) {
			return nil, &client.Error{URI: uri}
		}, client.RegisterOptions{})
		inv := &wamp.Invocation{Request: id, Registration: id}
		inv.Details.Attributes, inv.Payload = seal(t, v.box(), wamp.URI(fmt.Sprintf("com.secret.procedure%d", id)), true, "42")
		r.send(inv)
		e := expect[*wamp.Error](r)
		if e.Error != uri || e.Payload.Opaque() != (uri == "com.secret.error") || e.Payload.Args() > 0 {
			t.Errorf("%s: %+v", e.Error, e)
		}
		// And the caller, who is the same here, takes it.
		call, m := calling(t, within(t), s, r, client.CallOptions{})
		e.RequestType, e.Request = wamp.TypeCall, m.Request
		r.send(e)
		call.bad(t, client.ErrURI(uri))
	}
	if len(reported) > 0 {
		t.Error(<-reported)
	}
}

// An error URI that is none is told as another, for which its arguments are then
// sealed.
func TestErrorURIThatIsNone(t *testing.T) {
	v := newVault(t, "")
	s, r := dial(t, client.Config{Sealer: v.box(), OnError: func(error) {}})
	r.register(s, 6, "com.procedure", func(context.Context, *client.Invocation) (*client.Result, error) {
		return nil, &client.Error{URI: "not a uri", Args: []any{"why"}}
	}, client.RegisterOptions{})
	inv := &wamp.Invocation{Request: 1, Registration: 6}
	inv.Details.Attributes, inv.Payload = seal(t, v.box(), "com.procedure", true)
	r.send(inv)
	e := expect[*wamp.Error](r)
	if e.Error != wamp.ErrRuntime || !reflect.DeepEqual(opened(t, v.box(), wamp.ErrRuntime, true, e), []any{"why"}) {
		t.Errorf("%+v", e)
	}
}

// A call that began sealed does not go on in the clear, though its key be gone.
func TestKeyRemovedInMidCall(t *testing.T) {
	v := newVault(t, "com.")
	s, r := dial(t, client.Config{Sealer: v.box()})
	c, err := s.Begin("com.procedure", client.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(within(t), []any{"hush"}, nil); err != nil {
		t.Fatal(err)
	}
	if m := expect[*wamp.Call](r); !m.Payload.Opaque() {
		t.Errorf("CALL %+v", m)
	}
	v.ring.RemovePrefix("com.")
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Finish(soon, []any{"hush"}, nil); !errors.Is(err, client.ErrNotSealed) {
		t.Error(err)
	}
	expect[*wamp.Cancel](r)
	r.quiet(s)
}

// Otherwise such a router drops the message without a word, and the call hangs.
func TestRouterThatDoesNotAnnounceTheForm(t *testing.T) {
	v := newVault(t, "com.secret.")
	s, r := dial(t, client.Config{Sealer: v.box()}, func(w *wamp.Welcome) {
		w.Details.Roles.Broker.Features = wamp.NewFeatures(wamp.PayloadPassthruMode)
		w.Details.Roles.Dealer.Features = wamp.NewFeatures(wamp.PayloadEncryptionCryptobox)
	})
	_, err := s.Publish(within(t), "com.secret.topic", nil, nil, client.PublishOptions{})
	if !errors.Is(err, client.ErrUnsupported) || !errors.Is(err, client.ErrURI(wamp.ErrFeatureNotSupported)) {
		t.Error(err)
	}
	r.quiet(s)
	calling := async(func() (*client.Result, error) {
		return s.Call(within(t), "com.secret.procedure", nil, nil, client.CallOptions{})
	})
	c := expect[*wamp.Call](r)
	res := &wamp.Result{Request: c.Request}
	res.Details.Attributes, res.Payload = seal(t, v.box(), "com.secret.procedure", false, "x")
	r.send(res)
	calling.good(t)
}

func TestScrambler(t *testing.T) {
	var scrambler cryptobox.Scrambler
	if err := scrambler.Set("com.", cryptobox.GenerateScrambleKey()); err != nil {
		t.Fatal(err)
	}
	v := newVault(t, "com.secret.")
	reported := make(chan error, 10)
	s, r := dial(t, client.Config{Sealer: v.box(), AllowClear: []wamp.URI{"com."}, Scrambler: &scrambler, OnError: func(err error) { reported <- err }})
	wire := func(uri wamp.URI, m wamp.Match) wamp.URI {
		w, err := scrambler.Scramble(uri, m)
		if err != nil || w == uri {
			t.Fatal(w, err)
		}
		return w
	}
	topic := wire("com.secret.topic", wamp.MatchExact)
	if _, err := s.Publish(within(t), "com.secret.topic", []any{"x"}, nil, client.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	m := expect[*wamp.Publish](r)
	if m.Topic != topic {
		t.Errorf("PUBLISH %s", m.Topic)
	}
	// Sealed for the clear URI.
	opened(t, v.box(), "com.secret.topic", false, m)

	events := make(chan *client.Event, 1)
	o := async(func() (*client.Subscription, error) {
		return s.Subscribe(within(t), "com.secret.", func(_ context.Context, e *client.Event) { events <- e }, client.SubscribeOptions{Match: wamp.MatchPrefix})
	})
	sub := expect[*wamp.Subscribe](r)
	if sub.Topic != wire("com.secret.", wamp.MatchPrefix) {
		t.Errorf("SUBSCRIBE %s", sub.Topic)
	}
	r.send(&wamp.Subscribed{Request: sub.Request, Subscription: 5})
	o.good(t)
	e := &wamp.Event{Subscription: 5, Publication: 1, Details: wamp.EventDetails{Topic: topic}}
	e.Details.Attributes, e.Payload = seal(t, v.box(), "com.secret.topic", true, "psst")
	r.send(e)
	if got := next(t, events); got.Topic != "com.secret.topic" || got.Args[0] != "psst" {
		t.Errorf("EVENT %+v", got)
	}
	e.Details.Topic = sub.Topic + "aaaaaaaaaaaaaaaaaaaa"
	r.send(e)
	if err := next(t, reported); !errors.Is(err, client.ErrURI(wamp.ErrInvalidURI)) {
		t.Error(err)
	}

	r.register(s, 6, "com.procedure", func(context.Context, *client.Invocation) (*client.Result, error) {
		return nil, &client.Error{URI: "com.error.x"}
	}, client.RegisterOptions{})
	r.send(&wamp.Invocation{Request: 1, Registration: 6})
	r.expectError(1, wire("com.error.x", wamp.MatchExact))
	call := async(func() (*client.Result, error) {
		return s.Call(within(t), "com.procedure", nil, nil, client.CallOptions{})
	})
	c := expect[*wamp.Call](r)
	if c.Procedure != wire("com.procedure", wamp.MatchExact) {
		t.Errorf("CALL %s", c.Procedure)
	}
	r.send(&wamp.Error{RequestType: wamp.TypeCall, Request: c.Request, Error: wire("com.error.x", wamp.MatchExact)})
	call.bad(t, client.ErrURI("com.error.x"))
	call = async(func() (*client.Result, error) {
		return s.Call(within(t), "com.procedure", nil, nil, client.CallOptions{})
	})
	r.send(&wamp.Error{RequestType: wamp.TypeCall, Request: expect[*wamp.Call](r).Request, Error: wamp.ErrConversionRefused})
	call.bad(t, client.ErrURI(wamp.ErrConversionRefused))
}
