package router

import (
	"container/heap"
	"slices"
	"sync"
	"time"
)

// timeouts ends calls whose timeout has passed. It is one heap for all calls of a
// router that have a timeout, with one goroutine that exists only while the heap is not
// empty.
type timeouts struct {
	expire func([]*invocation)

	mu      sync.Mutex
	heap    timerHeap
	running bool
	wake    chan struct{} // signals an earlier deadline, or the end
	closed  bool
	done    sync.WaitGroup
}

// timer is an invocation's position in the heap. timeouts is set before the invocation
// is in any table; the other fields are guarded by its mu.
type timer struct {
	timeouts *timeouts // nil: the call has no timeout
	after    time.Duration
	deadline time.Time
	index    int32 // in the heap; -1: not in it
	stopped  bool
}

func newTimeouts(expire func([]*invocation)) *timeouts {
	return &timeouts{expire: expire, wake: make(chan struct{}, 1)}
}

// start starts the timeout of a call whose timer refers to x. The call may have ended
// already.
func (x *timeouts) start(inv *invocation, after time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || inv.timer.stopped {
		return
	}
	inv.timer.after, inv.timer.deadline = after, time.Now().Add(after)
	heap.Push(&x.heap, inv)
	if !x.running {
		x.running = true
		x.done.Add(1)
		go x.run()
	} else if inv.timer.index == 0 {
		x.wakeUp()
	}
}

// restart restarts a call's timeout, unless it has passed or has not been started.
func (t *timer) restart() {
	if t.timeouts == nil {
		return
	}
	t.timeouts.mu.Lock()
	defer t.timeouts.mu.Unlock()
	if t.index >= 0 {
		t.deadline = time.Now().Add(t.after)
		heap.Fix(&t.timeouts.heap, int(t.index))
	}
}

func (x *timeouts) wakeUp() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// stop removes the timer of an invocation that has ended from the heap, or keeps it
// from being added.
func (t *timer) stop(inv *invocation) {
	if t.timeouts == nil {
		return
	}
	t.timeouts.mu.Lock()
	defer t.timeouts.mu.Unlock()
	t.stopped = true
	if t.index >= 0 {
		heap.Remove(&t.timeouts.heap, int(t.index))
	}
}

func (x *timeouts) run() {
	defer x.done.Done()
	clock := time.NewTimer(0)
	defer clock.Stop()
	for {
		x.mu.Lock()
		var due []*invocation
		now := time.Now()
		for len(x.heap) > 0 && !x.heap[0].timer.deadline.After(now) {
			due = append(due, heap.Pop(&x.heap).(*invocation))
		}
		if len(due) == 0 && (len(x.heap) == 0 || x.closed) {
			x.running = false
			x.mu.Unlock()
			return
		}
		if len(x.heap) > 0 {
			clock.Reset(x.heap[0].timer.deadline.Sub(now))
		}
		x.mu.Unlock()
		if len(due) > 0 {
			x.expire(due)
			continue
		}
		select {
		case <-clock.C:
		case <-x.wake:
		}
	}
}

// close drops all timeouts and waits until the goroutine has ended.
func (x *timeouts) close() {
	x.mu.Lock()
	x.closed = true
	for _, inv := range x.heap {
		inv.timer.index = -1
	}
	x.heap = nil
	x.wakeUp()
	x.mu.Unlock()
	x.done.Wait()
}

// endedTimers returns how many timers in the heap belong to calls that have ended.
func (x *timeouts) endedTimers() (n int) {
	x.mu.Lock()
	timed := slices.Clone(x.heap)
	x.mu.Unlock()
	for _, inv := range timed {
		if !inv.pending() {
			n++
		}
	}
	return n
}

type timerHeap []*invocation

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].timer.deadline.Before(h[j].timer.deadline) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timer.index, h[j].timer.index = int32(i), int32(j)
}
func (h *timerHeap) Push(v any) {
	inv := v.(*invocation)
	inv.timer.index = int32(len(*h))
	*h = append(*h, inv)
}
func (h *timerHeap) Pop() any {
	old := *h
	inv := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	inv.timer.index = -1
	return inv
}
