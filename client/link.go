package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

const (
	// maxKeptBuffer is the size of the largest buffer that is reused for the next message.
	maxKeptBuffer = 64 << 10
	// maxReplyBytes is how many bytes of replies to the router (pongs, rejected
	// invocations) may wait while the router does not read.
	maxReplyBytes = 1 << 20
)

// link is a session on one connection. One goroutine reads (read and what it calls). It
// never waits for a write.
type link struct {
	s           *Session
	conn        transport.Conn
	isReconnect bool // not the first connection of the session
	id          wamp.ID
	welcome     wamp.WelcomeDetails
	// ctx ends with the connection. It is passed to handlers of invocations.
	ctx    context.Context
	cancel context.CancelCauseFunc

	writing   chan struct{} // holds a token while a goroutine writes
	buf       []byte        // for the message being written
	closeSent bool          // GOODBYE or ABORT was sent: no message may follow

	failure     atomic.Pointer[error] // why the connection is closed
	goodbyeSent atomic.Bool           // GOODBYE was sent

	// Session.mu guards what follows.
	down             bool
	lastRequest      wamp.ID
	requests         map[wamp.ID]*request
	calls            map[wamp.ID]*ProgressiveCall
	topics           map[wamp.ID]*topic
	registered       map[wamp.ID]*Registration
	invocations      map[wamp.ID]*Invocation
	endedInvocations []wamp.ID    // ended invocations whose inputs may still come
	replies          []replyFrame // for writeReplies
	replyBytes       int
	replying         bool
	goodbyeTimer     *time.Timer
}

// replyFrame is a frame that waits for writeReplies.
type replyFrame struct {
	frame   []byte
	message bool // a WAMP message, not a frame of the transport
}

// request is a request that waits for its answer. (Calls are in link.calls.)
type request struct {
	kind wamp.MessageType
	// answer is called once, on the goroutine that reads.
	answer func(id wamp.ID, err error)
}

func newLink(s *Session, conn transport.Conn) *link {
	l := &link{
		s: s, conn: conn,
		writing:     make(chan struct{}, 1),
		requests:    make(map[wamp.ID]*request),
		calls:       make(map[wamp.ID]*ProgressiveCall),
		topics:      make(map[wamp.ID]*topic),
		registered:  make(map[wamp.ID]*Registration),
		invocations: make(map[wamp.ID]*Invocation),
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	return l
}

func (l *link) serializer() wamp.Serializer { return l.conn.Info().Serializer }

// fail closes the connection. If it is called several times, the first cause counts.
func (l *link) fail(cause error) {
	l.setCause(cause)
	_ = l.conn.Close()
}

func (l *link) setCause(cause error) { l.failure.CompareAndSwap(nil, &cause) }

func (l *link) cause() error {
	if p := l.failure.Load(); p != nil {
		return *p
	}
	return transport.ErrClosed
}

// isClosed reports whether the connection is lost. It is true before anything fails because
// of that.
func (l *link) isClosed() bool { return l.failure.Load() != nil }

// finish fails everything that waits for the connection.
func (l *link) finish(cause error) {
	l.s.mu.Lock()
	l.down = true
	requests, calls := l.requests, l.calls
	l.requests, l.calls = nil, nil
	if l.goodbyeTimer != nil {
		l.goodbyeTimer.Stop()
	}
	l.s.mu.Unlock()
	err := l.s.lost(cause, true)
	for _, r := range requests {
		r.answer(0, err)
	}
	for _, c := range calls {
		c.replies.push(reply{err: err}, 0, true)
	}
	l.cancel(err)
}

// lockWrite waits until this goroutine may write. unlockWrite must follow.
func (l *link) lockWrite(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.writing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.ctx.Done():
		return l.s.lost(l.cause(), false)
	}
}

func (l *link) unlockWrite() { <-l.writing }

// lockSend is lockWrite for messages. It fails after GOODBYE, which is the last message (WAMP,
// "Session Closing").
func (l *link) lockSend(ctx context.Context) error {
	if err := l.lockWrite(ctx); err != nil {
		return err
	}
	if l.closeSent {
		l.unlockWrite()
		return l.s.lost(l.cause(), false)
	}
	return nil
}

// send sends a message. ctx bounds the wait for other writers. A write that has
// started fails if the router reads nothing for Limits.Stall.
func (l *link) send(ctx context.Context, m wamp.Message) error {
	if err := l.lockSend(ctx); err != nil {
		return err
	}
	defer l.unlockWrite()
	return l.write(m)
}

// write sends a message. The caller holds the write lock.
func (l *link) write(m wamp.Message) error {
	frame, buf, err := l.encode(l.buf[:0], m)
	if err != nil {
		return err
	}
	switch m.(type) {
	case *wamp.Goodbye, *wamp.Abort:
		l.closeSent = true
	}
	return l.put(frame, buf)
}

// put writes frame, which is a part of buf, and keeps buf for the next message.
func (l *link) put(frame, buf []byte) error {
	if l.buf = buf; cap(buf) > maxKeptBuffer {
		l.buf = nil
	}
	if _, err := l.conn.Write([][]byte{frame}, l.s.config.Limits.Stall); err != nil {
		l.fail(err)
		return l.s.lost(l.cause(), true)
	}
	return nil
}

// encode appends the frame of a message to dst. It returns the frame, and the whole
// buffer.
func (l *link) encode(dst []byte, m wamp.Message) (frame, buf []byte, err error) {
	f, carried := l.conn.Framing(), 0
	if c, ok := m.(wamp.Carrier); ok {
		payload, _ := c.Carried()
		carried = payload.WireSize()
	}
	buf = f.Begin(dst, carried)
	start := len(buf)
	if buf, err = codec.Append(buf, l.serializer(), m); err != nil {
		return nil, nil, invalid(uriOf(err, wamp.ErrInvalidArgument), "the message can't be encoded", err)
	}
	most := f.MaxMessage()
	if sent := l.conn.Info().MaxSend; sent > 0 {
		most = min(most, sent)
	}
	if size := len(buf) - start; size > most {
		return nil, nil, invalid(wamp.ErrPayloadSizeExceeded,
			fmt.Sprintf("the message has %d bytes, but the router accepts %d at most", size, most), nil)
	}
	buf = f.Finish(buf, len(dst), start, transport.OpMessage)
	return buf[len(dst):], buf, nil
}

// sendRequest gives the request m the next id, records it with enter, and sends it. Request
// ids are consecutive on the wire (WAMP, "Session Scope IDs"), so the id of a
// request that was not sent is used again.
func (l *link) sendRequest(ctx context.Context, m wamp.Message, id *wamp.ID, enter func(wamp.ID)) error {
	if err := l.lockSend(ctx); err != nil {
		return err
	}
	defer l.unlockWrite()
	frame, buf, err := l.assignID(m, id, enter)
	if err != nil {
		return err
	}
	return l.put(frame, buf)
}

func (l *link) assignID(m wamp.Message, id *wamp.ID, enter func(wamp.ID)) (frame, buf []byte, err error) {
	// lastRequest changes under the write lock only.
	*id = l.lastRequest + 1
	if frame, buf, err = l.encode(l.buf[:0], m); err != nil {
		return nil, nil, err
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	switch {
	case l.down && l.s.closing:
		return nil, nil, ErrClosed
	case l.down:
		return nil, nil, &DisconnectedError{Cause: l.cause()}
	}
	l.lastRequest = *id
	if enter != nil {
		enter(*id)
	}
	return frame, buf, nil
}

// pendingAnswer is the answer that a request waits for.
type pendingAnswer struct {
	done chan struct{}
	id   wamp.ID
	err  error
}

// startRequest sends a request and returns its pending answer. If the request succeeds, then
// is called on the reading goroutine, before the next message is read.
func (l *link) startRequest(ctx context.Context, m wamp.Message, id *wamp.ID, then func(wamp.ID)) (*pendingAnswer, error) {
	w := &pendingAnswer{done: make(chan struct{})}
	r := &request{kind: m.Type(), answer: func(id wamp.ID, err error) {
		if err == nil && then != nil {
			then(id)
		}
		w.id, w.err = id, err
		close(w.done)
	}}
	err := l.sendRequest(ctx, m, id, func(id wamp.ID) { l.requests[id] = r })
	return w, err
}

// enqueueReply queues a frame and returns at once.
func (l *link) enqueueReply(o replyFrame) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.down {
		return
	}
	if l.replyBytes += len(o.frame); l.replyBytes > maxReplyBytes {
		l.fail(errors.New("client: the router does not read the replies to its own requests"))
		return
	}
	l.replies = append(l.replies, o)
	if !l.replying {
		l.replying = true
		go l.writeReplies()
	}
}

func (l *link) enqueueMessage(m wamp.Message) {
	frame, _, err := l.encode(nil, m)
	if err != nil {
		l.s.report(err)
		return
	}
	l.enqueueReply(replyFrame{frame, true})
}

func (l *link) writeReplies() {
	for {
		l.s.mu.Lock()
		replies := l.replies
		l.replies, l.replyBytes = nil, 0
		if len(replies) == 0 {
			l.replying = false
			l.s.mu.Unlock()
			return
		}
		l.s.mu.Unlock()
		if l.lockWrite(l.ctx) != nil {
			return
		}
		var frames [][]byte
		for _, o := range replies {
			if !l.closeSent || !o.message {
				frames = append(frames, o.frame)
			}
		}
		var err error
		if len(frames) > 0 {
			_, err = l.conn.Write(frames, l.s.config.Limits.Stall)
		}
		l.unlockWrite()
		if err != nil {
			l.fail(err)
			return
		}
	}
}

// goodbye sends GOODBYE. The router's GOODBYE ends read. If it does not arrive in time,
// the connection is closed.
func (l *link) goodbye() {
	if l.goodbyeSent.Swap(true) {
		return
	}
	l.s.mu.Lock()
	if !l.down {
		l.goodbyeTimer = time.AfterFunc(l.s.config.Limits.Goodbye, func() { l.fail(os.ErrDeadlineExceeded) })
	}
	l.s.mu.Unlock()
	_ = l.send(l.ctx, &wamp.Goodbye{Reason: wamp.CloseNormal})
}
