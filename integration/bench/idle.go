package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idling is sessions with one subscription each, that then do nothing.
type idling struct {
	sessions int
	wait     time.Duration
}

// run measures a server that nobody has used yet. collect makes it collect its
// garbage.
func (w idling) run(ctx context.Context, e endpoint, collect func() error) (s sample, err error) {
	if e.pid == 0 {
		return s, errors.New("memory needs the server's pid")
	}
	c := newCrowd(ctx, e)
	defer c.end()
	if err := collect(); err != nil {
		return s, err
	}
	before := resident(e.pid)
	if err := w.gather(c); err != nil {
		return s, err
	}
	if err := collect(); err != nil {
		return s, err
	}
	each := func() float64 { return (resident(e.pid) - before) / float64(w.sessions) }
	s.Fresh = each()
	select {
	case <-time.After(w.wait):
	case <-c.ctx.Done(): // one of them was cut off
		return s, context.Cause(c.ctx)
	}
	s.Later = each()
	return s, nil
}

// gather makes the sessions, which stay and answer pings.
func (w idling) gather(c *crowd) error {
	return c.each(w.sessions, func(i int) error {
		k, err := c.join(1 << 10)
		if err != nil {
			return err
		}
		if err := k.subscribe(topic{uri: fmt.Sprintf("com.bench.idle.%d", i)}); err != nil {
			return err
		}
		c.run("idle session", k.drain)
		return nil
	})
}
