package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// compare runs the cases with the router and all peers, in turns.
func compare(ctx context.Context, o options, w io.Writer) error {
	dir, err := os.MkdirTemp("", "blindfold-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &builder{dir: dir}
	ours, err := b.start(ctx, o.profile != "")
	if err != nil {
		return err
	}
	defer ours.stop()
	targets := []*target{&ours.target}
	if o.nats != "" {
		nats, err := startNATS(o.nats, dir)
		if err != nil {
			return err
		}
		defer nats.stop()
		targets = append(targets, &nats.target)
	}
	targets = append(targets, o.peers...)
	all := newResults(o, targets)
	r := runner{o: o, targets: targets, ours: ours}
	all.title(w)
	var failed error
	for _, c := range cases(o.quick) {
		if !o.cases.MatchString(c.Name) {
			continue
		}
		if ctx.Err() != nil {
			failed = errors.Join(failed, ctx.Err())
			break
		}
		got := r.measure(ctx, c)
		all.Cases = append(all.Cases, got)
		all.row(w, &got)
		for _, s := range got.Runs[ours.name] {
			if s.Error != "" {
				failed = errors.Join(failed, fmt.Errorf("%s: %s", c.Name, s.Error))
			}
		}
	}
	return errors.Join(failed, all.save(o, w))
}

// runner runs one case after the other.
type runner struct {
	o       options
	targets []*target
	ours    *process
}

// measure runs a case as often as there are pairs, with everyone each time, and
// with another one first each time.
func (r *runner) measure(ctx context.Context, c bench) outcome {
	got := outcome{Name: c.Name, Bars: c.bars, Runs: make(map[string][]sample)}
	for pair := range r.o.pairs {
		for i := range r.targets {
			t := r.targets[(i+pair)%len(r.targets)]
			e, ok := t.endpoint(c.transport, c.serializer)
			if !ok || ctx.Err() != nil {
				continue
			}
			s, err := r.one(ctx, c, t, e)
			if err != nil {
				s = sample{Error: err.Error()}
			}
			got.Runs[t.name] = append(got.Runs[t.name], s)
		}
	}
	return got
}

// one is one run of one case with one target.
func (r *runner) one(ctx context.Context, c bench, t *target, e endpoint) (sample, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.o.length+2*time.Minute, errors.New("took too long"))
	defer cancel()
	b := bound{length: r.o.length}
	if r.o.profile != "" && t == &r.ours.target && c.idling == nil {
		done := r.profile(c.Name)
		defer func() { <-done }()
	}
	switch {
	case c.fanout != nil:
		work := *c.fanout
		if r.o.window > 0 {
			work.window = r.o.window
		}
		return work.run(ctx, e, b)
	case c.calling != nil:
		work := *c.calling
		if r.o.window > 0 {
			work.window = r.o.window
		}
		return work.run(ctx, e, b)
	}
	if t.fresh == nil {
		return sample{}, errors.New("memory is measured of servers that bench starts")
	}
	p, err := t.fresh(ctx)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	e, _ = p.endpoint(c.transport, c.serializer)
	return c.idling.run(ctx, e, p.collect)
}

// profile writes the router's CPU profile of the run that begins.
func (r *runner) profile(name string) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		f, err := os.Create(filepath.Join(r.o.profile, strings.ReplaceAll(name, "/", "-")+".pprof"))
		if err == nil {
			seconds := max(1, int(r.o.length.Seconds()))
			err = errors.Join(r.ours.fetch(fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds), f), f.Close())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: profile:", err)
		}
	}()
	return done
}
