package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// timeout is how long a peer waits for a message that must come.
const timeout = 5 * time.Second

// peer is a client that sends any message, however wrong, and returns what it
// gets, message by message: package client would not send most of this. It belongs
// to one goroutine.
type peer struct {
	name string
	conn transport.Conn
	// onText gets the texts of ABORT and ERROR.
	onText func(text string)
	// onFrame, if it is set, gets the bodies of frames of all kinds.
	onFrame func(body []byte)
	request wamp.ID
}

// join connects to a URL and opens a session that announces every form.
func (t *tester) join(name, url string, s wamp.Serializer) (*peer, error) {
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	conn, err := transport.Dial(ctx, url, transport.DialOptions{Serializer: s, TLS: t.o.TLS})
	if err != nil {
		return nil, err
	}
	p := &peer{name: name, conn: conn, onText: t.addText}
	if err := p.hello(ctx, t.o.Realm, t.o.AuthID, t.o.Auth); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s cannot join: %w", name, err)
	}
	return p, nil
}

func (p *peer) hello(ctx context.Context, realm wamp.URI, authID string, methods []client.Authenticator) error {
	hello := &wamp.Hello{Realm: realm, Details: wamp.HelloDetails{Agent: "blindfold-verify", AuthID: authID}}
	role := wamp.Role{Present: true, Features: wamp.NewFeatures(
		wamp.ProgressiveCallResults, wamp.CallCanceling, wamp.PatternBasedSubscription,
		wamp.PayloadPassthruMode, wamp.PayloadTransparency, wamp.PayloadEncryptionCryptobox)}
	r := &hello.Details.Roles
	r.Publisher, r.Subscriber, r.Caller, r.Callee = role, role, role, role
	answers := make(map[string]answer.Handshake)
	for _, a := range methods {
		hello.Details.AuthMethods = append(hello.Details.AuthMethods, a.Method())
		answers[a.Method()] = a.Start(&hello.Details)
	}
	if err := p.send(hello); err != nil {
		return err
	}
	for {
		m, err := p.receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wamp.Welcome:
			return nil
		case *wamp.Challenge:
			if err := p.authenticate(ctx, answers[m.AuthMethod], m); err != nil {
				return err
			}
		default:
			return unexpected(m, "WELCOME")
		}
	}
}

func (p *peer) authenticate(ctx context.Context, by answer.Handshake, m *wamp.Challenge) error {
	if by == nil {
		return errors.New("the router asks for another proof than was offered")
	}
	signature, extra, err := by.Respond(ctx, m, p.conn.Info())
	if err != nil {
		return err
	}
	if extra == nil {
		extra = map[string]any{}
	}
	return p.send(&wamp.Authenticate{Signature: signature, Extra: extra})
}

func (p *peer) serializer() wamp.Serializer { return p.conn.Info().Serializer }

func (p *peer) next() wamp.ID {
	p.request++
	return p.request
}

func (p *peer) send(m wamp.Message) error {
	body, err := codec.Append(nil, p.serializer(), m)
	if err != nil {
		return err
	}
	return p.sendRaw(body)
}

func (p *peer) sendRaw(body []byte) error {
	frame := p.conn.Framing().AppendFrame(nil, transport.OpMessage, body)
	if _, err := p.conn.Write([][]byte{frame}, timeout); err != nil {
		return fmt.Errorf("%s cannot write: %w", p.name, err)
	}
	return nil
}

// errSilence means that a message did not come in time.
var errSilence = errors.New("nothing came")

// receive returns the next message, which is the caller's to keep.
func (p *peer) receive() (wamp.Message, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(timeout))
	for {
		f, err := p.conn.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fmt.Errorf("%s waited %v: %w", p.name, timeout, errSilence)
		}
		if err != nil {
			return nil, fmt.Errorf("%s cannot read: %w", p.name, err)
		}
		if p.onFrame != nil {
			p.onFrame(f.Body)
		}
		switch f.Op {
		case transport.OpPing:
			pong := p.conn.Framing().AppendFrame(nil, transport.OpPong, f.Body)
			if _, err := p.conn.Write([][]byte{pong}, timeout); err != nil {
				return nil, err
			}
		case transport.OpMessage:
			m, err := codec.NewDecoder().Decode(p.serializer(), append([]byte(nil), f.Body...))
			if err != nil {
				return nil, fmt.Errorf("%s got what is no message: %w", p.name, err)
			}
			p.collect(m)
			return m, nil
		}
	}
}

// collect passes on the texts of ABORT and ERROR.
func (p *peer) collect(m wamp.Message) {
	switch m := m.(type) {
	case *wamp.Abort:
		p.onText(m.Details.Message)
		p.onText(string(m.Reason))
	case *wamp.Error:
		p.onText(m.Details.Message)
		p.onText(string(m.Error))
		if args, kwargs, err := m.Payload.Decode(); err == nil {
			p.onText(fmt.Sprint(args, kwargs))
		}
	}
}

// await receives a message, which must be of type M.
func await[M wamp.Message](p *peer) (M, error) {
	m, err := p.receive()
	want, ok := m.(M)
	if err == nil && !ok {
		err = fmt.Errorf("%s: %w", p.name, unexpected(m, want.Type().String()))
	}
	return want, err
}

// unexpectedError is a message that came in place of another.
type unexpectedError struct {
	got  wamp.MessageType
	uri  wamp.URI
	want string
}

func (e *unexpectedError) Error() string {
	text := "got " + e.got.String()
	if e.uri != "" {
		text += " " + string(e.uri)
	}
	return text + " in place of " + e.want
}

func unexpected(m wamp.Message, want string) error {
	e := &unexpectedError{got: m.Type(), want: want}
	switch m := m.(type) {
	case *wamp.Abort:
		e.uri = m.Reason
	case *wamp.Error:
		e.uri = m.Error
	}
	return e
}

// expectNothing shows that nothing is on its way to the peer: the answer to its own
// request comes next.
func (p *peer) expectNothing() error {
	request := p.next()
	if err := p.send(&wamp.Unsubscribe{Request: request, Subscription: wamp.MaxID}); err != nil {
		return err
	}
	m, err := p.receive()
	if err != nil {
		return err
	}
	if e, ok := m.(*wamp.Error); !ok || e.Request != request {
		return fmt.Errorf("%s: %w", p.name, unexpected(m, "nothing"))
	}
	return nil
}

// leave says GOODBYE and waits for the router's, so that the session has ended
// on both sides.
func (p *peer) leave() error {
	defer p.conn.Close()
	if err := p.send(&wamp.Goodbye{Reason: wamp.CloseNormal}); err != nil {
		return err
	}
	for {
		m, err := p.receive()
		if err != nil {
			return err
		}
		if _, ok := m.(*wamp.Goodbye); ok {
			return nil
		}
	}
}

func (p *peer) subscribe(topic wamp.URI) error {
	if err := p.send(&wamp.Subscribe{Request: p.next(), Topic: topic}); err != nil {
		return err
	}
	_, err := await[*wamp.Subscribed](p)
	return err
}

func (p *peer) register(procedure wamp.URI) error {
	if err := p.send(&wamp.Register{Request: p.next(), Procedure: procedure}); err != nil {
		return err
	}
	_, err := await[*wamp.Registered](p)
	return err
}

func (p *peer) publish(topic wamp.URI, o opaquePayload) (wamp.ID, error) {
	m := &wamp.Publish{Request: p.next(), Topic: topic, Payload: o.payload}
	m.Options.Acknowledge = wamp.True
	m.Options.Attributes = o.attributes
	return m.Request, p.send(m)
}

func (p *peer) call(procedure wamp.URI, o opaquePayload) (wamp.ID, error) {
	m := &wamp.Call{Request: p.next(), Procedure: procedure, Payload: o.payload}
	m.Options.ReceiveProgress = wamp.True
	m.Options.Attributes = o.attributes
	return m.Request, p.send(m)
}
