package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// curve is one thing that grows, and what is watched meanwhile.
type curve struct {
	Name, title, x, y string
	most              int
	// grow measures at each of the sizes, in ascending order, and hands each
	// value to point.
	grow func(ctx context.Context, g *growing, sizes []int, point func(series string, x int, y float64)) error
}

// growing is what curves are measured with: the router, with limits that let
// it grow.
type growing struct {
	*process
	bound bound
}

// limitsToGrow are above what any curve needs.
const limitsToGrow = `limits:
  sessions: 100000
  subscriptions: 2000000
  registrations: 2000000
  message: 4MiB
  queue: 64MiB
`

func (g *growing) endpoint() endpoint {
	e, _ := g.process.endpoint("rawsocket", wamp.MsgPack)
	return e
}

func curves() []curve {
	const cpuEach = "server CPU, µs"
	return []curve{
		{"subscribers", "Fan-out: one publication to n subscribers, 256 B", "subscribers of the topic", cpuEach + " per publication", 5000, growSubscribers},
		{"topics", "Subscribed topics: a publication to one of n, 256 B", "topics", cpuEach + " per publication", 1_000_000, growTopics},
		{"patterns", "Pattern subscriptions: a publication that matches one of n, 256 B", "patterns", cpuEach + " per publication", 10_000, growPatterns},
		{"registrations", "Registered procedures: a call to one of n, 256 B", "procedures", cpuEach + " per call", 100_000, growRegistrations},
		{"sessions", "Sessions: 1 to 16, 256 B, beside n idle ones", "idle sessions", cpuEach + " per delivery", 10_000, growSessions},
		{"memory", "Memory of n idle sessions with a subscription each", "idle sessions", "resident memory over an empty router, MB", 10_000, growMemory},
		{"payload", "Payload: 1 to 4", "bytes", cpuEach + " per delivery", 1 << 20, growPayload},
	}
}

// steps are 1, 2, 5, 10, … up to most, which is the last.
func steps(most, from int) (out []int) {
	for unit := 1; ; unit *= 10 {
		for _, digit := range []int{1, 2, 5} {
			n := digit * unit
			if n >= most {
				return append(out, most)
			}
			if n >= from {
				out = append(out, n)
			}
		}
	}
}

// grow measures the curves, each with a router of its own.
func grow(ctx context.Context, o options, w io.Writer) error {
	dir, err := os.MkdirTemp("", "blindfold-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &builder{dir: dir, limits: limitsToGrow}
	all := &results{Machine: thisMachine(), Seconds: o.length.Seconds()}
	for _, c := range curves() {
		if !o.cases.MatchString(c.Name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		got, err := c.measure(ctx, b, o, w)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		all.Curves = append(all.Curves, got)
	}
	return all.save(o, w)
}

func (c *curve) measure(ctx context.Context, b *builder, o options, w io.Writer) (plotted, error) {
	p, err := b.start(ctx, true)
	if err != nil {
		return plotted{}, err
	}
	defer p.stop()
	got := plotted{Name: c.Name, Title: c.title, X: c.x, Y: c.y}
	most, from := c.most, 1
	if o.quick {
		most = min(most, 100)
	}
	if c.Name == "payload" {
		from = 64
	}
	sizes := steps(most, from)
	if c.Name == "payload" {
		sizes = sizes[:0]
		for n := 64; n <= c.most; n *= 4 {
			sizes = append(sizes, n)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	err = c.grow(ctx, &growing{process: p, bound: bound{length: o.length}}, sizes, func(series string, x int, y float64) {
		fmt.Fprintf(w, "%-14s %-10s %9d  %.3f\n", c.Name, series, x, y)
		got.add(series, float64(x), y)
	})
	return got, err
}

func growSubscribers(ctx context.Context, g *growing, sizes []int, point func(string, int, float64)) error {
	for _, n := range sizes {
		w := fanout{payload: payload{256, "passthru"}, topics: []string{"com.bench.topic"}, subscribers: n, window: 64}
		s, err := w.run(ctx, g.endpoint(), g.bound)
		if err != nil {
			return err
		}
		point("", n, s.cost()*float64(n))
	}
	return nil
}

// sampled are up to 2,048 of n names, spread evenly: what is published to.
func sampled(n int, name func(i int) string) (out []string) {
	const most = 2048
	for i := range min(n, most) {
		out = append(out, name(i*n/min(n, most)))
	}
	return out
}

// growTables publishes to one of ever more topics. A session for each step has
// the topics that came with it: were they spread over more sessions with every
// step, there would be fewer events for each write, and this is about tables.
func growTables(ctx context.Context, g *growing, sizes []int, match string, subscribed, published func(i int) string, point func(x int, y float64)) error {
	c := newCrowd(ctx, g.endpoint())
	defer c.end()
	counts := newGate(1)
	have := 0
	for _, n := range sizes {
		var topics []topic
		for ; have < n; have++ {
			topics = append(topics, topic{subscribed(have), match})
		}
		k, err := c.join(64 << 10)
		if err != nil {
			return err
		}
		if err := k.subscribe(topics...); err != nil {
			return err
		}
		c.run("subscriber", events(k, counts, 0))
		if err := g.collect(); err != nil {
			return err
		}
		w := fanout{payload: payload{256, "passthru"}, topics: sampled(n, published), window: 512}
		s, err := w.publish(c, g.endpoint(), counts, g.bound)
		if err != nil {
			return err
		}
		point(n, s.cost())
	}
	return nil
}

func growTopics(ctx context.Context, g *growing, sizes []int, point func(string, int, float64)) error {
	name := func(i int) string { return fmt.Sprintf("com.bench.topic.%07d", i) }
	return growTables(ctx, g, sizes, "", name, name, func(x int, y float64) { point("", x, y) })
}

func growPatterns(ctx context.Context, g *growing, sizes []int, point func(string, int, float64)) error {
	err := growTables(ctx, g, sizes, "prefix",
		func(i int) string { return fmt.Sprintf("com.bench.prefix.%07d", i) },
		func(i int) string { return fmt.Sprintf("com.bench.prefix.%07d.event", i) },
		func(x int, y float64) { point("prefix", x, y) })
	if err != nil {
		return err
	}
	return growTables(ctx, g, sizes, "wildcard",
		func(i int) string { return fmt.Sprintf("com..wildcard%07d..event", i) },
		func(i int) string { return fmt.Sprintf("com.bench.wildcard%07d.any.event", i) },
		func(x int, y float64) { point("wildcard", x, y) })
}

func growRegistrations(ctx context.Context, g *growing, sizes []int, point func(string, int, float64)) error {
	c := newCrowd(ctx, g.endpoint())
	defer c.end()
	name := func(i int) string { return fmt.Sprintf("com.bench.procedure.%07d", i) }
	w := calling{payload: payload{256, "passthru"}, callers: 1, window: 64}
	have := 0
	for _, n := range sizes {
		w.procedures = nil
		for ; have < n; have++ {
			w.procedures = append(w.procedures, name(have))
		}
		if err := w.answer(c, g.endpoint()); err != nil {
			return err
		}
		if err := g.collect(); err != nil {
			return err
		}
		w.procedures = sampled(n, name)
		s, err := w.call(c, g.endpoint(), g.bound)
		if err != nil {
			return err
		}
		point("", n, s.cost())
	}
	return nil
}

func growSessions(ctx context.Context, g *growing, sizes []int, point func(string, int, float64)) error {
	c := newCrowd(ctx, g.endpoint())
	defer c.end()
	have := 0
	for _, n := range sizes {
		if err := (idling{sessions: n - have}).gather(c); err != nil {
			return err
		}
		have = n
		if err := g.collect(); err != nil {
			return err
		}
		w := fanout{payload: payload{256, "passthru"}, topics: []string{"com.bench.topic"}, subscribers: 16, window: 64}
		s, err := w.run(c.ctx, g.endpoint(), g.bound)
		if err != nil {
			return err
		}
		point("", n, s.cost())
	}
	return nil
}

func growMemory(ctx context.Context, g *growing, sizes []int, point func(string, int, float64)) error {
	c := newCrowd(ctx, g.endpoint())
	defer c.end()
	empty := resident(g.pid)
	have := 0
	for _, n := range sizes {
		if n < 100 { // noise
			continue
		}
		if err := (idling{sessions: n - have}).gather(c); err != nil {
			return err
		}
		have = n
		if err := g.collect(); err != nil {
			return err
		}
		point("", n, (resident(g.pid)-empty)/1e6)
	}
	return context.Cause(c.ctx)
}

func growPayload(ctx context.Context, g *growing, sizes []int, point func(string, int, float64)) error {
	for _, n := range sizes {
		// About as many bytes under way as a socket holds.
		w := fanout{payload: payload{n, "passthru"}, topics: []string{"com.bench.topic"}, subscribers: 4, window: max(2, min(64, 256<<10/n))}
		s, err := w.run(ctx, g.endpoint(), g.bound)
		if err != nil {
			return err
		}
		point("", n, s.cost())
	}
	return nil
}

// curveTables writes what the plots show as tables in Markdown.
func (r *results) curveTables(w *strings.Builder) {
	for i := range r.Curves {
		c := &r.Curves[i]
		for _, s := range c.Series {
			fmt.Fprintf(w, "\n%s%s\n\n| %s |", c.Title, strings.TrimSuffix(" ("+s.Name+")", " ()"), c.X)
			for _, p := range s.Points {
				fmt.Fprintf(w, " %s |", grouped(int64(p[0])))
			}
			fmt.Fprintf(w, "\n|---%s|\n| %s |", strings.Repeat("|---", len(s.Points)), c.Y)
			for _, p := range s.Points {
				fmt.Fprintf(w, " %.3g |", p[1])
			}
			fmt.Fprintln(w)
		}
	}
}

// errNoCurve: only --growth makes what can be drawn.
var errNoCurve = errors.New("nothing to plot")
