// Package natstest starts NATS servers for tests.
package natstest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// Server is a nats-server process on the loopback. It ends with the test.
type Server struct {
	URL string
	Dir string // for what it stores, and files of the test
	Cmd *exec.Cmd

	t    testing.TB
	args []string
}

// Program finds nats-server, which .ci/install installs. Without it the test is
// skipped, or fails if every test must run.
func Program(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("nats-server")
	if err != nil {
		testenv.SkipMissing(t, "nats-server is missing: go install github.com/nats-io/nats-server/v2@latest")
	}
	return path
}

// Start starts a server with JetStream.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	return startIn(t, dir, append([]string{"-js", "-sd", filepath.Join(dir, "js")}, args...))
}

// StartPlain starts a server without JetStream.
func StartPlain(t testing.TB, args ...string) *Server {
	t.Helper()
	return startIn(t, t.TempDir(), args)
}

func startIn(t testing.TB, dir string, args []string) *Server {
	t.Helper()
	s := &Server{t: t, Dir: dir}
	s.args = append([]string{Program(t), "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", dir}, args...)
	s.Start()
	return s
}

// Start starts the process again, on the port that it had.
func (s *Server) Start() {
	s.t.Helper()
	s.Cmd = exec.Command(s.args[0], s.args[1:]...)
	if os.Getenv("NATS_LOG") != "" {
		s.Cmd.Stderr = os.Stderr
	}
	if err := s.Cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.Cmd
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if s.URL != "" {
		return
	}
	for deadline := time.Now().Add(20 * time.Second); s.URL == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("nats-server opens no port")
		}
		s.URL = s.readURL()
	}
	s.args[4] = s.URL[strings.LastIndex(s.URL, ":")+1:]
}

func (s *Server) readURL() string {
	files, _ := filepath.Glob(filepath.Join(s.Dir, "*.ports"))
	for _, file := range files {
		b, _ := os.ReadFile(file)
		var ports struct{ NATS []string }
		if json.Unmarshal(b, &ports) == nil && len(ports.NATS) > 0 {
			return ports.NATS[0]
		}
	}
	return ""
}

// Kill ends the process, as a crash would.
func (s *Server) Kill() {
	_ = s.Cmd.Process.Kill()
	_ = s.Cmd.Wait()
}
