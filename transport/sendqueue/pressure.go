package sendqueue

import "time"

// Limits bound one queue, which reads them and does not change them.
type Limits struct {
	// Bytes is how many bytes may wait; 0 takes a frame only if nothing waits.
	Bytes int
	// BackpressureTimeout is how long senders wait, in all, for a peer that has
	// more than half of Bytes waiting, until it has taken half of Bytes again.
	// A queue is full only when that time is over.
	BackpressureTimeout time.Duration
	// WriteTimeout is how long the peer may read no byte at all.
	WriteTimeout time.Duration
	// CloseTimeout is how long a peer has after Cut to read why.
	CloseTimeout time.Duration
}

// backpressure is the state of a queue whose peer does not take everything at once.
type backpressure struct {
	taken     int           // bytes that the peer has taken since it fell behind
	waited    time.Duration // how long senders have waited since taken was waitedAt
	waitedAt  int
	charged   time.Time     // until when the time that senders waited is counted in waited
	progress  time.Time     // when the peer last took something
	overdraft int           // bytes beyond half of Limits.Bytes by senders that wait no more
	room      chan struct{} // closed when size falls to roomAt; nil if nobody waits
	roomAt    int
}

// backpressureState returns the queue's state of backpressure, a new one if there is
// none.
func (o *Queue) backpressureState() *backpressure {
	if o.pressure == nil {
		o.pressure = &backpressure{progress: time.Now()}
	}
	return o.pressure
}

// roomFor returns a channel that is closed when at most size bytes wait, or the
// queue takes nothing any more.
func (l *backpressure) roomFor(size int) <-chan struct{} {
	if l.room == nil {
		l.room = make(chan struct{})
	}
	l.roomAt = size
	return l.room
}

// waitLeftLocked returns how much longer senders wait for the peer; not at all if it is
// not positive.
func (o *Queue) waitLeftLocked(now time.Time) time.Duration {
	l, most := o.backpressureState(), o.limits.BackpressureTimeout
	if l.taken-l.waitedAt >= o.limits.Bytes/2 {
		l.waited, l.waitedAt = 0, l.taken
	}
	return min(most/10-now.Sub(l.progress), most-l.waited)
}

// fullLocked reports whether the peer has not read what waits, though it had the time.
// Bytes that have not been flushed do not count, as the peer could not read them.
func (o *Queue) fullLocked() bool {
	return o.state == stateWriting && o.pressure != nil && o.waitLeftLocked(time.Now()) <= 0
}

// Behind reports whether senders should wait for the peer.
func (o *Queue) Behind() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size > o.limits.Bytes/2 && o.state != stateClosed && !o.closing && o.waitLeftLocked(time.Now()) > 0
}

// Overdraw is for a sender that waits no more, though it was told PutOverHalf for a frame
// of n bytes and has flushed what it put before. It reports whether such senders have put
// more than the other half of Limits.Bytes, and the peer has not taken it since: then the
// queue is full, however much time the peer has left.
func (o *Queue) Overdraw(n int) (full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != stateWriting || o.closing || o.size <= o.limits.Bytes/2 {
		return false
	}
	l := o.backpressureState()
	l.overdraft += n
	return l.overdraft > o.limits.Bytes/2
}

// AwaitRoom blocks until at most half of Limits.Bytes waits, the queue is closed,
// senders have waited for BackpressureTimeout in all, the peer has read nothing for
// a tenth of that, or the time end has come. The caller has been waiting since begin.
// If several callers wait at the same time, that time counts once.
func (o *Queue) AwaitRoom(begin, end time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.size > o.limits.Bytes/2 && o.state != stateClosed && !o.closing {
		now, l := time.Now(), o.backpressureState()
		if begin.Before(l.charged) {
			begin = l.charged
		}
		if now.After(begin) {
			l.waited += now.Sub(begin)
			l.charged = now
		}
		left := min(o.waitLeftLocked(now), end.Sub(now))
		if left <= 0 {
			return
		}
		o.waitLocked(l.roomFor(o.limits.Bytes/2), left)
	}
}

// waitLocked waits until room is closed, or for limit. It releases mu while it waits.
func (o *Queue) waitLocked(room <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	o.mu.Unlock()
	select {
	case <-room:
	case <-timer.C:
	}
	timer.Stop()
	o.mu.Lock()
}

// accountLocked updates Total, in granules, so that a queue that stays short costs
// nothing. Bytes that have not been flushed do not count yet, as the peer could not
// read them.
func (o *Queue) accountLocked() {
	if o.Total == nil || o.state == stateDirty || o.state == stateIdle && o.size > 0 {
		return
	}
	if n := int32(o.size / Granule); n != o.accounted {
		o.Total.Add(int64(n-o.accounted) * Granule)
		o.accounted = n
	}
}

// Granule is the unit, in bytes, in which queues are counted in Total.
const Granule = 16 << 10

// SetLimits sets the limits that hold from now on.
func (o *Queue) SetLimits(l *Limits) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limits = l
}

// Len returns how many bytes wait.
func (o *Queue) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size
}

// Held returns the size, in bytes, of the chunks that the queue refers to: a shared one
// counts for each time that it is referred to.
func (o *Queue) Held() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int(o.heldKiB) << 10
}

// IsCut reports whether the peer was cut off and may still be reading why.
func (o *Queue) IsCut() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closing && o.lingers
}

// Abort is Finish for a peer that may go on sending: what it sends is read and ignored
// by Linger, so that it can read why the connection ends.
func (o *Queue) Abort(scratch *Scratch) {
	o.mu.Lock()
	o.lingers = true
	o.mu.Unlock()
	o.Finish(scratch)
}

// Linger waits until the peer of a queue that was finished, aborted or cut has taken
// what waits, at most for limit, and closes the connection.
func (o *Queue) Linger(limit time.Duration) {
	end := time.Now().Add(limit)
	o.mu.Lock()
	if o.lingers {
		o.mu.Unlock()
		o.Conn.Linger(limit)
		o.mu.Lock()
	}
	for o.closing && o.state == stateWriting && time.Now().Before(end) {
		o.waitLocked(o.backpressureState().roomFor(0), time.Until(end))
	}
	o.mu.Unlock()
	o.Close()
}
