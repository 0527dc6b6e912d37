package cluster

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/natstest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

var (
	seed   = flag.Uint64("cluster.seed", 0, "seed of TestRandom; 0 draws one")
	rounds = flag.Int("cluster.rounds", 60, "steps of each actor in TestRandom")
)

// Many sessions on several nodes subscribe, publish, register, call, cancel and leave,
// while NATS is killed and started. Then: every call was answered once; nothing was
// delivered twice or out of order; an exclusive procedure has one callee; and all nodes
// have the same directory, which is what sessions hold. While nothing fails, no event is
// lost.
func TestRandom(t *testing.T) {
	for _, failing := range []bool{false, true} {
		t.Run(fmt.Sprintf("failing=%t", failing), func(t *testing.T) { random(t, failing) })
	}
}

const (
	actors     = 24
	topics     = 6
	procedures = 6
)

type chaos struct {
	t       *testing.T
	nodes   []*node
	failing bool

	mu      sync.Mutex
	sent    map[string]int            // by publisher and topic: how many were published
	got     map[string]map[string]int // by subscriber; by publisher and topic: the last number
	lost    map[string]bool           // what went missing
	unknown int                       // calls that had no answer in time
	answers map[string]int            // of calls, by outcome
}

func random(t *testing.T, failing bool) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-cluster.seed %d", *seed)
	s := natstest.Start(t)
	c := &chaos{t: t, failing: failing, sent: make(map[string]int), got: make(map[string]map[string]int), lost: make(map[string]bool),
		answers: make(map[string]int)}
	for i := range 3 {
		c.nodes = append(c.nodes, startNode(t, string(rune('a'+i)), []string{s.URL}))
	}
	stop := make(chan struct{})
	var failures sync.WaitGroup
	if failing {
		failures.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(300 * time.Millisecond): // how often it fails is what this is about
				}
				s.Kill()
				s.Start()
			}
		})
	}
	var all sync.WaitGroup
	for i := range actors {
		all.Go(func() { c.act(i, rand.New(rand.NewPCG(*seed, uint64(i)))) })
	}
	all.Wait()
	close(stop)
	failures.Wait()
	for _, n := range c.nodes {
		waitFor(t, "all nodes to be there", func() bool { return n.node.Ready() == nil && len(n.node.Stats().Others) == 2 })
	}
	waitFor(t, "an empty directory on all nodes", func() bool {
		for _, n := range c.nodes {
			if n.node.Stats().Entries != 0 {
				return false
			}
		}
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("%v; %d publications", c.answers, len(c.sent))
	if c.answers["result"] == 0 || len(c.got) == 0 {
		t.Error("nothing happened")
	}
	if c.unknown > 0 {
		t.Errorf("%d calls were never answered", c.unknown)
	}
	if !failing && len(c.lost) > 0 {
		t.Errorf("events were lost: %v", c.lost)
	}
}

// act is one session's life, on a node of its own choice.
func (c *chaos) act(i int, r *rand.Rand) {
	name := fmt.Sprint("actor", i)
	n := c.nodes[i%len(c.nodes)]
	s := n.Client([]string{"memory", "rawsocket", "websocket"}[r.IntN(3)], wamp.Serializers[r.IntN(3)], client.Config{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	mine := fmt.Sprintf("com.example.t%d", r.IntN(topics))
	_, err := s.Subscribe(ctx, wamp.URI(mine), func(_ context.Context, e *client.Event) { c.event(name, e) }, client.SubscribeOptions{})
	if err != nil {
		c.t.Errorf("%s: %v", name, err)
		return
	}
	var held *client.Registration
	steps := *rounds
	if c.failing {
		steps *= 5 // most of them are refused at once
	}
	for step := range steps {
		switch r.IntN(5) {
		case 0, 1:
			topic := fmt.Sprintf("com.example.t%d", r.IntN(topics))
			c.publish(s, name, topic)
		case 2:
			if held == nil {
				procedure := fmt.Sprintf("com.example.p%d", r.IntN(procedures))
				held, err = s.Register(ctx, wamp.URI(procedure), func(ctx context.Context, inv *client.Invocation) (*client.Result, error) {
					return serve(ctx, inv)
				}, client.RegisterOptions{})
				if err != nil && !expected(err) {
					c.t.Errorf("%s: register: %v", name, err)
				}
			} else if err := held.Unregister(ctx); err != nil && !expected(err) {
				c.t.Errorf("%s: unregister: %v", name, err)
			} else {
				held = nil
			}
		default:
			c.call(ctx, s, r, fmt.Sprintf("com.example.p%d", r.IntN(procedures)), fmt.Sprint(name, ".", step))
		}
	}
	if err := s.Close(); err != nil && !expected(err) {
		c.t.Errorf("%s: close: %v", name, err)
	}
}

// expected reports whether an error is one that users are promised in such a world.
func expected(err error) bool {
	var e *client.Error
	if !errors.As(err, &e) {
		return errors.Is(err, context.Canceled)
	}
	switch e.URI {
	case wamp.ErrClusterUnavailable, wamp.ErrProcedureExists, wamp.ErrNoSuchProcedure, wamp.ErrCanceled, wamp.ErrNoSuchRegistration:
		return true
	}
	return false
}

func (c *chaos) publish(s *client.Session, name, topic string) {
	c.mu.Lock()
	key := name + " " + topic
	c.sent[key]++
	number := c.sent[key]
	c.mu.Unlock()
	if _, err := s.Publish(context.Background(), wamp.URI(topic), []any{key, number}, nil, client.PublishOptions{}); err != nil {
		c.t.Errorf("%s: publish: %v", name, err)
	}
}

// event checks that events of one publisher come once, and in order.
func (c *chaos) event(name string, e *client.Event) {
	if len(e.Args) != 2 {
		c.t.Errorf("%s got %v", name, e.Args)
		return
	}
	key, number := fmt.Sprint(e.Args[0]), 0
	if _, err := fmt.Sscan(fmt.Sprint(e.Args[1]), &number); err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.got[name] == nil {
		c.got[name] = make(map[string]int)
	}
	switch last := c.got[name][key]; {
	case number <= last:
		c.t.Errorf("%s got number %d of %q after %d", name, number, key, last)
	case last > 0 && number > last+1:
		c.lost[fmt.Sprintf("%s of %s between %d and %d", name, key, last, number)] = true
	}
	c.got[name][key] = number
}

// serve takes a moment and answers with the question.
func serve(ctx context.Context, inv *client.Invocation) (*client.Result, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Duration(rand.IntN(3)) * time.Millisecond):
	}
	return &client.Result{Args: inv.Args}, nil
}

func (c *chaos) call(ctx context.Context, s *client.Session, r *rand.Rand, procedure, id string) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	canceled := r.IntN(4) == 0
	if canceled {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		time.AfterFunc(time.Duration(r.IntN(2000))*time.Microsecond, stop)
		defer stop()
	}
	result, err := s.Call(ctx, wamp.URI(procedure), []any{id}, nil, client.CallOptions{})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.answers["result"]++
		if len(result.Args) != 1 || fmt.Sprint(result.Args[0]) != id {
			c.t.Errorf("%s got the answer of another call: %v", id, result.Args)
		}
	case errors.Is(err, context.DeadlineExceeded):
		c.unknown++
		c.t.Logf("%s of %s by session %d, canceled %t: no answer", id, procedure, s.ID(), canceled)
	case expected(err):
		var e *client.Error
		if errors.As(err, &e) {
			c.answers[string(e.URI)]++
		}
	default:
		c.t.Errorf("%s: %v", id, err)
	}
}
