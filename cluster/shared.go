package cluster

import "sync"

// shared makes many wait for one round trip: each for one that began after it came. So
// there are never more than one under way and one that is waited for.
type shared struct {
	mu      sync.Mutex
	running *trip // under way; nil: none
	next    *trip // begins when that has ended; nil: nobody waits for it
}

type trip struct {
	done chan struct{} // closed when err is set
	err  error
}

// do returns what the round trip returned. All callers must give the same one.
func (x *shared) do(roundTrip func() error) error {
	x.mu.Lock()
	if x.running != nil {
		if x.next == nil {
			x.next = &trip{done: make(chan struct{})}
		}
		next := x.next
		x.mu.Unlock()
		<-next.done
		return next.err
	}
	mine := &trip{done: make(chan struct{})}
	x.running = mine
	x.mu.Unlock()
	mine.err = roundTrip()
	close(mine.done)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running = x.next; x.running != nil {
		x.next = nil
		go x.goOn(x.running, roundTrip)
	}
	return mine.err
}

// goOn makes the round trips that others wait for, until nobody does.
func (x *shared) goOn(t *trip, roundTrip func() error) {
	for t != nil {
		t.err = roundTrip()
		close(t.done)
		x.mu.Lock()
		x.running, x.next = x.next, nil
		t = x.running
		x.mu.Unlock()
	}
}
