package client

import "sync"

// queue holds the items that wait for one consumer, within the limits of the session.
type queue[T any] struct {
	maxItems, maxBytes int
	ready              chan struct{} // has a token after a push

	mu    sync.Mutex
	items []queued[T]
	bytes int
}

type queued[T any] struct {
	v    T
	size int
}

func newQueue[T any](l *Limits) *queue[T] {
	return &queue[T]{maxItems: l.Queue, maxBytes: l.QueueBytes, ready: make(chan struct{}, 1)}
}

// push adds v and reports whether there was room for it. If last is true, v is always
// added.
func (q *queue[T]) push(v T, size int, last bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.items); n > 0 && !last && (n >= q.maxItems || q.bytes+size > q.maxBytes) {
		return false
	}
	q.items = append(q.items, queued[T]{v, size})
	q.bytes += size
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return true
}

// pop removes and returns the first item, if there is one.
func (q *queue[T]) pop() (v T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return v, false
	}
	first := q.items[0]
	q.items[0] = queued[T]{}
	if q.items = q.items[1:]; len(q.items) == 0 {
		q.items = nil
	}
	q.bytes -= first.size
	return first.v, true
}
