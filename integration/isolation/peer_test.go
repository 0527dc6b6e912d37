package isolation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// member is a session of TestMessagesReachOnlyTheirReceivers. It checks all that it gets.
type member struct {
	*crowd
	number       uint32 // in the order of coming; the first of each realm stay
	place        int    // of those that stay, in its realm; or -1
	realm        int
	conn         transport.Conn
	s            wamp.Serializer
	id           wamp.ID
	authid, role string
	random       *rand.Rand
	block        []byte

	taken chan struct{} // after an event of this session's has been taken

	writing sync.Mutex
	last    wamp.ID // request id

	mu            sync.Mutex
	asked         map[wamp.ID]patternURI // SUBSCRIBE and REGISTER under way
	leaving       map[wamp.ID]wamp.ID    // UNSUBSCRIBE: the subscription
	subscriptions map[wamp.ID]patternURI
	registrations map[wamp.ID]patternURI
	seen          map[[2]uint64]uint64 // by subscription and sender: the last Seq
	calls         map[wamp.ID]*pendingCall
	forbidden     map[wamp.ID]bool // requests that must be refused
	invoked       uint64           // answers that were sent
	done          map[wamp.ID]bool // requests that were answered for good
	answered      *sync.Cond
	ended         error
	aborted       bool
	flips         bool // what it sends may be forbidden
}

type patternURI struct {
	uri   wamp.URI
	match wamp.Match
}

// pendingCall is a call that its caller waits for.
type pendingCall struct {
	stamp stamp
	parts uint16
}

// enter opens a session in a realm.
func (m *crowd) enter(realm, place int, over string, s wamp.Serializer) (*member, error) {
	p := &member{crowd: m, number: m.numbers.Add(1), place: place, realm: realm, s: s,
		random: rand.New(rand.NewPCG(m.seed, uint64(m.numbers.Load()))),
		taken:  make(chan struct{}, 1),
		asked:  map[wamp.ID]patternURI{}, leaving: map[wamp.ID]wamp.ID{},
		subscriptions: map[wamp.ID]patternURI{}, registrations: map[wamp.ID]patternURI{},
		seen: map[[2]uint64]uint64{}, calls: map[wamp.ID]*pendingCall{},
		forbidden: map[wamp.ID]bool{}, done: map[wamp.ID]bool{}}
	p.answered = sync.NewCond(&p.mu)
	p.authid, p.role = "passer-by", "passer-by"
	if place >= 0 {
		p.authid, p.role = fmt.Sprint("stays", place), crowdRole(place)
	}
	start := p.random.IntN(len(m.block) - blockSize)
	p.block = m.block[start : start+blockSize]
	var err error
	if p.conn, err = m.open(over, s); err != nil {
		return nil, err
	}
	hello := &wamp.Hello{Realm: wamp.URI(crowdRealms[realm])}
	routertest.AllFeatures(hello)
	routertest.As(p.authid, p.role)(hello)
	p.write(hello)
	_ = p.conn.SetReadDeadline(time.Now().Add(routertest.Timeout))
	f, err := p.conn.Read()
	if err != nil {
		_ = p.conn.Close()
		return nil, err
	}
	welcome, err := codec.NewDecoder().Decode(s, f.Body)
	if w, ok := welcome.(*wamp.Welcome); ok {
		p.id = w.Session
		m.who.Store(p.number, p)
		return p, nil
	}
	_ = p.conn.Close()
	if a, ok := welcome.(*wamp.Abort); ok && a.Reason == wamp.ErrUnavailable {
		return m.enter(realm, place, over, s) // the router was reloaded in between
	}
	return nil, errors.Join(err, fmt.Errorf("%T instead of WELCOME", welcome))
}

func crowdRole(place int) string { return [...]string{"staff", "guest"}[place%2] }

// write sends messages with one write, for the router to find them at once.
func (p *member) write(messages ...wamp.Message) error {
	var all []byte
	for _, m := range messages {
		body, err := codec.Append(nil, p.s, m)
		if err != nil {
			p.fail("%d: cannot encode: %v", p.number, err)
			return err
		}
		all = p.conn.Framing().AppendFrame(all, transport.OpMessage, body)
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err := p.conn.Write([][]byte{all}, routertest.Timeout)
	return err
}

func (p *member) request() wamp.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	return p.last
}

// ask sends a SUBSCRIBE or REGISTER.
func (p *member) ask(m wamp.Message) wamp.ID {
	id := p.request()
	var what patternURI
	switch m := m.(type) {
	case *wamp.Subscribe:
		m.Request = id
		what.uri = m.Topic
		what.match, _ = wamp.ParseMatch(m.Options.Match)
	case *wamp.Register:
		m.Request = id
		what.uri = m.Procedure
		what.match, _ = wamp.ParseMatch(m.Options.Match)
	}
	p.mu.Lock()
	p.asked[id] = what
	p.mu.Unlock()
	_ = p.write(m)
	return id
}

func (p *member) subscribe(uri wamp.URI, match wamp.Match) wamp.ID {
	return p.ask(&wamp.Subscribe{Topic: uri, Options: wamp.SubscribeOptions{Match: match.String(), GetRetained: wamp.True}})
}

// wait waits until a request is answered for good, or the session is over.
func (p *member) wait(id wamp.ID) error {
	late := time.AfterFunc(routertest.Timeout, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ended = errors.New("nothing came")
		p.answered.Broadcast()
	})
	defer late.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.done[id] && p.ended == nil {
		p.answered.Wait()
	}
	delete(p.done, id)
	return p.ended
}

// read reads and checks until the end, or until enough, and closes nothing.
func (p *member) read(enough func(messages int) bool) {
	decoder := codec.NewDecoder()
	for n := 0; !enough(n); n++ {
		_ = p.conn.SetReadDeadline(time.Now().Add(routertest.Timeout))
		f, err := p.conn.Read()
		var msg wamp.Message
		if err == nil && f.Op == transport.OpMessage && p.aborted {
			p.fail("%d: a message after ABORT", p.number)
		}
		if err == nil && f.Op == transport.OpMessage {
			if msg, err = decoder.Decode(p.s, f.Body); err != nil {
				p.fail("%d: got what is no message: %v", p.number, err)
			}
		}
		var broken *transport.ProtocolError
		if errors.As(err, &broken) {
			p.fail("%d: got what is no frame: %v", p.number, err)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && p.place < 0 && p.stopped() {
			return
		}
		p.mu.Lock()
		if err != nil {
			p.ended = err
			p.answered.Broadcast()
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
		if msg != nil {
			p.got(msg)
		}
	}
}

func forever(int) bool { return false }

func (p *member) got(msg wamp.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m := msg.(type) {
	case *wamp.Subscribed:
		what, ok := p.asked[m.Request]
		if !ok {
			p.fail("%d: SUBSCRIBED that it did not ask for", p.number)
		}
		delete(p.asked, m.Request)
		p.subscriptions[m.Subscription] = what
		p.finish(m.Request)
	case *wamp.Registered:
		p.registrations[m.Registration] = p.asked[m.Request]
		delete(p.asked, m.Request)
		p.finish(m.Request)
	case *wamp.Unsubscribed:
		delete(p.subscriptions, p.leaving[m.Request])
		delete(p.leaving, m.Request)
		p.finish(m.Request)
	case *wamp.Published:
		if p.forbidden[m.Request] {
			p.fail("%d: PUBLISHED, though it was forbidden", p.number)
		}
		p.finish(m.Request)
	case *wamp.Event:
		p.event(m)
	case *wamp.Invocation:
		p.invocation(m)
	case *wamp.Result:
		p.result(m.Request, &m.Payload, m.Details.Attributes, !m.Details.Progress)
	case *wamp.Error:
		p.error(m)
	case *wamp.Abort:
		p.aborted = true
		if p.place >= 0 {
			p.fail("%d: aborted: %s: %s", p.number, m.Reason, m.Details.Message)
		}
	case *wamp.Interrupt: // the caller has ended
	default:
		p.fail("%d: got %v", p.number, m.Type())
	}
}

func (p *member) finish(request wamp.ID) {
	p.done[request] = true
	p.answered.Broadcast()
}

// sender returns who sent a payload; it must be one of the same realm.
func (p *member) sender(st *stamp) *member {
	who, _ := p.who.Load(st.Sender)
	from, _ := who.(*member)
	if from == nil || from.realm != p.realm {
		p.fail("%d: %+v is of another realm, or nobody's", p.number, st)
		return nil
	}
	if st.has(stampForbidden) {
		p.fail("%d: got %+v, which was forbidden when it was sent", p.number, st)
	}
	return from
}

func (p *member) event(m *wamp.Event) {
	st, err := readStamp(&m.Payload)
	if err != nil {
		p.fail("%d: EVENT: %v", p.number, err)
		return
	}
	from := p.sender(&st)
	what, ok := p.subscriptions[m.Subscription]
	if from == nil {
		return
	}
	if !ok || !what.uri.Matches(what.match, st.uri()) {
		p.fail("%d: %+v for %d, which is subscribed to %+v", p.number, st, m.Subscription, what)
	}
	want := wamp.EventDetails{Attributes: st.attributes(), TransactionHash: st.hash(), Retained: m.Details.Retained, TrustLevel: crowdTrust(from.role)}
	if want.TransactionHash == "hash3" {
		want.TransactionHash = "changed"
	}
	if st.has(stampDisclose) || st.URI == uriShown {
		want.Publisher, want.PublisherAuthID, want.PublisherAuthRole = from.id, from.authid, from.role
	}
	if what.match != wamp.MatchExact {
		want.Topic = st.uri()
	}
	if m.Details != want {
		p.fail("%d: %+v with the details %+v, not %+v", p.number, st, m.Details, want)
	}
	if !p.admitted(&st, from) {
		p.fail("%d: %+v is not for it", p.number, st)
	}
	if m.Details.Retained {
		if !st.has(stampRetain) {
			p.fail("%d: %+v was not to be retained", p.number, st)
		}
		return
	}
	key := [2]uint64{uint64(m.Subscription), uint64(st.Sender)}
	if st.Seq <= p.seen[key] {
		p.fail("%d: %+v after %d", p.number, st, p.seen[key])
	}
	p.seen[key] = st.Seq
	if from.place >= 0 && p.place >= 0 {
		p.counts[p.realm][from.place][p.place].got.Add(1)
		select {
		case from.taken <- struct{}{}:
		default:
		}
	}
}

func crowdTrust(role string) wamp.Trust {
	if role == "staff" {
		return wamp.TrustLevel(3)
	}
	return 0
}

// listed are the options for the stamp's lists of receivers.
func (st *stamp) listed(m *crowd, realm int) (o wamp.PublishOptions) {
	target := m.stays[realm][st.Target]
	switch st.Lists {
	case 1:
		o.Exclude = []wamp.ID{target.id}
	case 2:
		o.Eligible = []wamp.ID{target.id, m.stays[realm][0].id}
	case 3:
		o.EligibleAuthID = []string{target.authid, "nobody"}
	case 4:
		o.ExcludeAuthRole = []string{target.role}
	case 5:
		o.ExcludeAuthID = []string{target.authid}
	case 6:
		o.Eligible = []wamp.ID{}
	}
	return o
}

// admitted reports whether p may have what st is of.
func (p *member) admitted(st *stamp, from *member) bool {
	if from == p && !st.has(stampToMe) {
		return false
	}
	target := p.stays[p.realm][st.Target]
	switch st.Lists {
	case 1:
		return p != target
	case 2:
		return p == target || p == p.stays[p.realm][0]
	case 3, 5:
		return (p.authid == target.authid) == (st.Lists == 3)
	case 4:
		return p.role != target.role
	case 6:
		return false
	}
	return true
}

func (p *member) invocation(m *wamp.Invocation) {
	st, err := readStamp(&m.Payload)
	if err != nil {
		p.fail("%d: INVOCATION: %v", p.number, err)
		return
	}
	from := p.sender(&st)
	what, ok := p.registrations[m.Registration]
	if from == nil {
		return
	}
	if !ok || !what.uri.Matches(what.match, st.uri()) {
		p.fail("%d: %+v for %d, which is %+v", p.number, st, m.Registration, what)
	}
	want := wamp.InvocationDetails{Attributes: st.attributes(), TransactionHash: st.hash(), TrustLevel: crowdTrust(from.role),
		ReceiveProgress: st.has(stampProgress), Progress: st.has(stampMore)}
	if st.has(stampDisclose) {
		want.Caller, want.CallerAuthID, want.CallerAuthRole = from.id, from.authid, from.role
	}
	if what.match != wamp.MatchExact {
		want.Procedure = st.uri()
	}
	if st.URI == uriPre {
		want.Timeout = crowdTimeout(&st)
	}
	if m.Details != want {
		p.fail("%d: %+v with the details %+v, not %+v", p.number, st, m.Details, want)
	}
	if st.has(stampMore) {
		return
	}
	answer := stamp{Sender: p.number, To: uint64(st.Sender), For: st.Seq, URI: st.URI, Form: wamp.Form(p.random.IntN(3)), Key: st.Key}
	var out []wamp.Message
	for last := false; !last; answer.Part++ {
		p.invoked++
		answer.Seq = p.invoked
		last = !st.has(stampProgress) || p.random.IntN(3) == 0
		payload, err := answer.payload(p.s, p.random, p.block, randomSize(p.random))
		if err != nil {
			p.fail("%d: %v", p.number, err)
			return
		}
		if last && st.Seq%8 == 0 {
			out = append(out, &wamp.Error{RequestType: wamp.TypeInvocation, Request: m.Request, Error: "com.crowd.error",
				Details: wamp.ErrorDetails{Attributes: answer.attributes()}, Payload: payload})
			continue
		}
		out = append(out, &wamp.Yield{Request: m.Request, Payload: payload,
			Options: wamp.ResultDetails{Progress: !last, Attributes: answer.attributes()}})
	}
	_ = p.write(out...)
}

// crowdTimeout is the timeout that a call is made with.
func crowdTimeout(st *stamp) uint64 { return uint64(st.Key%3) * 1000 * 3600 }

// result checks a RESULT, or an ERROR of a callee's.
func (p *member) result(request wamp.ID, payload *wamp.Payload, a wamp.Attributes, final bool) {
	st, err := readStamp(payload)
	call := p.calls[request]
	if err != nil || call == nil {
		p.fail("%d: RESULT of %v: %v", p.number, call, err)
		return
	}
	if p.sender(&st) == nil {
		return
	}
	if st.To != uint64(p.number) || st.For != call.stamp.Seq || st.URI != call.stamp.URI || st.Part != call.parts || a != st.attributes() {
		p.fail("%d: %+v with %+v answers %+v", p.number, st, a, call)
	}
	call.parts++
	if final {
		delete(p.calls, request)
		p.finish(request)
	}
}

func (p *member) error(m *wamp.Error) {
	call := p.calls[m.Request]
	switch {
	case m.RequestType == wamp.TypeCall && m.Error == "com.crowd.error":
		p.result(m.Request, &m.Payload, m.Details.Attributes, true)
		return
	case m.Error == wamp.ErrNotAuthorized && p.flips:
	case call != nil && call.stamp.URI == uriEcho && m.Error == wamp.ErrCanceled: // the callee is gone
	default:
		p.fail("%d: ERROR %s for %v: %s", p.number, m.Error, call, m.Details.Message)
	}
	delete(p.calls, m.Request)
	p.finish(m.Request)
}
