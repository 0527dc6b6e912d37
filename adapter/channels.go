package adapter

import "sync"

// Inbox is the channel on which a router that reads from channels gets what a client
// sends, and some messages in the client's name. Hand and End belong to one goroutine; the
// rest may be called concurrently with everything.
type Inbox[M any] struct {
	recv chan M
	stop <-chan struct{}

	mu         sync.Mutex
	gone       bool
	injections sync.WaitGroup
	ended      chan struct{} // closed by End
}

// NewInbox returns an Inbox of which the router wants nothing more once stop is closed.
func NewInbox[M any](stop <-chan struct{}) *Inbox[M] {
	return &Inbox[M]{recv: make(chan M), stop: stop, ended: make(chan struct{})}
}

// Recv returns the channel. It is closed by End.
func (b *Inbox[M]) Recv() <-chan M { return b.recv }

// Hand gives the router a message, when it takes one.
func (b *Inbox[M]) Hand(m M) {
	select {
	case b.recv <- m:
	case <-b.stop:
	}
}

// Inject gives the router a message in the client's name, without waiting for it.
func (b *Inbox[M]) Inject(m M) {
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

// End tells the router that nothing more comes of the client.
func (b *Inbox[M]) End() {
	b.mu.Lock()
	b.gone = true
	b.mu.Unlock()
	close(b.ended)
	b.injections.Wait()
	close(b.recv)
}

// Mailbox is the channel on which such a router sends to a client. A router that drops
// what a channel has no room for drops nothing here: Send waits for room. For that, one
// goroutine runs Each, and never waits for the client nor for the router. All other
// methods may be called concurrently.
type Mailbox[M any] struct {
	send     chan M        // never closed: the router may send after Close
	stop     chan struct{} // closed by Close
	stopOnce sync.Once
	takenMu  sync.Mutex
	taken    *sync.Cond // signalled after the goroutine has taken some
}

const (
	mailboxSize = 128
	// mailboxSpare is more than there are goroutines that send to one client at a time: the
	// router's actors, one of its own in the router, and ours.
	mailboxSpare = 16
)

// NewMailbox returns an empty Mailbox.
func NewMailbox[M any]() *Mailbox[M] {
	b := &Mailbox[M]{send: make(chan M, mailboxSize), stop: make(chan struct{})}
	b.taken = sync.NewCond(&b.takenMu)
	return b
}

// Send returns the channel, which has room for one message of each goroutine that asks.
func (b *Mailbox[M]) Send() chan<- M {
	if b.crowded() {
		b.takenMu.Lock()
		for b.crowded() {
			b.taken.Wait()
		}
		b.takenMu.Unlock()
	}
	return b.send
}

// SendAnyway returns the channel, whether or not it has room.
func (b *Mailbox[M]) SendAnyway() chan<- M { return b.send }

// Closed returns a channel that is closed by Close.
func (b *Mailbox[M]) Closed() <-chan struct{} { return b.stop }

func (b *Mailbox[M]) crowded() bool { return len(b.send) > mailboxSize-mailboxSpare && !b.stopped() }

func (b *Mailbox[M]) stopped() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}

// Close ends Each once it has seen what has been sent. It does not wait.
func (b *Mailbox[M]) Close() {
	b.stopOnce.Do(func() { close(b.stop) })
	b.wake()
}

func (b *Mailbox[M]) wake() {
	b.takenMu.Lock()
	b.taken.Broadcast()
	b.takenMu.Unlock()
}

// Put sends a message, unless the Mailbox is closed.
func (b *Mailbox[M]) Put(m M) {
	select {
	case b.Send() <- m:
	case <-b.stop:
	}
}

// Each calls deliver for each message, and pause after some, until Close. What has been
// sent by then is delivered.
func (b *Mailbox[M]) Each(deliver func(M), pause func()) {
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
