package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary builds cmd/router once and returns its path.
func binary(t testing.TB) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := buildInto("", "", "../cmd/router")
	return filepath.Join(dir, "router"), err
})

// built is the folder of all programs that tests build; TestMain removes it.
var built struct {
	sync.Mutex
	dir string
}

// buildInto builds packages into a folder of their own.
func buildInto(tags, ldflags string, packages ...string) (string, error) {
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

// process is the built server, running.
type process struct {
	t       testing.TB
	cmd     *exec.Cmd
	urls    map[string]string // "websocket", "rawsocket", "unix", "admin"
	stopped bool
}

// startServer runs the built server with a configuration in which %[1]s stands
// for a folder of the test's. Listeners on port 0 get a free one. What through
// names, if anything, is run with the server's command line as its arguments.
func startServer(t testing.TB, config string, through ...string) *process {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "blindfold.yaml")
	if strings.Contains(config, "%[1]s") {
		config = fmt.Sprintf(config, dir)
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	command := append(through, binary(t), "--config", file)
	p := &process{t: t, cmd: exec.Command(command[0], command[1:]...), urls: make(map[string]string)}
	p.cmd.Stderr = &testWriter{t: t}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		for word := range strings.FieldsSeq(lines.Text()) {
			word = strings.TrimSuffix(word, ",")
			switch {
			case strings.HasPrefix(word, "ws://"), strings.HasPrefix(word, "wss://"):
				p.urls["websocket"] = word
			case strings.HasPrefix(word, "rs://"), strings.HasPrefix(word, "rss://"):
				p.urls["rawsocket"] = word
			case strings.HasPrefix(word, "unix:"):
				p.urls["unix"] = "unix://" + strings.TrimPrefix(word, "unix:")
			case strings.HasPrefix(word, "http://"), strings.HasPrefix(word, "https://"):
				p.urls["admin"] = strings.TrimSuffix(word, "/metrics")
			}
		}
		if p.urls["admin"] != "" {
			break
		}
	}
	if p.urls["admin"] == "" {
		t.Fatal("the server did not say where it listens")
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	return p
}

// stop ends the server with SIGTERM; it must exit with status 0.
func (p *process) stop() {
	if p.stopped {
		return
	}
	p.stopped = true
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the server ended with %v", err)
	}
}

// get fetches a page of the admin address.
func (p *process) get(path string) string {
	p.t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	response, err := client.Get(p.urls["admin"] + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// testWriter shows what a process writes in the test's log.
type testWriter struct {
	t  testing.TB
	mu sync.Mutex
}

func (w *testWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Logf("%s", b)
	return len(b), nil
}

// config is the server's default configuration, on free ports.
const config = `
listeners:
  - websocket: 127.0.0.1:0
  - rawsocket: 127.0.0.1:0
  - rawsocket: unix:%[1]s/blindfold.sock
admin: 127.0.0.1:0
`

// goRun runs a program of this module.
func goRun(pkg string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", append([]string{"run", pkg}, args...)...).CombinedOutput()
	return string(out), err
}
