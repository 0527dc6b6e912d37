package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// gate keeps a publisher no further ahead of the slowest subscriber than it may
// be. Subscribers count; the publisher sleeps until the one that it waits for
// has come far enough.
type gate struct {
	counts []counter
	who    atomic.Int64 // whom the publisher waits for, plus 1; 0 is nobody
	need   atomic.Int64
	wake   chan struct{}
	// stall is how long nothing may arrive before what is missing counts as
	// lost.
	stall time.Duration
}

// counter has a cache line of its own.
type counter struct {
	atomic.Int64
	_ [56]byte
}

func newGate(n int) *gate {
	return &gate{counts: make([]counter, n), wake: make(chan struct{}, 1), stall: stall}
}

// add counts n more for subscriber i.
func (g *gate) add(i int, n int64) {
	v := g.counts[i].Add(n)
	if g.who.Load() == int64(i)+1 && v >= g.need.Load() {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
}

func (g *gate) slowest() (int, int64) {
	at, least := 0, g.counts[0].Load()
	for i := range g.counts {
		if v := g.counts[i].Load(); v < least {
			at, least = i, v
		}
	}
	return at, least
}

const stall = 5 * time.Second

// wait returns when all have counted to need.
func (g *gate) wait(ctx context.Context, need int64) error {
	defer g.who.Store(0)
	var before int64 = -1
	var timer *time.Timer
	for {
		i, least := g.slowest()
		if least >= need {
			return nil
		}
		g.need.Store(need)
		g.who.Store(int64(i) + 1)
		if g.counts[i].Load() >= need { // it may have looked before we stored
			continue
		}
		if timer == nil {
			timer = time.NewTimer(g.stall)
			defer timer.Stop()
		}
		select {
		case <-g.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			_, now := g.slowest()
			if now == before {
				return fmt.Errorf("lost: %d of %d arrived, and nothing more for %v", now, need, g.stall)
			}
			before = now
			timer.Reset(g.stall)
		}
	}
}

// exact says what is wrong if anyone counted other than n.
func (g *gate) exact(n int64) error {
	for i := range g.counts {
		if v := g.counts[i].Load(); v != n {
			return fmt.Errorf("subscriber %d got %d of %d", i, v, n)
		}
	}
	return nil
}
