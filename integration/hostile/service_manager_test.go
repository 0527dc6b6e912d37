package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// What a service manager passes may be no socket, or one that doesn't listen, or
// meant for somebody else: then nothing is started, and the error says so.
func TestServiceManagerInvalidSockets(t *testing.T) {
	null, err := os.Open(os.DevNull)
	routertest.NoError(t, err)
	defer func() { _ = null.Close() }()
	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	routertest.NoError(t, err)
	defer func() { _ = datagrams.Close() }()
	udp, err := datagrams.(*net.UDPConn).File()
	routertest.NoError(t, err)
	defer func() { _ = udp.Close() }()
	unbound, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	routertest.NoError(t, err)
	tcp := os.NewFile(uintptr(unbound), "tcp")
	defer func() { _ = tcp.Close() }()

	file := filepath.Join(t.TempDir(), "blindfold.yaml")
	routertest.NoError(t, os.WriteFile(file, []byte("listeners: [{rawsocket: \"systemd:wamp\"}]\nadmin: 127.0.0.1:0\n"), 0o600))
	for name, c := range map[string]struct {
		pid, fds, names string
		passed          *os.File
		says            string
	}{
		"a file":             {"$$", "1", "wamp", null, "is not a listening socket"},
		"a datagram socket":  {"$$", "1", "wamp", udp, "is not a listening socket"},
		"one not listening":  {"$$", "1", "wamp", tcp, "is not a listening socket"},
		"nothing":            {"$$", "1", "wamp", nil, "is not a listening socket"},
		"fewer than it says": {"$$", "3", "a:b:wamp", udp, "is not a listening socket"},
		"another name":       {"$$", "1", "other", udp, "no socket of that name was passed"},
		"another's":          {"1", "1", "wamp", udp, "passed no socket to this process"},
		"no number":          {"$$", "many", "wamp", udp, "passed no socket to this process"},
		"less than none":     {"$$", "-1", "wamp", udp, "passed no socket to this process"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), routertest.Timeout) // it may start after all
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", `LISTEN_PID=`+c.pid+` exec "$0" --config "$1"`, routertest.RouterBinary(t), file)
		cmd.Env = append(os.Environ(), "LISTEN_FDS="+c.fds, "LISTEN_FDNAMES="+c.names)
		if c.passed != nil {
			cmd.ExtraFiles = []*os.File{c.passed}
		}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 || stdout.Len() > 0 || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%s: %v, %q, %q", name, err, &stdout, &stderr)
		}
	}
}

// Signals come faster than files are written: what is read half is refused, and what
// is there at the end holds. No session notices.
func TestReloadStorm(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p := routertest.StartProcess(t, routertest.ReloadableConfig("com.first.", 1024), logTo(log)...)
	alice := routertest.JoinProcess(t, p, "alice", wamp.JSON)
	may := func(topic wamp.URI) bool {
		alice.Publish(topic, wamp.Attributes{}, alice.Clear(1))
		_, published := alice.Receive().(*wamp.Published)
		return published
	}
	file := p.Cmd.Args[len(p.Cmd.Args)-1]
	for i := range 300 {
		text := routertest.ReloadableConfig(fmt.Sprintf("com.n%d.", i), 1024)
		for _, part := range []string{"", text[:i%len(text)], text[:len(text)/2] + "\x00\xff", text} {
			routertest.NoError(t, os.WriteFile(file, []byte(part), 0o600))
			routertest.NoError(t, p.Cmd.Process.Signal(syscall.SIGHUP))
		}
		may("com.first.x") // she is answered all the while
	}
	routertest.WaitUntil(t, "the last configuration holds", func() bool { return may("com.n299.x") })
	if may("com.first.x") || may("com.n298.x") {
		t.Error("what held before holds still")
	}
	alice.ExpectNothing()
	// Half a file may be a good one, without realms: it does not open the door.
	text := routertest.ReloadableConfig("com.n299.", 1024)
	routertest.NoError(t, os.WriteFile(file, []byte(text[:strings.Index(text, "realms:")]), 0o600))
	routertest.NoError(t, p.Cmd.Process.Signal(syscall.SIGHUP))
	routertest.WaitUntil(t, "half a file is refused", func() bool {
		said, err := os.ReadFile(log)
		return err == nil && bytes.Contains(said, []byte("realms is missing"))
	})
	if may("com.first.x") {
		t.Error("anybody may do anything")
	}
	// A file that is gone changes nothing.
	routertest.NoError(t, os.Remove(file))
	routertest.NoError(t, p.Cmd.Process.Signal(syscall.SIGHUP))
	if !may("com.n299.x") {
		t.Error("without a file there is no permission")
	}
}
