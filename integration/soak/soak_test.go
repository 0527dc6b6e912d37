// Package soak runs the built server for a long time with clients that come, go
// and talk, and looks whether its memory stays and nothing is lost. It does
// nothing unless SOAK says for how long: SOAK=10m go test -timeout 0 ./integration/soak
package soak

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func TestMain(m *testing.M) {
	if os.Getenv("SOAK") == "" {
		fmt.Println("SOAK says for how long, like 10m")
		return
	}
	os.Exit(m.Run())
}

const soakTopic wamp.URI = "com.example.soak"

// TestSoak has one publisher and two subscribers that stay, of whom each must get
// every event in order, and 50 places whose clients stay for moments: some leave
// in good order, some in the middle of a message, some never read.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "router")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/router").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte("listeners: [{rawsocket: \"127.0.0.1:0\"}]\nadmin: \"\"\nlog: {level: error}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--config", file)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := strings.Fields(line)[1]
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	}()

	ctx, stop := context.WithTimeout(context.Background(), length)
	defer stop()
	var all sync.WaitGroup
	var published atomic.Int64
	var subscribers [2]*client
	for i := range subscribers {
		subscribers[i] = join(t, url, wamp.Serializers[i])
		subscribers[i].subscribe(soakTopic)
		all.Go(func() { subscribers[i].count(ctx, &published) })
	}
	for range 50 {
		all.Go(func() { churn(ctx, t, url) })
	}
	all.Go(func() {
		p := join(t, url, wamp.MsgPack)
		defer func() { _ = p.conn.Close() }()
		for ctx.Err() == nil {
			for range 20 {
				p.publish(soakTopic, published.Add(1))
			}
			time.Sleep(10 * time.Millisecond) // a rate, not a wait
		}
		p.publish(soakTopic, published.Add(1)) // who waits for one more gets it
	})
	var sizes []int
	tick := time.NewTicker(length / 20)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			sizes = append(sizes, resident(t, cmd.Process.Pid))
		}
	}
	all.Wait()
	t.Logf("%d events to each of two; resident KiB over time: %v", published.Load(), sizes)
	early, late := average(sizes[len(sizes)/4:len(sizes)/2]), average(sizes[3*len(sizes)/4:])
	if late > early*1.2+8<<10 {
		t.Errorf("memory grew from %.0f to %.0f KiB", early, late)
	}
}

func average(v []int) float64 {
	sum := 0
	for _, n := range v {
		sum += n
	}
	return float64(sum) / float64(max(1, len(v)))
}

// resident is how much memory a process has, in KiB.
func resident(t *testing.T, pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// client is a session.
type client struct {
	t    *testing.T
	conn transport.Conn
	last wamp.ID
}

func join(t *testing.T, url string, s wamp.Serializer) *client {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := transport.Dial(ctx, url, transport.DialOptions{Serializer: s})
	if err != nil {
		t.Errorf("dial: %v", err)
		return nil
	}
	c := &client{t: t, conn: conn}
	present := wamp.Role{Present: true}
	c.send(&wamp.Hello{Realm: "realm1", Details: wamp.HelloDetails{Roles: wamp.Roles{Publisher: present, Subscriber: present, Caller: present, Callee: present}}})
	if m := c.receive(time.Minute); m == nil || m.Type() != wamp.TypeWelcome {
		t.Errorf("no WELCOME: %v", m)
	}
	return c
}

func (c *client) send(m wamp.Message) {
	body, err := codec.Append(nil, c.conn.Info().Serializer, m)
	if err != nil {
		c.t.Error(err)
	}
	_, _ = c.conn.Write([][]byte{c.conn.Framing().AppendFrame(nil, transport.OpMessage, body)}, time.Minute)
}

func (c *client) receive(patience time.Duration) wamp.Message {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		f, err := c.conn.Read()
		if err != nil {
			return nil
		}
		switch f.Op {
		case transport.OpPing:
			_, _ = c.conn.Write([][]byte{c.conn.Framing().AppendFrame(nil, transport.OpPong, f.Body)}, time.Minute)
		case transport.OpMessage:
			m, err := codec.NewDecoder().Decode(c.conn.Info().Serializer, append([]byte(nil), f.Body...))
			if err != nil {
				c.t.Errorf("the server sent what can't be read: %v", err)
			}
			return m
		}
	}
}

func (c *client) subscribe(topic wamp.URI) {
	c.last++
	c.send(&wamp.Subscribe{Request: c.last, Topic: topic})
	c.receive(time.Minute)
}

func (c *client) publish(topic wamp.URI, n int64) {
	c.last++
	payload, err := codec.EncodePayload(c.conn.Info().Serializer, []any{n}, nil)
	if err != nil {
		c.t.Error(err)
	}
	c.send(&wamp.Publish{Request: c.last, Topic: topic, Payload: payload})
}

// count takes all events until the end, and the last that was published.
func (c *client) count(ctx context.Context, published *atomic.Int64) {
	defer func() { _ = c.conn.Close() }()
	for next := int64(1); ctx.Err() == nil || next <= published.Load(); next++ {
		m := c.receive(time.Minute)
		e, ok := m.(*wamp.Event)
		if !ok {
			c.t.Errorf("event %d did not come, but %v", next, m)
			return
		}
		if args, _, err := e.Payload.Decode(); err != nil || len(args) != 1 || args[0] != next {
			c.t.Errorf("event %v came, and not %d (%v)", args, next, err)
			return
		}
	}
}

// churn lets clients come and go in one place.
func churn(ctx context.Context, t *testing.T, url string) {
	for ctx.Err() == nil {
		c := join(t, url, wamp.Serializers[rand.IntN(3)])
		if c == nil {
			return
		}
		own := wamp.URI(fmt.Sprintf("com.example.churn%d", rand.IntN(1000)))
		c.subscribe(own)
		c.last++
		c.send(&wamp.Register{Request: c.last, Procedure: own})
		c.last++
		c.send(&wamp.Call{Request: c.last, Procedure: own})
		switch rand.IntN(4) {
		case 0:
			c.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			for c.receive(time.Minute) != nil {
			}
		case 1: // in the middle of a message
			_, _ = c.conn.Write([][]byte{{0, 0, 4, 0, 'x'}}, time.Minute)
		case 2: // reads nothing of what it gets
			c.subscribe(soakTopic)
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
		default:
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		}
		_ = c.conn.Close()
	}
}
