package router

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// TestStorm lets sessions call, cancel, answer, register, re-register, leave and kill
// each other at the same time. Each is a strict client: what comes in an order that
// makes no sense to it is a failure, and so is a call that never ends.
func TestStorm(t *testing.T) {
	r, err := New(Config{
		Realms: []RealmConfig{{Name: "realm1", Authenticators: []Authenticator{Anonymous("anonymous")}, Authorizers: []Authorizer{explicitly{}}}},
		Limits: Limits{PingEvery: -1, CloseTimeout: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	storm := &storm{T: t, router: r, drained: make(chan struct{})}
	var acting, all sync.WaitGroup
	for range 6 {
		acting.Add(1)
		all.Go(func() { storm.live(&acting) })
	}
	acting.Wait() // then all answer what they have got, and their calls end
	close(storm.drained)
	all.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	for _, st := range r.Stats() {
		if st.Subscriptions+st.Registrations+st.Invocations != 0 {
			t.Errorf("left behind: %+v", st)
		}
	}
}

// explicitly allows everything.
type explicitly struct{}

func (explicitly) Authorize(context.Context, *wamp.Peer, Action, wamp.URI, wamp.Match) (Decision, error) {
	return Decision{Allow: true, Explicit: true, Cacheable: true}, nil
}

type storm struct {
	*testing.T
	router  *Router
	drained chan struct{} // closed once nobody begins anything any more
}

// stormProcedures: of those with concurrency, as many calls as their index at once.
var stormProcedures = []wamp.URI{"com.any", "com.one", "com.two"}

// stormy is one session of the storm.
type stormy struct {
	*storm
	conn  transport.Conn
	ended chan struct{} // closed when nothing comes any more

	mu            sync.Mutex
	last          wamp.ID
	leaving       bool
	asked         map[wamp.ID]int     // REGISTER: index of the procedure
	registrations map[wamp.ID]int     // held, as far as this session has heard
	calls         map[wamp.ID]bool    // in flight; whether more parts may follow
	invocations   map[wamp.ID]wamp.ID // to be answered, and their registrations
	seen          map[wamp.ID]bool    // ids of invocations that came
	answering     bool                // whatever comes
}

func (w *storm) join() *stormy {
	client, server := transport.Pipe(wamp.CBOR)
	go w.router.Accept(server)
	s := &stormy{storm: w, conn: client, ended: make(chan struct{}), asked: map[wamp.ID]int{}, registrations: map[wamp.ID]int{},
		calls: map[wamp.ID]bool{}, invocations: map[wamp.ID]wamp.ID{}, seen: map[wamp.ID]bool{}}
	everything := wamp.Role{Present: true, Features: ^wamp.Features(0)}
	s.send(&wamp.Hello{Realm: "realm1", Details: wamp.HelloDetails{Roles: wamp.Roles{Caller: everything, Callee: everything}}})
	go s.read()
	return s
}

func (s *stormy) send(m wamp.Message) {
	body, err := codec.Append(nil, wamp.CBOR, m)
	if err != nil {
		s.Error(err)
		return
	}
	_, _ = s.conn.Write([][]byte{s.conn.Framing().AppendFrame(nil, transport.OpMessage, body)}, 10*time.Second)
}

func (s *stormy) read() {
	defer close(s.ended)
	welcomed := false
	for {
		f, err := s.conn.Read()
		if err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.leaving {
				s.Errorf("the session ended without a word: %v", err)
			}
			return
		}
		if f.Op != transport.OpMessage {
			continue
		}
		m, err := codec.NewDecoder().Decode(wamp.CBOR, bytes.Clone(f.Body))
		if err != nil {
			s.Errorf("the router sent %q: %v", f.Body, err)
			return
		}
		if _, is := m.(*wamp.Welcome); is == welcomed {
			s.Errorf("%v came first, or WELCOME twice", m.Type())
		}
		welcomed = true
		s.mu.Lock()
		on := s.take(m)
		s.mu.Unlock()
		if !on {
			return
		}
	}
}

// take checks one message against what this session knows.
func (s *stormy) take(m wamp.Message) (on bool) {
	switch m := m.(type) {
	case *wamp.Welcome:
	case *wamp.Goodbye:
		if !s.leaving {
			s.leaving = true
			s.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		}
		return false
	case *wamp.Registered:
		s.registrations[m.Registration] = s.asked[m.Request]
	case *wamp.Unregistered:
		id := m.Details.Registration
		if m.Request != 0 {
			id = wamp.ID(s.asked[m.Request])
		}
		if _, held := s.registrations[id]; !held {
			s.Errorf("UNREGISTERED of %d (request %d), which is not held", id, m.Request)
		}
		delete(s.registrations, id)
	case *wamp.Invocation:
		s.invoked(m)
	case *wamp.Interrupt:
		if !s.seen[m.Request] {
			s.Errorf("INTERRUPT of %d before its INVOCATION", m.Request)
		}
		if m.Options.Mode == "killnowait" {
			delete(s.invocations, m.Request)
		}
	case *wamp.Result:
		if _, there := s.calls[m.Request]; !there {
			s.Errorf("RESULT of call %d, which has ended (progress: %v)", m.Request, m.Details.Progress)
		}
		if !m.Details.Progress {
			delete(s.calls, m.Request)
		}
	case *wamp.Error:
		if m.RequestType == wamp.TypeCall {
			if _, there := s.calls[m.Request]; !there {
				s.Errorf("ERROR %s of call %d, which has ended", m.Error, m.Request)
			}
			delete(s.calls, m.Request)
		}
	default:
		s.Errorf("%v: %+v", m.Type(), m)
	}
	return true
}

func (s *stormy) invoked(m *wamp.Invocation) {
	if _, more := s.invocations[m.Request]; more {
		return
	}
	if s.seen[m.Request] { // a later part of a call that has been answered
		return
	}
	s.seen[m.Request] = true
	procedure, held := s.registrations[m.Registration]
	if !held {
		s.Errorf("INVOCATION of registration %d, which is not held", m.Registration)
	}
	s.invocations[m.Request] = m.Registration
	busy := 0
	for _, registration := range s.invocations {
		if registration == m.Registration {
			busy++
		}
	}
	if procedure > 0 && busy > procedure {
		s.Errorf("%d calls at once of %s", busy, stormProcedures[procedure])
	}
	if s.answering {
		s.answer(m.Request, false)
	}
}

func (s *stormy) answer(id wamp.ID, progress bool) {
	if !progress {
		delete(s.invocations, id)
	}
	s.send(&wamp.Yield{Request: id, Options: wamp.ResultDetails{Progress: progress}})
}

// live is a client that reconnects when its session has ended.
func (w *storm) live(acting *sync.WaitGroup) {
	s := w.join()
	defer func() {
		s.mu.Lock()
		s.leaving = true
		s.mu.Unlock()
		_ = s.conn.Close()
		<-s.ended
	}()
	for range 1500 {
		s.mu.Lock()
		over := s.leaving
		if !over {
			s.act()
		}
		s.mu.Unlock()
		if over {
			<-s.ended
			_ = s.conn.Close()
			s = w.join()
		}
	}
	s.drain()
	acting.Done()
	<-w.drained
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		left, over := len(s.calls), s.leaving
		s.mu.Unlock()
		if left == 0 || over {
			return
		}
		if time.Now().After(end) {
			w.Errorf("%d calls never ended", left)
			return
		}
	}
}

func (s *stormy) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answering = true
	for id := range s.invocations {
		s.answer(id, false)
	}
}

// act does one thing.
func (s *stormy) act() {
	s.last++
	id := s.last
	flag := func(n int) wamp.Flag {
		if rand.IntN(n) == 0 {
			return wamp.True
		}
		return wamp.Unset
	}
	procedure := rand.IntN(len(stormProcedures))
	switch n := rand.IntN(100); {
	case n < 12:
		s.asked[id] = procedure
		s.send(&wamp.Register{Request: id, Procedure: stormProcedures[procedure], Options: wamp.RegisterOptions{
			Invoke: []string{"roundrobin", "last", "first"}[procedure], Concurrency: uint64(procedure), ForceReregister: flag(3)}})
	case n < 20:
		for registration := range s.registrations {
			s.asked[id] = int(registration)
			s.send(&wamp.Unregister{Request: id, Registration: registration})
			return
		}
		s.last--
	case n < 50:
		o := wamp.CallOptions{ReceiveProgress: flag(2), Progress: flag(3)}
		if n%3 == 0 {
			o.Timeout = uint64(1 + rand.IntN(3))
		}
		s.calls[id] = o.Progress == wamp.True
		s.send(&wamp.Call{Request: id, Procedure: stormProcedures[procedure], Options: o})
	case n < 60:
		s.last--
		for call, open := range s.calls {
			if open {
				o := wamp.CallOptions{Progress: flag(2)}
				s.calls[call] = o.Progress == wamp.True
				s.send(&wamp.Call{Request: call, Procedure: stormProcedures[procedure], Options: o})
				return
			}
		}
	case n < 68:
		s.last--
		for call := range s.calls {
			s.send(&wamp.Cancel{Request: call, Options: wamp.CancelOptions{Mode: []string{"kill", "killnowait"}[n%2]}})
			return
		}
	case n < 98:
		s.last--
		for invocation := range s.invocations {
			s.answer(invocation, n%3 == 0)
			return
		}
	case rand.IntN(4) > 0:
		s.leaving = true
		if n%2 == 0 {
			s.send(&wamp.Goodbye{Reason: wamp.CloseRealm})
		} else {
			_ = s.conn.Close()
		}
	default:
		s.calls[id] = false
		s.send(&wamp.Call{Request: id, Procedure: "wamp.session.kill_all"})
	}
}
