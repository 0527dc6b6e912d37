package routertest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Process is the built server, running.
type Process struct {
	T       testing.TB
	Cmd     *exec.Cmd
	URLs    map[string]string // "websocket", "rawsocket", "unix", "admin"
	Stopped bool
}

// StartProcess runs the built server until the test ends. In the configuration
// %[1]s stands for a folder of the test. Listeners on port 0 get a free port. If
// through is given, it is a command that gets the server's command line as its
// further arguments.
func StartProcess(t testing.TB, config string, through ...string) *Process {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "blindfold.yaml")
	if strings.Contains(config, "%[1]s") {
		config = fmt.Sprintf(config, dir)
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	command := append(through, RouterBinary(t), "--config", file)
	p := &Process{T: t, Cmd: exec.Command(command[0], command[1:]...), URLs: make(map[string]string)}
	p.Cmd.Stderr = &LogWriter{T: t}
	stdout, err := p.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		for word := range strings.FieldsSeq(lines.Text()) {
			word = strings.TrimSuffix(word, ",")
			switch {
			case strings.HasPrefix(word, "ws://"), strings.HasPrefix(word, "wss://"):
				p.URLs["websocket"] = word
			case strings.HasPrefix(word, "rs://"), strings.HasPrefix(word, "rss://"):
				p.URLs["rawsocket"] = word
			case strings.HasPrefix(word, "unix:"):
				p.URLs["unix"] = "unix://" + strings.TrimPrefix(word, "unix:")
			case strings.HasPrefix(word, "http://"), strings.HasPrefix(word, "https://"):
				p.URLs["admin"] = strings.TrimSuffix(word, "/metrics")
			}
		}
		if p.URLs["admin"] != "" {
			break
		}
	}
	if p.URLs["admin"] == "" {
		t.Fatal("the server did not say where it listens")
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	return p
}

// Stop ends the server with SIGTERM; it must exit with status 0.
func (p *Process) Stop() {
	if p.Stopped {
		return
	}
	p.Stopped = true
	_ = p.Cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(Timeout, func() { _ = p.Cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.Cmd.Wait(); err != nil {
		p.T.Errorf("the server ended with %v", err)
	}
}

// Get fetches a page of the admin address.
func (p *Process) Get(path string) string {
	p.T.Helper()
	client := http.Client{Timeout: Timeout}
	defer client.CloseIdleConnections()
	response, err := client.Get(p.URLs["admin"] + path)
	if err != nil {
		p.T.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.T.Fatal(err)
	}
	return string(body)
}

// Metric returns the value of a series of a built server.
func (p *Process) Metric(series string) float64 {
	p.T.Helper()
	for line := range strings.Lines(p.Get("/metrics")) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				p.T.Fatal(err)
			}
			return v
		}
	}
	p.T.Fatalf("there is no series %s", series)
	return 0
}

// Rewrite replaces the server's configuration and has it read again.
func (p *Process) Rewrite(config string) {
	p.T.Helper()
	p.RewriteFile(p.Cmd.Args[len(p.Cmd.Args)-1], config)
}

// RewriteFile replaces a file and has the server read its configuration again.
func (p *Process) RewriteFile(file, config string) {
	p.T.Helper()
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		p.T.Fatal(err)
	}
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		p.T.Fatal(err)
	}
}

// JoinProcess opens a session with a built server.
func JoinProcess(t testing.TB, p *Process, name string, s wamp.Serializer) *Peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	conn, err := transport.Dial(ctx, p.URLs["rawsocket"], transport.DialOptions{Serializer: s})
	if err != nil {
		t.Fatal(err)
	}
	c := &Peer{T: t, Name: name, Conn: conn}
	t.Cleanup(func() { _ = conn.Close() })
	c.Hello()
	return c
}

// Config is the server's default configuration, on free ports.
const Config = `
listeners:
  - websocket: 127.0.0.1:0
  - rawsocket: 127.0.0.1:0
  - rawsocket: unix:%[1]s/blindfold.sock
admin: 127.0.0.1:0
`

// ReloadableConfig is a configuration in which anonymous sessions may publish to a
// prefix.
func ReloadableConfig(prefix string, subscriptions int) string {
	return fmt.Sprintf(`
listeners:
  - rawsocket: 127.0.0.1:0
admin: 127.0.0.1:0
limits: {subscriptions: %d}
realms:
  - name: realm1
    anonymous: {role: anonymous}
    roles:
      - name: anonymous
        permissions:
          - {uri: %q, match: prefix, allow: [publish]}
          - {uri: "", match: prefix, allow: [subscribe]}
`, subscriptions, prefix)
}

// RouterBinary builds cmd/router once and returns its path.
func RouterBinary(t testing.TB) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := Build("", "", "github.com/blindfold-wamp/blindfold/cmd/router")
	return filepath.Join(dir, "router"), err
})

// SealBinary builds cmd/seal once and returns its path.
func SealBinary(t testing.TB) string {
	t.Helper()
	dir, err := buildSeal()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "seal")
}

// buildSeal builds cmd/seal and cmd/router into one folder.
var buildSeal = sync.OnceValues(func() (string, error) {
	return Build("", "", "github.com/blindfold-wamp/blindfold/cmd/seal", "github.com/blindfold-wamp/blindfold/cmd/router")
})

// built is the folder of all programs that tests build; Main removes it.
var built struct {
	sync.Mutex
	dir string
}

// Build builds packages, given as import paths or relative to the test's folder,
// into a new folder, which it returns.
func Build(tags, ldflags string, packages ...string) (string, error) {
	built.Lock()
	defer built.Unlock()
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "blindfold")
		if err != nil {
			return "", err
		}
		built.dir = dir
	}
	dir, err := os.MkdirTemp(built.dir, "")
	if err != nil {
		return "", err
	}
	args := append([]string{"build", "-tags", tags, "-ldflags", ldflags, "-o", dir + string(filepath.Separator)}, packages...)
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %v\n%s", err, out)
	}
	return dir, nil
}

// GoRun runs a program of this module, and returns what it prints.
func GoRun(pkg string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", append([]string{"run", pkg}, args...)...).CombinedOutput()
	return string(out), err
}

// LogWriter shows what a process writes in the test's log.
type LogWriter struct {
	T  testing.TB
	mu sync.Mutex
}

func (w *LogWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.T.Logf("%s", b)
	return len(b), nil
}
