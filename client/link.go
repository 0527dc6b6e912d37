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
	// keptBuffer is the largest buffer that is kept for the next message.
	keptBuffer = 64 << 10
	// mostReplies is how many bytes of answers to the router (pongs, refusals
	// of invocations) may wait while the router doesn't read.
	mostReplies = 1 << 20
)

// link is a session on one connection. One goroutine reads (read and what it
// calls); it never waits for a write.
type link struct {
	s       *Session
	conn    transport.Conn
	again   bool // not the session's first
	id      wamp.ID
	welcome wamp.WelcomeDetails
	// ctx ends with the connection. Handlers of invocations get it.
	ctx    context.Context
	cancel context.CancelCauseFunc

	writing chan struct{} // holds a token while someone writes
	buf     []byte        // for the message being written
	said    bool          // GOODBYE or ABORT was: no message may follow

	failure atomic.Pointer[error] // why the connection is closed
	leaving atomic.Bool           // GOODBYE was sent

	// Session.mu guards what follows.
	down        bool
	lastRequest wamp.ID
	requests    map[wamp.ID]*request
	calls       map[wamp.ID]*ProgressiveCall
	topics      map[wamp.ID]*topic
	registered  map[wamp.ID]*Registration
	invocations map[wamp.ID]*Invocation
	stale       []wamp.ID // ended invocations whose inputs may still come
	replies     []owed    // for writeReplies
	replyBytes  int
	replying    bool
	farewell    *time.Timer
}

// owed is a frame that is sent when there is time.
type owed struct {
	frame   []byte
	message bool // and not the transport's own
}

// request is a request other than CALL that waits for its answer.
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

// fail closes the connection; the first reason counts.
func (l *link) fail(cause error) {
	l.blame(cause)
	_ = l.conn.Close()
}

func (l *link) blame(cause error) { l.failure.CompareAndSwap(nil, &cause) }

func (l *link) cause() error {
	if p := l.failure.Load(); p != nil {
		return *p
	}
	return transport.ErrClosed
}

// over reports whether the connection is lost. What fails because of that fails
// after over is true.
func (l *link) over() bool { return l.failure.Load() != nil }

// finish lets everything fail that waits for the connection.
func (l *link) finish(cause error) {
	l.s.mu.Lock()
	l.down = true
	requests, calls := l.requests, l.calls
	l.requests, l.calls = nil, nil
	if l.farewell != nil {
		l.farewell.Stop()
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

// take waits until this goroutine may write. It must give it back by release.
func (l *link) take(ctx context.Context) error {
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

func (l *link) release() { <-l.writing }

// speak is take for who has a message to send: behind GOODBYE there is none
// (WAMP, "Session Closing").
func (l *link) speak(ctx context.Context) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	if l.said {
		l.release()
		return l.s.lost(l.cause(), false)
	}
	return nil
}

// send sends a message. ctx bounds the wait for other writers; once begun, a
// write ends within Limits.Stall of the router's last sign of taking it.
func (l *link) send(ctx context.Context, m wamp.Message) error {
	if err := l.speak(ctx); err != nil {
		return err
	}
	defer l.release()
	return l.write(m)
}

// write sends a message; the caller may write.
func (l *link) write(m wamp.Message) error {
	frame, buf, err := l.encode(l.buf[:0], m)
	if err != nil {
		return err
	}
	switch m.(type) {
	case *wamp.Goodbye, *wamp.Abort:
		l.said = true
	}
	return l.put(frame, buf)
}

// put writes a frame that is a part of buf.
func (l *link) put(frame, buf []byte) error {
	if l.buf = buf; cap(buf) > keptBuffer {
		l.buf = nil
	}
	if _, err := l.conn.Write([][]byte{frame}, l.s.config.Limits.Stall); err != nil {
		l.fail(err)
		return l.s.lost(l.cause(), true)
	}
	return nil
}

// encode returns the frame of a message, which is a part of buf.
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
			fmt.Sprintf("the message has %d bytes, the router takes %d", size, most), nil)
	}
	buf = f.Finish(buf, len(dst), start, transport.OpMessage)
	return buf[len(dst):], buf, nil
}

// post gives the request m its id, enters it by enter, and sends it. Ids rise
// on the wire by one (WAMP, "Session Scope IDs"), so one that was not sent is
// given again.
func (l *link) post(ctx context.Context, m wamp.Message, id *wamp.ID, enter func(wamp.ID)) error {
	if err := l.speak(ctx); err != nil {
		return err
	}
	defer l.release()
	frame, buf, err := l.numbered(m, id, enter)
	if err != nil {
		return err
	}
	return l.put(frame, buf)
}

func (l *link) numbered(m wamp.Message, id *wamp.ID, enter func(wamp.ID)) (frame, buf []byte, err error) {
	// Only who may write changes lastRequest.
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

// wait is the answer to a request.
type wait struct {
	done chan struct{}
	id   wamp.ID
	err  error
}

// ask posts a request and returns its answer to come. then is called with a
// good answer on the goroutine that reads, before what comes behind it is read.
func (l *link) ask(ctx context.Context, m wamp.Message, id *wamp.ID, then func(wamp.ID)) (*wait, error) {
	w := &wait{done: make(chan struct{})}
	r := &request{kind: m.Type(), answer: func(id wamp.ID, err error) {
		if err == nil && then != nil {
			then(id)
		}
		w.id, w.err = id, err
		close(w.done)
	}}
	err := l.post(ctx, m, id, func(id wamp.ID) { l.requests[id] = r })
	return w, err
}

// later sends a frame without waiting for it.
func (l *link) later(o owed) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.down {
		return
	}
	if l.replyBytes += len(o.frame); l.replyBytes > mostReplies {
		l.fail(errors.New("client: the router does not read the answers that it asks for"))
		return
	}
	l.replies = append(l.replies, o)
	if !l.replying {
		l.replying = true
		go l.writeReplies()
	}
}

func (l *link) laterMessage(m wamp.Message) {
	frame, _, err := l.encode(nil, m)
	if err != nil {
		l.s.report(err)
		return
	}
	l.later(owed{frame, true})
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
		if l.take(l.ctx) != nil {
			return
		}
		var frames [][]byte
		for _, o := range replies {
			if !l.said || !o.message {
				frames = append(frames, o.frame)
			}
		}
		var err error
		if len(frames) > 0 {
			_, err = l.conn.Write(frames, l.s.config.Limits.Stall)
		}
		l.release()
		if err != nil {
			l.fail(err)
			return
		}
	}
}

// goodbye sends GOODBYE; the router's own ends read. If it does not come in
// time, the connection is closed.
func (l *link) goodbye() {
	if l.leaving.Swap(true) {
		return
	}
	l.s.mu.Lock()
	if !l.down {
		l.farewell = time.AfterFunc(l.s.config.Limits.Goodbye, func() { l.fail(os.ErrDeadlineExceeded) })
	}
	l.s.mu.Unlock()
	_ = l.send(l.ctx, &wamp.Goodbye{Reason: wamp.CloseNormal})
}
