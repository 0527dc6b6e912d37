// Package clients has all the clients that seal talk to each other through the
// router: Go, Autobahn|Python with blindfold_seal, Autobahn|JS and wampy.js with
// @blindfold/seal, in Node.js and in a browser.
package clients

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what has to come.
const patience = time.Minute

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if built != "" {
			_ = os.RemoveAll(filepath.Dir(built))
		}
		os.Exit(status)
	}))
}

// built is the server's binary.
var built string

var build = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "blindfold")
	if err != nil {
		return err
	}
	built = filepath.Join(dir, "blindfold")
	if out, err := exec.Command("go", "build", "-o", built, "../../cmd/router").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %v\n%s", err, out)
	}
	return nil
})

// startRouter runs the built server, to which pages of origin may connect, and
// returns the URL of its WebSocket listener.
func startRouter(t *testing.T, origin string) string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("listeners:\n  - {websocket: \"127.0.0.1:0\", origins: [%q]}\nadmin: \"127.0.0.1:0\"\n", origin)
	file := filepath.Join(t.TempDir(), "blindfold.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(built, "--config", file)
	cmd.Stderr = &testWriter{t: t}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		<-done
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	url := ""
	lines := bufio.NewScanner(stdout)
	for url == "" && lines.Scan() {
		for word := range strings.FieldsSeq(lines.Text()) {
			if word = strings.TrimSuffix(word, ","); strings.HasPrefix(word, "ws://") {
				url = word
			}
		}
	}
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, stdout)
	}()
	if url == "" {
		t.Fatal("the server did not say where it listens")
	}
	return url
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

// missing skips the test, or fails it in CI.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
