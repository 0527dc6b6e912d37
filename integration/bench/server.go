package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// target is one of those that are compared.
type target struct {
	name string
	urls map[string]endpointURL // by scheme: ws, rs, nats
	pid  int
	// fresh starts another one like it that nobody has used; nil if that is
	// not ours to do.
	fresh func(ctx context.Context) (*process, error)
}

type endpointURL struct{ address, path string }

// addPeer adds what --peer says: NAME=URL[,pid=N].
func addPeer(peers []*target, s string) ([]*target, error) {
	name, rest, ok := strings.Cut(s, "=")
	url, pid, hasPid := strings.Cut(rest, ",pid=")
	if !ok || name == "" {
		return peers, errors.New("must be NAME=URL or NAME=URL,pid=N")
	}
	var t *target
	for _, p := range peers {
		if p.name == name {
			t = p
		}
	}
	if t == nil {
		t = &target{name: name, urls: make(map[string]endpointURL)}
		peers = append(peers, t)
	}
	if hasPid {
		n, err := strconv.Atoi(pid)
		if err != nil || n < 1 {
			return peers, errors.New("pid must be a number")
		}
		t.pid = n
	}
	return peers, t.add(url)
}

// add notes an URL of the target.
func (t *target) add(url string) error {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return errors.New("the URL must begin with ws://, rs:// or nats://")
	}
	address, path, _ := strings.Cut(rest, "/")
	switch scheme {
	case "tcp", "raw", "rs":
		scheme = "rs"
	case "ws", "nats":
	default:
		return fmt.Errorf("%s:// is none of ws://, rs:// and nats://", scheme)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s needs a host and a port", url)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is not on loopback; load is not sent anywhere else", url)
	}
	t.urls[scheme] = endpointURL{address, "/" + path}
	return nil
}

// endpoint is where and how a case meets the target; false if it can't.
func (t *target) endpoint(transport string, s wamp.Serializer) (endpoint, bool) {
	if u, ok := t.urls["nats"]; ok {
		return endpoint{address: u.address, dialect: natsDialect{}, pid: t.pid}, true
	}
	u, ok := t.urls[map[string]string{"websocket": "ws", "rawsocket": "rs"}[transport]]
	return endpoint{address: u.address, pid: t.pid, dialect: &wampDialect{websocket: transport == "websocket",
		address: u.address, path: u.path, serializer: s, realm: "realm1"}}, ok
}

func (t *target) isNATS() bool { _, ok := t.urls["nats"]; return ok }

// process is a server that we started.
type process struct {
	target
	cmd   *exec.Cmd
	admin string // where net/http/pprof answers, or ""
	ended chan struct{}
}

// stop ends it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (p *process) start(out io.Reader, said func(line string) bool) error {
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.ended = make(chan struct{})
	p.pid = p.cmd.Process.Pid
	ready := make(chan bool, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if said(lines.Text()) {
				select {
				case ready <- true:
				default:
				}
			}
		}
	}()
	go func() {
		<-read // all output, before Wait closes the pipe
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	select {
	case <-ready:
		return nil
	case <-p.ended:
		return fmt.Errorf("%s ended at once", p.name)
	case <-time.After(patience):
		p.stop()
		return fmt.Errorf("%s did not say that it is ready", p.name)
	}
}

// builder builds the router, once plain and once with a way to look into it.
type builder struct {
	dir          string
	plain, pprof string
	limits       string // lines of the configuration
}

const routerPackage = "github.com/blindfold-wamp/blindfold/cmd/router"

// looking is added to the router's main package, by go build -overlay, where
// its memory or its CPU time is looked into: net/http/pprof on a port of its
// own. The rates are measured without it.
const looking = `package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
)

func init() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, "pprof", "http://"+l.Addr().String())
	go func() { _ = http.Serve(l, nil) }()
}
`

// build builds the router.
func (b *builder) build(ctx context.Context, withPprof bool) (string, error) {
	path := &b.plain
	args := []string{"build"}
	if withPprof {
		path = &b.pprof
	}
	if *path != "" {
		return *path, nil
	}
	name := filepath.Join(b.dir, "router")
	if withPprof {
		name += "-pprof"
		out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", routerPackage).Output()
		if err != nil {
			return "", fmt.Errorf("go list: %w", err)
		}
		source := filepath.Join(b.dir, "looking.go")
		overlay := filepath.Join(b.dir, "overlay.json")
		into := filepath.Join(strings.TrimSpace(string(out)), "zz_looking.go")
		err = errors.Join(os.WriteFile(source, []byte(looking), 0o600),
			os.WriteFile(overlay, fmt.Appendf(nil, `{"Replace":{%q:%q}}`, into, source), 0o600))
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	args = append(args, "-o", name, routerPackage)
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %v\n%s", err, out)
	}
	*path = name
	return name, nil
}

// start starts the router, with its defaults but for ports and the log.
func (b *builder) start(ctx context.Context, withPprof bool) (*process, error) {
	binary, err := b.build(ctx, withPprof)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(b.dir, "router.yaml")
	text := "listeners:\n  - websocket: 127.0.0.1:0\n  - rawsocket: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: {level: error}\n" + b.limits
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(binary, "--config", config)}
	p.target = target{name: "blindfold", urls: make(map[string]endpointURL)}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	err = p.start(out, func(line string) bool {
		for word := range strings.FieldsSeq(line) {
			if strings.HasPrefix(word, "ws://") || strings.HasPrefix(word, "rs://") {
				_ = p.add(strings.TrimSuffix(word, ","))
			}
			if strings.HasPrefix(line, "pprof") {
				p.admin = word
			}
		}
		return strings.HasPrefix(line, "admin") // the last line
	})
	if err != nil {
		return nil, err
	}
	p.fresh = func(ctx context.Context) (*process, error) { return b.start(ctx, true) }
	return p, nil
}

// startNATS starts a nats-server with its defaults on a free port.
func startNATS(path, dir string) (*process, error) {
	p := &process{cmd: exec.Command(path, "-a", "127.0.0.1", "-p", "-1")}
	p.target = target{name: "nats", urls: make(map[string]endpointURL)}
	p.cmd.Dir = dir
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	address := ""
	err = p.start(out, func(line string) bool {
		const says = "Listening for client connections on "
		if at := strings.Index(line, says); at >= 0 {
			address = strings.TrimSpace(line[at+len(says):])
		}
		return strings.Contains(line, "Server is ready")
	})
	if err != nil {
		return nil, err
	}
	if err := p.add("nats://" + address); err != nil {
		p.stop()
		return nil, err
	}
	p.fresh = func(context.Context) (*process, error) { return startNATS(path, dir) }
	return p, nil
}

// collect makes a server that was started with pprof collect its garbage.
func (p *process) collect() error {
	if p.admin == "" {
		return nil
	}
	return p.fetch("/debug/pprof/heap?gc=1", io.Discard)
}

// fetch copies a page of pprof.
func (p *process) fetch(path string, to io.Writer) error {
	client := http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	response, err := client.Get(p.admin + path)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	_, err = io.Copy(to, response.Body)
	return err
}
