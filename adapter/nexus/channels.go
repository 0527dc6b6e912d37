package nexus

import (
	"sync"

	nexus "github.com/gammazero/nexus/v3/wamp"
)

// inbox is what nexus gets of a peer: messages of the client's, and some in its name.
type inbox struct {
	recv chan nexus.Message
	stop <-chan struct{} // closed when nexus wants no more

	mu         sync.Mutex
	gone       bool
	injections sync.WaitGroup
	ended      chan struct{} // closed with end
}

func newInbox(stop <-chan struct{}) *inbox {
	return &inbox{recv: make(chan nexus.Message), stop: stop, ended: make(chan struct{})}
}

// Recv returns what nexus reads from.
func (b *inbox) Recv() <-chan nexus.Message { return b.recv }

// hand gives nexus a message. It belongs to the goroutine that calls end.
func (b *inbox) hand(m nexus.Message) {
	select {
	case b.recv <- m:
	case <-b.stop:
	}
}

// inject gives nexus a message in the client's name, without waiting for it.
func (b *inbox) inject(m nexus.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return
	}
	b.injections.Go(func() {
		select {
		case b.recv <- m:
		case <-b.stop:
		case <-b.ended:
		}
	})
}

// end tells nexus that nothing more comes of the client.
func (b *inbox) end() {
	b.mu.Lock()
	b.gone = true
	b.mu.Unlock()
	close(b.ended)
	b.injections.Wait()
	close(b.recv)
}

// mailbox holds what nexus sends to a peer until the peer's writing goroutine takes it,
// which never waits for a client. Nexus drops what a channel has no room for; so Send
// waits for room.
type mailbox struct {
	send     chan nexus.Message // never closed: nexus sends after Close
	stop     chan struct{}      // closed by Close
	stopOnce sync.Once
	takenMu  sync.Mutex
	taken    *sync.Cond // signalled after the goroutine has taken some
}

const (
	mailboxSize = 128
	// mailboxSpare is more than there are goroutines that send to one peer at a time: nexus's
	// broker, dealer and realm, the peer's own in nexus, and ours.
	mailboxSpare = 16
)

func newMailbox() *mailbox {
	b := &mailbox{send: make(chan nexus.Message, mailboxSize), stop: make(chan struct{})}
	b.taken = sync.NewCond(&b.takenMu)
	return b
}

// Send returns the channel, with room for one message of each goroutine that asks.
func (b *mailbox) Send() chan<- nexus.Message {
	if b.crowded() {
		b.takenMu.Lock()
		for b.crowded() {
			b.taken.Wait()
		}
		b.takenMu.Unlock()
	}
	return b.send
}

func (b *mailbox) crowded() bool { return len(b.send) > mailboxSize-mailboxSpare && !b.stopped() }

func (b *mailbox) stopped() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}

// Close ends the session once what nexus has sent is out. It does not wait: nexus calls
// it from the goroutine that routes.
func (b *mailbox) Close() {
	b.stopOnce.Do(func() { close(b.stop) })
	b.wake()
}

func (b *mailbox) wake() {
	b.takenMu.Lock()
	b.taken.Broadcast()
	b.takenMu.Unlock()
}

// put sends a message of our own.
func (b *mailbox) put(m nexus.Message) {
	select {
	case b.Send() <- m:
	case <-b.stop:
	}
}

// each calls deliver for each message, and pause after some, until Close. What has been
// sent by then is delivered.
func (b *mailbox) each(deliver func(nexus.Message), pause func()) {
	for stopping := false; !stopping; {
		select {
		case m := <-b.send:
			deliver(m)
		case <-b.stop:
			stopping = true
		}
		for n := len(b.send); n > 0; n-- {
			deliver(<-b.send)
		}
		pause()
		b.wake()
	}
}
