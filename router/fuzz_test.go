package router

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// actor is a client of the fuzz tests: it knows what it has asked for, and says
// what must not have come.
type actor struct {
	t     *testing.T
	conn  transport.Conn
	s     wamp.Serializer
	last  wamp.ID
	ended bool // ABORT came

	asked         map[wamp.ID]wamp.MessageType // requests that wait for their answer
	calls         map[wamp.ID]bool             // calls that wait for their end; whether they asked for progress
	ids           map[wamp.ID]wamp.URI         // of requests, what they were about
	subscriptions []wamp.ID
	registrations []wamp.ID
	open          map[wamp.ID]bool // progressive calls; whether more may follow
	held          map[wamp.ID]bool // subscriptions and registrations that were ever granted
	invocations   []wamp.ID        // to be answered
}

const barrier = wamp.ID(1) << 52 // requests of barriers are numbered from here

func newActor(t *testing.T, r *Router, s wamp.Serializer) *actor {
	client, server := transport.Pipe(s)
	go r.Accept(server)
	a := &actor{t: t, conn: client, s: s, asked: map[wamp.ID]wamp.MessageType{}, calls: map[wamp.ID]bool{},
		ids: map[wamp.ID]wamp.URI{}, held: map[wamp.ID]bool{}, open: map[wamp.ID]bool{}}
	everything := wamp.Role{Present: true, Features: ^wamp.Features(0)}
	a.send(&wamp.Hello{Realm: "realm1", Details: wamp.HelloDetails{
		Roles: wamp.Roles{Publisher: everything, Subscriber: everything, Caller: everything, Callee: everything}}})
	if m := a.receive(); m == nil || m.Type() != wamp.TypeWelcome {
		t.Fatalf("no WELCOME but %v", m)
	}
	return a
}

func (a *actor) send(m wamp.Message) {
	body, err := codec.Append(nil, a.s, m)
	if err != nil {
		a.t.Fatal(err)
	}
	a.raw(body)
}

func (a *actor) raw(body []byte) {
	_, _ = a.conn.Write([][]byte{a.conn.Framing().AppendFrame(nil, transport.OpMessage, body)}, 10*time.Second)
}

// receive returns the next message, or nil if the connection has ended.
func (a *actor) receive() wamp.Message {
	_ = a.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		f, err := a.conn.Read()
		if err != nil {
			if !a.ended {
				a.t.Fatalf("the session ended without a word: %v", err)
			}
			return nil
		}
		if f.Op != transport.OpMessage {
			continue
		}
		m, err := codec.NewDecoder().Decode(a.s, bytes.Clone(f.Body))
		if err != nil {
			a.t.Fatalf("the router sent %q: %v", f.Body, err)
		}
		return m
	}
}

func (a *actor) next() wamp.ID { a.last++; return a.last }

// sync takes everything that was due to this actor by now, and checks it.
func (a *actor) sync(sent map[[32]byte]bool) {
	if a.ended {
		return
	}
	request := barrier + a.next()
	a.send(&wamp.Unsubscribe{Request: request, Subscription: wamp.MaxID})
	for {
		switch m := a.receive().(type) {
		case nil:
			return
		case *wamp.Abort:
			a.ended = true
			return
		case *wamp.Error:
			if m.RequestType == wamp.TypeUnsubscribe && m.Request == request {
				for id, kind := range a.asked {
					a.t.Fatalf("%v %d was not answered", kind, id)
				}
				return
			}
			if m.RequestType == wamp.TypeCall {
				a.end(m.Request)
				continue
			}
			a.answered(m.RequestType, m.Request)
		case *wamp.Published:
			a.answered(wamp.TypePublish, m.Request)
		case *wamp.Subscribed:
			a.answered(wamp.TypeSubscribe, m.Request)
			if !a.held[m.Subscription] {
				a.held[m.Subscription] = true
				a.subscriptions = append(a.subscriptions, m.Subscription)
			}
		case *wamp.Unsubscribed:
			a.answered(wamp.TypeUnsubscribe, m.Request)
		case *wamp.Registered:
			a.answered(wamp.TypeRegister, m.Request)
			a.held[m.Registration] = true
			a.registrations = append(a.registrations, m.Registration)
		case *wamp.Unregistered:
			if m.Request == 0 { // re-registered by another
				if !a.held[m.Details.Registration] {
					a.t.Fatalf("UNREGISTERED of registration %d, which this session never had", m.Details.Registration)
				}
				continue
			}
			a.answered(wamp.TypeUnregister, m.Request)
		case *wamp.Event:
			if !a.held[m.Subscription] {
				a.t.Fatalf("EVENT of subscription %d, which this session never had", m.Subscription)
			}
			a.untouched(&m.Payload, sent)
		case *wamp.Invocation:
			if !a.held[m.Registration] {
				a.t.Fatalf("INVOCATION of registration %d, which this session never had", m.Registration)
			}
			a.invocations = append(a.invocations, m.Request)
			a.untouched(&m.Payload, sent)
		case *wamp.Result:
			progress, waiting := a.calls[m.Request]
			if !waiting || m.Details.Progress && !progress {
				a.t.Fatalf("RESULT of call %d, which does not wait for it", m.Request)
			}
			if !m.Details.Progress {
				a.end(m.Request)
			}
			a.untouched(&m.Payload, sent)
		case *wamp.Interrupt:
		default:
			a.t.Fatalf("%v came", m.Type())
		}
	}
}

func (a *actor) answered(kind wamp.MessageType, request wamp.ID) {
	if a.asked[request] != kind {
		a.t.Fatalf("an answer to %v %d, which was not asked or was answered before", kind, request)
	}
	delete(a.asked, request)
}

func (a *actor) end(call wamp.ID) {
	if _, waiting := a.calls[call]; !waiting {
		a.t.Fatalf("call %d ends, which does not wait or has ended before", call)
	}
	delete(a.calls, call)
	delete(a.open, call)
}

func (a *actor) untouched(p *wamp.Payload, sent map[[32]byte]bool) {
	if p.Elements() > 0 && !sent[p.Digest()] {
		a.t.Fatal("a payload came that nobody sent")
	}
}

// FuzzRouter drives a whole router by several sessions: each byte of the script
// is one thing that one of them does.
func FuzzRouter(f *testing.F) {
	f.Add([]byte("subscribe, publish, register and call"))
	f.Add(bytes.Repeat([]byte{0, 1, 16, 17, 32, 33, 48, 49, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240}, 6))
	f.Add([]byte{0x00, 0x11, 0x22, 0x33, 0x30, 0x31, 0x40, 0x41, 0x52, 0x63, 0x74, 0x85, 0x96, 0xa7, 0xb8, 0xc9, 0xda, 0xeb, 0xfc})
	f.Fuzz(func(t *testing.T, script []byte) {
		r, err := New(Config{
			Realms: []RealmConfig{{Name: "realm1", NoMeta: true, Authenticators: []Authenticator{Anonymous("anonymous")}}},
			Limits: Limits{PingEvery: -1, CloseTimeout: time.Millisecond, Subscriptions: 4, Registrations: 4, Calls: 4},
		})
		if err != nil {
			t.Fatal(err)
		}
		sent := map[[32]byte]bool{}
		actors := make([]*actor, 3)
		for i := range actors {
			actors[i] = newActor(t, r, wamp.CBOR)
		}
		uris := []wamp.URI{"com.a", "com.a.b", "com.b", "com.", "com..b", "", "com..", "a b"}
		for i, op := range script[:min(len(script), 300)] {
			a := actors[int(op&3)%len(actors)]
			uri := uris[int(op>>2&3)+i%5]
			if a.ended || op>>4 == 15 && i%7 == 0 { // leaves, and comes back
				_ = a.conn.Close()
				for r.Sessions() == len(actors) && !a.ended { // it has left then
					time.Sleep(50 * time.Microsecond)
				}
				at := int(op&3) % len(actors)
				actors[at] = newActor(t, r, wamp.CBOR)
				continue
			}
			a.act(op>>4, uri, i, sent)
			a.sync(sent) // what it did has been routed then
			for _, b := range actors {
				b.sync(sent)
			}
		}
		for alive := 0; alive != r.Sessions(); time.Sleep(50 * time.Microsecond) {
			alive = 0
			for _, a := range actors {
				if !a.ended {
					alive++
				}
			}
		}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		// All that is in flight, or waits, ends when the callees answer.
		for range 15 {
			for _, a := range actors {
				for len(a.invocations) > 0 && !a.ended {
					a.send(&wamp.Yield{Request: a.invocations[0]})
					a.invocations = a.invocations[1:]
				}
				a.sync(sent)
				for _, b := range actors {
					b.sync(sent)
				}
			}
		}
		for _, a := range actors {
			if len(a.calls) > 0 && !a.ended {
				t.Fatalf("%d calls were never answered", len(a.calls))
			}
		}
		for _, a := range actors {
			_ = a.conn.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		for _, st := range r.Stats() {
			if st.Subscriptions+st.Registrations+st.Invocations != 0 {
				t.Fatalf("left behind: %+v", st)
			}
		}
	})
}

// act does one thing. i makes payloads differ.
func (a *actor) act(op byte, uri wamp.URI, i int, sent map[[32]byte]bool) {
	id := a.next()
	payload := codec.BinaryPayload(a.s, wamp.FormTransparency, fmt.Appendf(nil, "payload %d", i))
	attributes := wamp.Attributes{EncAlgo: "cryptobox"}
	if i%3 == 0 {
		payload, attributes = codec.BinaryPayload(a.s, wamp.FormPassthru, fmt.Appendf(nil, "payload %d", i)), wamp.Attributes{PPTScheme: "wamp"}
	}
	sent[payload.Digest()] = true
	match := []string{"", "exact", "prefix", "wildcard"}[i%4]
	switch op {
	case 0, 1:
		a.asked[id] = wamp.TypeSubscribe
		a.send(&wamp.Subscribe{Request: id, Topic: uri, Options: wamp.SubscribeOptions{Match: match}})
	case 2:
		subscription := wamp.ID(i + 1)
		if len(a.subscriptions) > 0 {
			subscription, a.subscriptions = a.subscriptions[0], a.subscriptions[1:]
			delete(a.held, subscription)
		}
		a.asked[id] = wamp.TypeUnsubscribe
		a.send(&wamp.Unsubscribe{Request: id, Subscription: subscription})
	case 3, 4:
		m := &wamp.Publish{Request: id, Topic: uri, Payload: payload}
		m.Options.Attributes = attributes
		if i%2 == 0 {
			m.Options.Acknowledge = wamp.True
			a.asked[id] = wamp.TypePublish
		}
		if i%5 == 0 {
			m.Options.ExcludeMe = wamp.False
		}
		a.send(m)
	case 5, 6:
		a.asked[id] = wamp.TypeRegister
		force := wamp.Unset
		if i%7 == 0 {
			force = wamp.True
		}
		a.send(&wamp.Register{Request: id, Procedure: uri, Options: wamp.RegisterOptions{Match: match,
			Invoke: []string{"", "roundrobin", "last", "random"}[i%4], Concurrency: uint64(i % 3), ForceReregister: force}})
	case 7:
		registration := wamp.ID(i + 1)
		if len(a.registrations) > 0 {
			registration, a.registrations = a.registrations[0], a.registrations[1:]
		}
		a.asked[id] = wamp.TypeUnregister
		a.send(&wamp.Unregister{Request: id, Registration: registration})
	case 8, 9, 10:
		m := &wamp.Call{Request: id, Procedure: uri, Payload: payload}
		m.Options.Attributes = attributes
		a.calls[id] = i%2 == 0
		if i%2 == 0 {
			m.Options.ReceiveProgress = wamp.True
		}
		if i%7 == 1 {
			m.Options.Progress = wamp.True
		}
		if op == 10 { // a further part of a call that runs, if there is one
			for call, open := range a.open {
				m.Request = call
				if a.open[call] = m.Options.Progress == wamp.True; open {
					a.send(m)
				}
				delete(a.calls, id)
				return
			}
		}
		if m.Options.Progress == wamp.True {
			a.open[id] = true
		}
		a.send(m)
	case 11, 12, 13:
		if len(a.invocations) == 0 {
			return
		}
		invocation := a.invocations[0]
		switch i % 3 {
		case 0:
			a.send(&wamp.Yield{Request: invocation, Options: wamp.ResultDetails{Progress: true, Attributes: attributes}, Payload: payload})
			return
		case 1:
			a.send(&wamp.Yield{Request: invocation, Options: wamp.ResultDetails{Attributes: attributes}, Payload: payload})
		case 2:
			m := &wamp.Error{RequestType: wamp.TypeInvocation, Request: invocation, Error: "com.failed", Payload: payload}
			m.Details.Attributes = attributes
			a.send(m)
		}
		a.invocations = a.invocations[1:]
	case 14:
		for call := range a.calls {
			a.send(&wamp.Cancel{Request: call, Options: wamp.CancelOptions{Mode: []string{"skip", "kill", "killnowait"}[i%3]}})
			break
		}
	case 15:
		a.send(&wamp.Yield{Request: wamp.ID(1000 + i)}) // never given
	}
}

// FuzzOptions gives every message that a client may send options of the fuzzer's
// choice: it is answered, or the session is ended with an ABORT, and the router
// goes on.
func FuzzOptions(f *testing.F) {
	for kind := range uint8(9) {
		f.Add(kind, []byte(`{"match":"prefix","acknowledge":true,"exclude":[1],"timeout":5,"invoke":"random","mode":"kill","progress":true}`))
		f.Add(kind, []byte(`{"enc_algo":"cryptobox","ppt_scheme":"wamp","roles":{"caller":{"features":{"x":true}}}}`))
	}
	f.Fuzz(func(t *testing.T, kind uint8, options []byte) {
		if !json.Valid(options) || bytes.Contains(options, []byte("\n")) {
			return
		}
		r, err := New(Config{
			Realms: []RealmConfig{{Name: "realm1", Authenticators: []Authenticator{Anonymous("anonymous")}}},
			Limits: Limits{PingEvery: -1, CloseTimeout: time.Millisecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		a := newActor(t, r, wamp.JSON)
		forms := []string{`[16,1,%s,"com.a"]`, `[16,1,%s,"com.a",[]]`, `[32,1,%s,"com.a"]`, `[64,1,%s,"com.a"]`, `[48,1,%s,"com.a"]`,
			`[70,1,%s]`, `[8,68,1,%s,"com.e"]`, `[49,1,%s]`, `[6,%s,"wamp.close.normal"]`}
		a.raw(fmt.Appendf(nil, forms[int(kind)%len(forms)], options))
		a.raw([]byte(`[34,77,9007199254740992]`))
		for answered := false; !answered; {
			switch m := a.receive().(type) {
			case *wamp.Error:
				answered = m.Request == 77
			case *wamp.Abort, *wamp.Goodbye:
				answered = true
			case nil:
				t.Fatal("the session ended without a word")
			}
		}
		_ = a.conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = r.Close(ctx)
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
