package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// calling is callers that keep calls in flight, and a callee that answers.
type calling struct {
	payload
	procedures []string // called in turns
	callers    int
	window     int // in flight, of each caller
	// pace is how many calls a second each caller makes, whatever comes back;
	// 0 makes one as soon as one has ended.
	pace int
}

func (w calling) run(ctx context.Context, e endpoint, b bound) (sample, error) {
	c := newCrowd(ctx, e)
	defer c.end()
	if err := w.answer(c, e); err != nil {
		return sample{}, err
	}
	return w.call(c, e, b)
}

// answer adds a callee to the crowd, that has all the procedures.
func (w calling) answer(c *crowd, e endpoint) error {
	k, err := c.join(256 << 10)
	if err != nil {
		return err
	}
	if err := k.register(w.procedures...); err != nil {
		return err
	}
	var out []byte
	k.idle = func() error {
		if len(out) == 0 {
			return nil
		}
		_, err := k.Write(out)
		out = out[:0]
		return err
	}
	answer := e.dialect.answerer(w.payload)
	c.run("callee", func() error {
		for {
			f, err := k.next()
			if err != nil {
				return err
			}
			if f.kind != kindInvoked {
				continue
			}
			if out = answer(out, &f); len(out) >= slabSize {
				if err := k.idle(); err != nil {
					return err
				}
			}
		}
	})
	return nil
}

// caller is one of the callers, and the times its calls took.
type caller struct {
	*conn
	slab     *slab
	at       []time.Time // when the calls in flight began; by the request id
	sent     int64
	done     int64
	window   int
	times    []time.Duration
	watching bool
}

// launch makes n calls.
func (k *caller) launch(n int) error {
	for n > 0 {
		now := time.Now()
		batch, taken := k.slab.take(n, uint64(k.sent)+1)
		for i := range taken {
			k.at[(k.sent+1+int64(i))%int64(len(k.at))] = now
		}
		if _, err := k.Write(batch); err != nil {
			return err
		}
		k.sent += int64(taken)
		n -= taken
	}
	return nil
}

// took notes that a call has ended. NATS's messages have no ids, and come in
// the order of the requests.
func (k *caller) took(f *frame) {
	k.done++
	id := int64(f.id)
	if id == 0 {
		id = k.done
	}
	if k.watching {
		k.times = append(k.times, time.Since(k.at[id%int64(len(k.at))]))
	}
}

// cycle keeps the window full until enough says that it is enough, and then
// waits for what is in flight.
func (k *caller) cycle(enough func(made int64) bool) error {
	from, over := k.sent, false
	k.idle = func() error {
		// As many as have come back since the last read.
		if room := k.window - int(k.sent-k.done); !over && room > 0 {
			if over = enough(k.sent - from); !over {
				return k.launch(room)
			}
		}
		if over && k.done == k.sent {
			return errEnough // nothing will come that could be read
		}
		return nil
	}
	defer func() { k.idle = nil }()
	for {
		f, err := k.next()
		if err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
		if f.kind == kindResult || f.kind == kindEvent {
			k.took(&f)
		}
	}
}

var errEnough = errors.New("enough calls")

// paced makes calls at a steady rate, for a time.
func (k *caller) paced(ctx context.Context, rate int, length time.Duration) error {
	base := k.sent
	total := base + int64(float64(rate)*length.Seconds())
	var calls sync.WaitGroup
	var failed error
	calls.Go(func() {
		start := time.Now()
		for k.sent < total {
			due := min(base+int64(time.Since(start).Seconds()*float64(rate))+1, total)
			if due > k.sent {
				if failed = k.launch(int(due - k.sent)); failed != nil {
					_ = k.Close()
					return
				}
			}
			select {
			case <-time.After(200 * time.Microsecond):
			case <-ctx.Done():
				return
			}
		}
	})
	defer calls.Wait()
	for k.done < total {
		f, err := k.next()
		if err != nil {
			if failed != nil {
				return failed
			}
			return err
		}
		if f.kind == kindResult || f.kind == kindEvent {
			k.took(&f)
		}
	}
	return nil
}

// call makes calls to procedures that are there.
func (w calling) call(c *crowd, e endpoint, b bound) (s sample, err error) {
	all := make([]*caller, w.callers)
	for i := range all {
		k, err := c.join(256 << 10)
		if err != nil {
			return s, err
		}
		if err := e.dialect.listen(k, i); err != nil {
			return s, err
		}
		all[i] = &caller{conn: k, slab: e.dialect.calls(w.procedures, w.payload, i), window: w.window,
			at: make([]time.Time, max(4*w.window, 1<<14)), times: make([]time.Duration, 0, 1<<17)}
	}
	together := func(work func(k *caller) error) error {
		var callers sync.WaitGroup
		for _, k := range all {
			callers.Go(func() {
				if err := work(k); err != nil {
					c.fail(err)
				}
			})
		}
		ended := make(chan struct{})
		go func() { callers.Wait(); close(ended) }()
		limit := time.NewTimer(b.length + 2*stall)
		defer limit.Stop()
		select {
		case <-ended:
		case <-limit.C:
			c.fail(errLost)
			<-ended
		}
		return context.Cause(c.ctx)
	}
	if err := together(func(k *caller) error {
		return k.cycle(func(made int64) bool { return made >= warmUp })
	}); err != nil {
		return s, err
	}
	m := e.measure()
	err = together(func(k *caller) error {
		k.watching = true
		if w.pace > 0 {
			return k.paced(c.ctx, w.pace, b.length)
		}
		return k.cycle(func(made int64) bool { return b.over(made*int64(w.callers), m.start) })
	})
	if err != nil {
		return s, err
	}
	var times []time.Duration
	for _, k := range all {
		times = append(times, k.times...)
	}
	s = m.stop(int64(len(times)))
	if len(times) == 0 {
		return s, errLost
	}
	slices.Sort(times)
	s.P50, s.P99 = micros(times[len(times)/2]), micros(times[len(times)*99/100])
	return s, nil
}

func micros(d time.Duration) float64 { return float64(d) / 1000 }
