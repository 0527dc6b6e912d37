package main

import (
	"context"
	"fmt"
	"sync"
)

// crowd is the sessions of one run. The first of them that fails ends it.
type crowd struct {
	ctx    context.Context // its cause is what failed
	fail   context.CancelCauseFunc
	dial   func(buffer int) (*conn, error)
	mu     sync.Mutex
	conns  []*conn
	closed bool
	going  sync.WaitGroup
}

func newCrowd(ctx context.Context, e endpoint) *crowd {
	c := &crowd{dial: func(buffer int) (*conn, error) { return dial(e.dialect, e.address, buffer) }}
	c.ctx, c.fail = context.WithCancelCause(ctx)
	context.AfterFunc(c.ctx, c.hangUp)
	return c
}

// join makes a session.
func (c *crowd) join(buffer int) (*conn, error) {
	k, err := c.dial(buffer)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = k.Close()
		return nil, context.Cause(c.ctx)
	}
	c.conns = append(c.conns, k)
	return k, nil
}

// run runs work until it returns; an error other than our own hanging up ends
// the crowd.
func (c *crowd) run(what string, work func() error) {
	c.going.Go(func() {
		if err := work(); err != nil && c.ctx.Err() == nil {
			c.fail(fmt.Errorf("%s: %w", what, err))
		}
	})
}

// each runs work(0), …, work(n-1), 32 at a time.
func (c *crowd) each(n int, work func(i int) error) error {
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range n {
		if c.ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		all.Go(func() {
			if err := work(i); err != nil {
				c.fail(err)
			}
			<-slots
		})
	}
	all.Wait()
	return context.Cause(c.ctx)
}

func (c *crowd) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, k := range c.conns {
		_ = k.Close()
	}
}

// end closes all sessions and waits for everything that ran.
func (c *crowd) end() {
	c.fail(context.Canceled)
	c.hangUp()
	c.going.Wait()
}
