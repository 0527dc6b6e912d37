package clients

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/scope"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// The URIs of the peers. What is secret has a key, what is open is declared clear.
const (
	secret    = "com.example.secret."
	openTopic = "com.example.open.topic"
)

// setup is what a peer is started with.
type setup struct {
	url        string
	serializer wamp.Serializer
	form       string // "transparency", "passthru" or "scope"
	name       string
	file       string // what it seals with: a keyring file, or a member's of a scope
}

// peer is a client of some kind that takes orders and tells what happens, a line of
// JSON for each thing. Its orders are:
//
//	meet NAMES        call what each of the named serves, then publish
//	call PROCEDURE    call without arguments
//	publish TOPIC     publish the argument 1
//	leave
//
// It serves secret+NAME+".echo", ".fail" and ".steps", and subscribes to what
// begins with secret, and to openTopic.
type peer struct {
	t     *testing.T
	name  string
	order func(string)

	mu      sync.Mutex
	changed chan struct{} // closed and made anew with each line
	lines   []map[string]any
	broken  error
}

func newPeer(t *testing.T, name string) *peer {
	return &peer{t: t, name: name, changed: make(chan struct{})}
}

// hear takes a line that the peer told; other than JSON are its log.
func (p *peer) hear(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var m map[string]any
	switch {
	case line == "ready":
		m = map[string]any{"ready": true}
	case !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &m) != nil:
		p.t.Logf("%s: %s", p.name, line)
		return
	}
	if m["broken"] != nil {
		p.t.Errorf("%s: %s", p.name, line)
	}
	p.lines = append(p.lines, m)
	close(p.changed)
	p.changed = make(chan struct{})
}

// end notes that there will be no more lines.
func (p *peer) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = err
	close(p.changed)
	p.changed = make(chan struct{})
}

// want waits for a line that has key, and takes it and those of want that are before
// it out.
func (p *peer) want(key string) map[string]any {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		p.mu.Lock()
		for i, line := range p.lines {
			if _, ok := line[key]; ok {
				p.lines = append(p.lines[:i], p.lines[i+1:]...)
				p.mu.Unlock()
				return line
			}
		}
		changed, broken := p.changed, p.broken
		p.mu.Unlock()
		if broken != nil {
			p.t.Fatalf("%s has ended: %v", p.name, broken)
		}
		select {
		case <-changed:
		case <-timeout:
			p.t.Fatalf("%s tells nothing of %q", p.name, key)
		}
	}
}

// process is a peer that is a program. Its orders are lines on its standard input.
func process(t *testing.T, name, program string, args ...string) *peer {
	t.Helper()
	p := newPeer(t, name)
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = t.Output()
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.hear(lines.Text())
		}
		p.end(io.EOF)
	}()
	p.order = func(line string) { _, _ = io.WriteString(stdin, line+"\n") }
	t.Cleanup(func() {
		p.order("leave")
		ending := time.AfterFunc(patience, cancel)
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", name, err)
		}
		ending.Stop()
		cancel()
	})
	return p
}

// inGo is a peer with this module's own client.
func inGo(t *testing.T, s setup) *peer {
	t.Helper()
	p := newPeer(t, s.name)
	tell := func(m map[string]any) {
		line, err := json.Marshal(plain(m))
		if err != nil {
			t.Error(err)
		}
		p.hear(string(line))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	sealer, member := sealerFor(t, s)
	session, err := client.Dial(ctx, client.Config{
		URL: s.url, Realm: "realm1", Serializer: s.serializer,
		Sealer:     sealer,
		AllowClear: []wamp.URI{openTopic},
		OnError: func(err error) {
			var e *client.SealError
			if errors.As(err, &e) {
				tell(map[string]any{"refused": string(e.Reason), "uri": string(e.URI)})
			}
		},
	})
	routertest.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		routertest.NoError(t, session.Close())
	})
	if member != nil {
		follow(t, ctx, session, member)
	}
	heard := func(_ context.Context, e *client.Event) {
		line := map[string]any{"event": string(e.Topic), "args": list(e.Args), "kwargs": dict(e.Kwargs)}
		if e.Origin != nil {
			line["sender"] = e.Origin.Sender
		}
		tell(line)
	}
	_, err = session.Subscribe(ctx, secret, heard, client.SubscribeOptions{Match: wamp.MatchPrefix})
	routertest.NoError(t, err)
	_, err = session.Subscribe(ctx, openTopic, heard, client.SubscribeOptions{})
	routertest.NoError(t, err)
	for name, handler := range map[string]client.Handler{
		"echo": func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
			if inv.Origin != nil {
				inv.Kwargs["caller"] = inv.Origin.Sender
			}
			return &client.Result{Args: inv.Args, Kwargs: inv.Kwargs}, nil
		},
		"fail": func(context.Context, *client.Invocation) (*client.Result, error) {
			return nil, &client.Error{URI: secret + "error", Args: []any{"what went wrong"}, Kwargs: map[string]any{"code": 23}}
		},
		"steps": func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
			n, _ := inv.Args[0].(int64)
			for i := range n {
				if err := inv.Progress([]any{i}, nil); err != nil {
					return nil, err
				}
			}
			return &client.Result{Args: []any{n}}, nil
		},
	} {
		_, err = session.Register(ctx, wamp.URI(secret+s.name+"."+name), handler, client.RegisterOptions{})
		routertest.NoError(t, err)
	}
	g := &goPeer{session: session, name: s.name, tell: tell}
	p.order = func(line string) { go g.obey(ctx, strings.Fields(line)) }
	p.hear("ready")
	return p
}

// sealerFor returns what a peer in Go seals with, and the scope if it is one.
func sealerFor(t *testing.T, s setup) (client.Sealer, *scope.Scope) {
	t.Helper()
	if s.form == "scope" {
		member := memberOf(t, s.file)
		sealer, err := scope.NewSealer(routertest.Realm, member)
		routertest.NoError(t, err)
		return sealer, member
	}
	ring, err := cryptobox.LoadKeyRing(s.file)
	routertest.NoError(t, err)
	forms := &cryptobox.Forms{Box: cryptobox.Box{Keys: ring}, Passthru: cryptobox.Passthru{Keys: ring}}
	if s.form == "passthru" {
		forms.Form = wamp.FormPassthru
	}
	return forms, nil
}

// follow accepts the lists of members that the owner publishes, and waits for the first.
func follow(t *testing.T, ctx context.Context, session *client.Session, member *scope.Scope) {
	t.Helper()
	accepted := make(chan error, 10)
	_, err := session.Subscribe(ctx, member.Topic(), func(_ context.Context, e *client.Event) {
		bundle, _ := e.Args[0].([]byte)
		_, err := member.Accept(bundle)
		accepted <- err
	}, client.SubscribeOptions{GetRetained: true})
	routertest.NoError(t, err)
	routertest.NoError(t, routertest.Receive(t, accepted))
}

type goPeer struct {
	session *client.Session
	name    string
	tell    func(map[string]any)
}

func (g *goPeer) obey(ctx context.Context, words []string) {
	uri := wamp.URI(strings.Join(words[1:], ""))
	switch words[0] {
	case "meet":
		for _, peer := range words[1:] {
			g.meet(ctx, peer)
		}
		g.publish(ctx, secret+"topic", []any{g.name, []byte{0, 255}}, map[string]any{"mood": "fine"})
		g.publish(ctx, openTopic, []any{g.name}, nil)
	case "call":
		result, err := g.session.Call(ctx, uri, nil, nil, client.CallOptions{})
		if err != nil {
			g.tell(map[string]any{"call": string(uri), "error": errorURI(err)})
			break
		}
		g.tell(map[string]any{"call": string(uri), "result": result.Args})
	case "publish":
		if _, err := g.session.Publish(ctx, uri, []any{1}, nil, client.PublishOptions{Acknowledge: true}); err != nil {
			g.tell(map[string]any{"publish": string(uri), "error": errorURI(err)})
			break
		}
		g.tell(map[string]any{"publish": string(uri)})
	}
	g.tell(map[string]any{"done": words[0]})
}

func (g *goPeer) publish(ctx context.Context, topic wamp.URI, args []any, kwargs map[string]any) {
	if _, err := g.session.Publish(ctx, topic, args, kwargs, client.PublishOptions{Acknowledge: true}); err != nil {
		g.tell(map[string]any{"broken": err.Error()})
	}
}

func (g *goPeer) meet(ctx context.Context, peer string) {
	call := func(procedure string, args []any, kwargs map[string]any, o client.CallOptions) (*client.Result, error) {
		return g.session.Call(ctx, wamp.URI(secret+peer+"."+procedure), args, kwargs, o)
	}
	result, err := call("echo", []any{"grüße", []any{1, -2, 0.5, true, nil}, []byte{0, 255}}, map[string]any{"nested": map[string]any{"ключ": []any{map[string]any{}}}}, client.CallOptions{})
	if err != nil {
		g.tell(map[string]any{"call": peer, "error": err.Error()})
	} else {
		g.tell(map[string]any{"call": peer, "args": result.Args, "kwargs": result.Kwargs})
	}
	var e *client.Error
	if _, err = call("fail", nil, nil, client.CallOptions{}); errors.As(err, &e) {
		g.tell(map[string]any{"call": peer, "error": string(e.URI), "args": e.Args, "kwargs": e.Kwargs})
	}
	progress := []any{}
	result, err = call("steps", []any{3}, nil, client.CallOptions{OnProgress: func(r *client.Result) { progress = append(progress, r.Args...) }})
	if err != nil {
		g.tell(map[string]any{"call": peer, "error": err.Error()})
		return
	}
	g.tell(map[string]any{"call": peer, "progress": progress, "result": result.Args[0]})
}

func errorURI(err error) string {
	var e *client.Error
	var s *client.SealError
	switch {
	case errors.As(err, &e):
		return string(e.URI)
	case errors.As(err, &s):
		return string(s.Reason)
	}
	return err.Error()
}

// plain writes binaries as the other peers do.
func plain(v any) any {
	switch v := v.(type) {
	case []byte:
		return "binary:" + hex.EncodeToString(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = plain(v[k])
		}
		return out
	}
	return v
}

func list(v []any) []any {
	if v == nil {
		return []any{}
	}
	return v
}

func dict(v map[string]any) map[string]any {
	if v == nil {
		return map[string]any{}
	}
	return v
}
