package isolation

import (
	"context"
	crand "crypto/rand"
	"crypto/tls"
	bits "encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// TestMessagesReachOnlyTheirReceivers lets many sessions of two realms publish, call and answer
// at once for BLINDFOLD_ISOLATION (4 s by default): over all transports, in all
// serializers, with payloads of all sizes, with other options than the message
// before and with the same ones; while others come, leave in the middle of a
// frame, don't read, and while permissions are changed. Nobody gets a byte, a
// detail or a message that is not for him, and those who stay get all that is.
func TestMessagesReachOnlyTheirReceivers(t *testing.T) {
	length := 4 * time.Second
	if s := os.Getenv("BLINDFOLD_ISOLATION"); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatal("BLINDFOLD_ISOLATION:", err)
		}
	}
	m := newCrowd(t)
	var passing, working sync.WaitGroup
	for realm := range crowdRealms {
		for place, p := range m.stays[realm] {
			switch crowdWork(place) {
			case "publish":
				working.Go(p.publishes)
			case "call":
				working.Go(p.makesCalls)
			}
		}
		for _, kind := range []func(*member){(*member).leavesAbruptly, (*member).toggles, (*member).readsLate,
			(*member).readsLate, (*member).breaksOff, (*member).answersAWhile} {
			passing.Go(func() { m.passBy(realm, "", kind) })
		}
		// A pipe holds so little that whoever reads no more is soon noticed.
		passing.Go(func() { m.passBy(realm, "memory", (*member).stalls) })
	}
	working.Go(m.flip)
	select {
	case <-time.After(length):
	case <-m.stop.Done():
	}
	m.end()
	working.Wait()
	m.checkCounts()
	passing.Wait()
	t.Logf("%d events of %d publishers, %d calls, %d sessions, %d of them cut off", m.events(), 3*len(crowdRealms),
		m.called.Load(), m.numbers.Load(), m.cut.Load())
}

var crowdRealms = [...]string{routertest.Realm, "realm2"}

// crowdStable is how many sessions of each realm stay. All of them subscribe.
const crowdStable = 12

// crowdWork is what they do beside.
func crowdWork(place int) string {
	switch {
	case place < 3:
		return "publish"
	case place < 5:
		return "call"
	case place < 7:
		return "answer"
	}
	return ""
}

func crowdSubscriptions(place int) []patternURI {
	all := []patternURI{{crowdURIs[uriT0], wamp.MatchExact}, {"com.crowd.", wamp.MatchPrefix}, {"com..t1", wamp.MatchWildcard}}
	switch {
	case place < 4:
		return all[:1]
	case place%2 == 0:
		return all[:2]
	}
	return all
}

// crowd is a world with two realms and TLS, and what is known of its sessions.
type crowd struct {
	*routertest.World
	config *router.Config
	tls    map[string]string // URLs
	trust  *tls.Config
	seed   uint64
	block  []byte
	stop   context.Context
	end    context.CancelFunc

	numbers     atomic.Uint32
	who         sync.Map // *member by number
	stays       [len(crowdRealms)][crowdStable]*member
	counts      [len(crowdRealms)][crowdStable][crowdStable]struct{ want, got atomic.Int64 }
	called, cut atomic.Int64
}

// ruling allows all but one URI, and lets some answers be asked for anew.
type ruling struct{ forbidden wamp.URI }

func (r ruling) Authorize(_ context.Context, _ *wamp.Peer, action router.Action, uri wamp.URI, _ wamp.Match) (router.Decision, error) {
	return router.Decision{Allow: uri != r.forbidden || action == router.ActionRegister, Cacheable: uri != crowdURIs[uriT1],
		Disclose: uri == crowdURIs[uriShown]}, nil
}

// marking changes messages.
type marking struct{}

func (marking) Receive(t *wamp.RoutedMessage) error {
	m, ok := t.Message.(*wamp.Publish)
	if !ok {
		return nil
	}
	if m.Options.TransactionHash == "hash3" {
		m.Options.TransactionHash = "changed"
	}
	if m.Options.Exclude != nil {
		m.Options.Exclude = append(m.Options.Exclude, wamp.MaxID)
	}
	return nil
}

func (marking) Deliver(*wamp.RoutedMessage, *wamp.Peer) error { return nil }

func newCrowd(t *testing.T) *crowd {
	m := &crowd{seed: rand.Uint64(), block: make([]byte, 4*blockSize), tls: map[string]string{}}
	t.Logf("seed %d", m.seed)
	_, _ = crand.Read(m.block)
	m.stop, m.end = context.WithCancel(context.Background())
	reframe, err := passthrough.New(passthrough.Config{Conversion: passthrough.Reframe})
	routertest.NoError(t, err)
	m.World = routertest.NewWorld(t, routertest.WithPassthrough(func(c *passthrough.Config) { c.Conversion = passthrough.Reframe }),
		routertest.WithRouter(func(c *router.Config) {
			m.config = c
			// Nobody waits for long for the slow; those who stay are not sent more
			// than they take, see awaitTaken.
			c.Limits = router.Limits{Message: 256 << 10, Queue: 2 << 20, BackpressureTimeout: 20 * time.Millisecond, PingEvery: -1, CloseTimeout: time.Second}
			r := &c.Realms[0]
			r.Authenticators = append(r.Authenticators, routertest.ByRole{})
			r.Authorizers = []router.Authorizer{ruling{}}
			r.Interceptors = []router.Interceptor{marking{}}
			r.TrustLevels = map[string]uint64{"staff": 3}
			r.Retained = new(router.RetainedLimits)
			second := *r
			second.Name = crowdRealms[1]
			second.Interceptors = []router.Interceptor{marking{}, reframe}
			c.Realms = append(c.Realms, second)
		}))
	m.listenTLS()
	var reading sync.WaitGroup
	t.Cleanup(func() {
		m.end()
		for realm := range m.stays {
			for _, p := range m.stays[realm] {
				if p != nil {
					_ = p.conn.Close()
				}
			}
		}
		reading.Wait()
		m.WaitSessions(0)
	})
	for realm := range m.stays {
		for place := range m.stays[realm] {
			over := crowdTransports[(place+realm)%len(crowdTransports)]
			p, err := m.enter(realm, place, over, crowdSerializer(realm, place+place/6))
			routertest.NoError(t, err)
			m.stays[realm][place] = p
		}
		for place, p := range m.stays[realm] {
			reading.Go(func() { p.read(forever) })
			for _, s := range crowdSubscriptions(place) {
				routertest.NoError(t, p.wait(p.subscribe(s.uri, s.match)))
			}
			if crowdWork(place) == "answer" {
				routertest.NoError(t, p.wait(p.registerEcho()))
			}
		}
		for i, r := range []*wamp.Register{
			{Procedure: "com.crowd.pre.", Options: wamp.RegisterOptions{Match: "prefix", ForwardTimeout: wamp.True}},
			{Procedure: "com..wild", Options: wamp.RegisterOptions{Match: "wildcard"}},
			{Procedure: crowdURIs[uriFlip]},
		} {
			p := m.stays[realm][5+i%2]
			routertest.NoError(t, p.wait(p.ask(r)))
		}
	}
	return m
}

var crowdTransports = append(slices.Clone(routertest.Transports), "wss", "rss")

// crowdSerializer is seldom JSON, which the race detector makes slow.
func crowdSerializer(realm, n int) wamp.Serializer {
	if n%4 == 3 && realm == 0 {
		return wamp.JSON
	}
	return [...]wamp.Serializer{wamp.MsgPack, wamp.CBOR}[n/2%2]
}

func (m *crowd) listenTLS() {
	authority := routertest.NewAuthority(m.T)
	m.trust = authority.Trust()
	server := &transport.Server{Handle: m.Router.Accept, Rejected: m.Router.Rejected, Limits: transport.Limits{MaxMessage: 16 << 20}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	routertest.NoError(m.T, err)
	m.tls["wss"], m.tls["rss"] = "wss://"+l.Addr().String()+"/ws", "rss://"+l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{authority.Issue("router")}}), transport.ListenOptions{})
	}()
	m.T.Cleanup(func() {
		routertest.NoError(m.T, server.Close())
		<-done
	})
}

// open connects.
func (m *crowd) open(over string, s wamp.Serializer) (transport.Conn, error) {
	if over == "memory" {
		return m.Dial(over, s), nil
	}
	url := m.URLs[over] + m.tls[over]
	ctx, cancel := context.WithTimeout(context.Background(), routertest.Timeout)
	defer cancel()
	return transport.Dial(ctx, url, transport.DialOptions{Serializer: s, TLS: m.trust})
}

func (m *crowd) stopped() bool { return m.stop.Err() != nil }

// fail says what is wrong, and ends the test soon.
func (m *crowd) fail(format string, args ...any) {
	m.T.Errorf(format, args...)
	m.end()
}

func (m *crowd) events() (n int64) {
	for realm := range m.counts {
		for from := range m.counts[realm] {
			for to := range m.counts[realm][from] {
				n += m.counts[realm][from][to].got.Load()
			}
		}
	}
	return n
}

// checkCounts waits until those who stay have got all that is theirs.
func (m *crowd) checkCounts() {
	if m.T.Failed() {
		return
	}
	var wrong []string
	for end := time.Now().Add(routertest.Timeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		wrong = wrong[:0]
		for realm := range m.counts {
			for from := range m.counts[realm] {
				for to := range m.counts[realm][from] {
					if c := &m.counts[realm][from][to]; c.want.Load() != c.got.Load() {
						wrong = append(wrong, fmt.Sprintf("realm %d: %d got %d events of %d's, not %d", realm, to, c.got.Load(), from, c.want.Load()))
					}
				}
			}
		}
		if len(wrong) == 0 {
			break
		}
	}
	for _, w := range wrong {
		m.fail("%s", w)
	}
	if m.events() == 0 || m.called.Load() == 0 {
		m.fail("nothing was sent")
	}
}

// publish makes a PUBLISH of a stamp, and counts it for those who are to get it.
func (p *member) publish(st *stamp) *wamp.Publish {
	payload, err := st.payload(p.s, p.random, p.block, randomSize(p.random))
	if err != nil {
		p.fail("%d: %v", p.number, err)
	}
	m := &wamp.Publish{Request: p.request(), Topic: st.uri(), Payload: payload, Options: st.listed(p.crowd, p.realm)}
	m.Options.DiscloseMe, m.Options.Retain = st.flag(stampDisclose), st.flag(stampRetain)
	if st.has(stampToMe) {
		m.Options.ExcludeMe = wamp.False
	}
	m.Options.TransactionHash, m.Options.Attributes = st.hash(), st.attributes()
	if st.Key == 7 {
		m.Options.ForwardFor = []any{map[string]any{"session": 1}}
	}
	if p.place < 0 {
		return m
	}
	for place, to := range p.stays[p.realm] {
		for _, s := range crowdSubscriptions(place) {
			if s.uri.Matches(s.match, st.uri()) && to.admitted(st, p) {
				p.counts[p.realm][p.place][place].want.Add(1)
			}
		}
	}
	return m
}

var crowdTopics = []uint8{uriT0, uriT0, uriT1, uriShown, uriKept, uriQuiet}

// publishes publishes batch after batch.
func (p *member) publishes() {
	st := stamp{Sender: p.number}
	for !p.stopped() {
		var batch []wamp.Message
		for range 1 + p.random.IntN(20) {
			st.next(p.random, crowdTopics...)
			batch = append(batch, p.publish(&st))
		}
		last := batch[len(batch)-1].(*wamp.Publish)
		last.Options.Acknowledge = wamp.True
		if err := p.write(batch...); err != nil {
			p.fail("%d: %v", p.number, err)
			return
		}
		if err := p.wait(last.Request); err != nil {
			p.fail("%d: no PUBLISHED: %v", p.number, err)
			return
		}
		p.awaitTaken()
	}
}

// awaitTaken waits until nobody who stays is more than a few events behind.
func (p *member) awaitTaken() {
	late := time.After(routertest.Timeout)
	for to := range p.stays[p.realm] {
		for c := &p.counts[p.realm][p.place][to]; c.want.Load()-c.got.Load() > 8; {
			select {
			case <-p.taken:
			case <-p.stop.Done():
				return
			case <-late:
				p.fail("%d: lost events, or waits for %d in vain", p.number, to)
				return
			}
		}
	}
}

func (p *member) registerEcho() wamp.ID {
	return p.ask(&wamp.Register{Procedure: crowdURIs[uriEcho], Options: wamp.RegisterOptions{Invoke: "roundrobin"}})
}

// call makes the CALL of a stamp.
func (p *member) call(st *stamp, request wamp.ID) *wamp.Call {
	payload, err := st.payload(p.s, p.random, p.block, randomSize(p.random))
	if err != nil {
		p.fail("%d: %v", p.number, err)
	}
	m := &wamp.Call{Request: request, Procedure: st.uri(), Payload: payload}
	m.Options = wamp.CallOptions{ReceiveProgress: st.flag(stampProgress), Progress: st.flag(stampMore), DiscloseMe: st.flag(stampDisclose),
		Timeout: crowdTimeout(st), TransactionHash: st.hash(), Attributes: st.attributes()}
	p.mu.Lock()
	p.calls[request] = &pendingCall{stamp: *st}
	p.mu.Unlock()
	p.called.Add(1)
	return m
}

// makesCalls calls batch after batch.
func (p *member) makesCalls() {
	st := stamp{Sender: p.number, URI: uriEcho}
	for !p.stopped() {
		var batch []wamp.Message
		var requests []wamp.ID
		for range 1 + p.random.IntN(12) {
			st.next(p.random, uriEcho, uriEcho, uriPre, uriWild)
			request := p.request()
			requests = append(requests, request)
			if st.URI != uriEcho && p.random.IntN(6) == 0 {
				for range 1 + p.random.IntN(3) { // in parts
					st.Flags |= stampMore
					batch = append(batch, p.call(&st, request))
					st.Flags &^= stampMore
					st.Seq++
				}
			}
			batch = append(batch, p.call(&st, request))
		}
		if err := p.write(batch...); err != nil {
			p.fail("%d: %v", p.number, err)
			return
		}
		for _, request := range requests {
			if err := p.wait(request); err != nil {
				p.fail("%d: a call is not answered: %v", p.number, err)
				return
			}
		}
	}
}

// flip forbids one URI and allows it again, in the middle of what is sent.
func (m *crowd) flip() {
	p, err := m.enter(0, -1, "rawsocket", wamp.CBOR)
	if err != nil {
		m.fail("%v", err)
		return
	}
	p.flips = true
	defer p.reads()()
	st := stamp{Sender: p.number, URI: uriFlip}
	send := func(flags uint8) (requests []wamp.ID) {
		var batch []wamp.Message
		for range 20 {
			st.Seq++
			st.Flags = flags
			pub := p.publish(&st)
			pub.Options.Acknowledge = wamp.True
			p.mu.Lock()
			p.forbidden[pub.Request] = st.has(stampForbidden)
			p.mu.Unlock()
			st.Seq++
			request := p.request()
			batch = append(batch, pub, p.call(&st, request))
			requests = append(requests, pub.Request, request)
		}
		if err := p.write(batch...); err != nil {
			m.fail("%v", err)
		}
		return requests
	}
	for !m.stopped() {
		requests := send(0)
		m.rule(ruling{crowdURIs[uriFlip]})
		requests = append(requests, send(stampForbidden)...)
		for _, id := range requests {
			if err := p.wait(id); err != nil {
				m.fail("flip: %v", err)
				return
			}
		}
		m.rule(ruling{})
	}
}

// rule replaces the authorizers.
func (m *crowd) rule(r ruling) {
	c := *m.config
	c.Realms = slices.Clone(c.Realms)
	for i := range c.Realms {
		c.Realms[i].Authorizers = []router.Authorizer{r}
	}
	if err := m.Router.Reload(c); err != nil {
		m.fail("%v", err)
	}
}

// passBy lets sessions do something until the end.
func (m *crowd) passBy(realm int, over string, do func(*member)) {
	for n := 0; !m.stopped(); n++ {
		by := over
		if by == "" {
			by = crowdTransports[n%len(crowdTransports)]
		}
		p, err := m.enter(realm, -1, by, crowdSerializer(realm, n+n/6))
		if err != nil {
			m.fail("%s: %v", by, err)
			return
		}
		ended := context.AfterFunc(m.stop, func() { _ = p.conn.Close() })
		do(p)
		ended()
		_ = p.conn.Close()
		if p.aborted {
			m.cut.Add(1)
		}
	}
}

// reads reads beside, until what it returns is called.
func (p *member) reads() (end func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.read(forever)
	}()
	return func() {
		_ = p.conn.Close()
		<-done
	}
}

func (p *member) leavesAbruptly() {
	p.subscribe(crowdURIs[uriT0], wamp.MatchExact)
	p.subscribe("com.", wamp.MatchPrefix)
	most := p.random.IntN(60)
	p.read(func(n int) bool { return n > most })
}

// toggles subscribes and unsubscribes.
func (p *member) toggles() {
	defer p.reads()()
	for range 20 {
		for _, s := range crowdSubscriptions(11) {
			if p.wait(p.subscribe(s.uri, s.match)) != nil {
				return
			}
		}
		p.mu.Lock()
		var ids []wamp.ID
		for id := range p.subscriptions {
			ids = append(ids, id)
		}
		p.mu.Unlock()
		for _, id := range ids {
			request := p.request()
			p.mu.Lock()
			p.leaving[request] = id
			p.mu.Unlock()
			_ = p.write(&wamp.Unsubscribe{Request: request, Subscription: id})
			if p.wait(request) != nil {
				return
			}
		}
	}
}

// readsLate subscribes to all there is, and reads when it is too late.
func (p *member) readsLate() {
	p.subscribe(crowdURIs[uriT0], wamp.MatchExact)
	p.subscribe("com.crowd.", wamp.MatchPrefix)
	p.pause(2500 * time.Millisecond)
	p.read(func(n int) bool { return n > 400 })
}

// stalls subscribes to what comes seldom enough not to fill its queue.
func (p *member) stalls() {
	p.subscribe(crowdURIs[uriQuiet], wamp.MatchExact)
	p.pause(2500 * time.Millisecond)
	p.read(func(n int) bool { return n > 400 })
}

func (p *member) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.stop.Done():
	}
}

// breaksOff leaves in the middle of a frame.
func (p *member) breaksOff() {
	st := stamp{Sender: p.number}
	var batch []wamp.Message
	for range 1 + p.random.IntN(10) {
		st.next(p.random, crowdTopics...)
		batch = append(batch, p.publish(&st))
	}
	_ = p.write(batch...)
	body := make([]byte, 5000)
	bits.BigEndian.PutUint64(body, st.Seq)
	frame := p.conn.Framing().AppendFrame(nil, transport.OpMessage, body)
	_, _ = p.conn.Write([][]byte{frame[:p.random.IntN(len(frame))]}, time.Second)
}

// answersAWhile is a callee that leaves with calls to answer.
func (p *member) answersAWhile() {
	p.registerEcho()
	most := p.random.IntN(30)
	p.read(func(n int) bool { return n > most })
}
