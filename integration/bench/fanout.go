package main

import (
	"context"
	"time"
)

// bound says when a run has had enough: after a time, or after so many
// publications or calls.
type bound struct {
	length time.Duration
	most   int64 // 0 is any number
}

// over reports whether n are enough; n is rarely 0, so the clock is read for
// batches, not for messages.
func (b bound) over(n int64, since time.Time) bool {
	return b.most > 0 && n >= b.most || time.Since(since) >= b.length
}

// warmUp is how many publications or calls go before what is measured.
const warmUp = 256

// fanout is one publisher, and subscribers that get all it sends.
type fanout struct {
	payload
	topics      []string // published to in turns
	subscribers int
	window      int
	burst       bool          // the whole window is sent at once, and then nothing until all of it has arrived
	stall       time.Duration // instead of the usual
}

// events counts a connection's events in a gate, as subscriber i of it.
func events(k *conn, g *gate, i int) func() error {
	var n int64
	k.idle = func() error {
		if n > 0 {
			g.add(i, n)
			n = 0
		}
		return nil
	}
	return func() error {
		for {
			f, err := k.next()
			if err != nil {
				return err
			}
			if f.kind == kindEvent {
				n++
			}
		}
	}
}

func (w fanout) run(ctx context.Context, e endpoint, b bound) (sample, error) {
	c := newCrowd(ctx, e)
	defer c.end()
	g := newGate(w.subscribers)
	if w.stall > 0 {
		g.stall = w.stall
	}
	buffer := 256 << 10
	if w.subscribers > 200 {
		buffer = 16 << 10
	}
	err := c.each(w.subscribers, func(i int) error {
		k, err := c.join(buffer)
		if err != nil {
			return err
		}
		if err := k.subscribe(topic{uri: w.topics[0]}); err != nil {
			return err
		}
		c.run("subscriber", events(k, g, i))
		return nil
	})
	if err != nil {
		return sample{}, err
	}
	return w.publish(c, e, g, b)
}

// publish sends to subscribers that are there and count in g: each event once.
func (w fanout) publish(c *crowd, e endpoint, g *gate, b bound) (s sample, err error) {
	k, err := c.join(16 << 10)
	if err != nil {
		return s, err
	}
	c.run("publisher", k.drain)
	var sent, already int64
	_, already = g.slowest()
	slab := e.dialect.publications(w.topics, w.payload)
	chunk := max(1, w.window/2)
	if w.burst {
		chunk = w.window
	}
	send := func(n int) error {
		if err := g.wait(c.ctx, already+sent+int64(n-w.window)); err != nil {
			return err
		}
		for n > 0 {
			batch, taken := slab.take(n, uint64(sent)+1)
			if _, err := k.Write(batch); err != nil {
				return err
			}
			sent += int64(taken)
			n -= taken
		}
		return nil
	}
	for sent < warmUp {
		if err := send(min(chunk, warmUp)); err != nil {
			return s, err
		}
	}
	if err := g.wait(c.ctx, already+sent); err != nil {
		return s, err
	}
	warm := sent
	m := e.measure()
	for !b.over(sent-warm, m.start) {
		if err := send(chunk); err != nil {
			return s, err
		}
	}
	if err := g.wait(c.ctx, already+sent); err != nil {
		return s, err
	}
	s = m.stop((sent - warm) * int64(len(g.counts)))
	if err := context.Cause(c.ctx); err != nil { // somebody was cut off
		return s, err
	}
	return s, g.exact(already + sent)
}
