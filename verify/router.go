package verify

import (
	"bufio"
	"debug/buildinfo"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/blindfold-wamp/blindfold/verify/internal/process"
	"github.com/blindfold-wamp/blindfold/verify/internal/strace"
)

// routerProcess is a router that Run has started.
type routerProcess struct {
	cmd   *exec.Cmd // strace's, or the router's
	pid   int       // the router's
	trace string    // file that strace writes to, "" without
	// untraced says why strace does not record it.
	untraced string
	done     chan struct{} // noTranscoder when it has ended
	output   sync.WaitGroup
	log      string

	mu    sync.Mutex
	lines []string // of its standard output
	last  time.Time
}

// lateOutput is how long the output of the router is read after its end.
const lateOutput = time.Second

// placeholder stands for the path of a configuration in Target.Command.
const placeholder = "{config}"

// start runs the router, under strace if it is installed.
func (t *tester) start() error {
	command := slices.Clone(t.o.Command)
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	command[0] = path
	if len(command) == 1 && isOurs(path) {
		command = append(command, "--config", placeholder)
	}
	if at := slices.Index(command, placeholder); at >= 0 {
		if command[at], err = t.configuration(); err != nil {
			return err
		}
	}
	p := &routerProcess{done: make(chan struct{}), log: filepath.Join(t.dir, "log"), last: time.Now()}
	full := command
	if p.untraced = strace.Missing(); p.untraced == "" {
		p.trace = filepath.Join(t.dir, "trace")
		full = append(strace.Command(p.trace), command...)
	}
	work := filepath.Join(t.dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	if err := p.run(full, work); err != nil {
		return err
	}
	t.router = p
	t.logs, t.data = append(t.logs, p.log), append(t.data, work)
	if p.pid, err = p.find(); err != nil {
		return err
	}
	t.pid = p.pid
	if len(t.urls) == 0 {
		return t.discover()
	}
	return nil
}

// isOurs reports whether the binary is a router of this project, which takes
// --config.
func isOurs(path string) bool {
	info, err := buildinfo.ReadFile(path)
	return err == nil && info.Main.Path == "github.com/blindfold-wamp/blindfold"
}

// run starts the command. Both of its outputs go to the log.
func (p *routerProcess) run(command []string, dir string) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	stdout, its, err := os.Pipe()
	if err != nil {
		_ = log.Close()
		return err
	}
	p.cmd = exec.Command(command[0], command[1:]...)
	process.KeepDescriptors()
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, its, log
	err = p.cmd.Start()
	_ = its.Close()
	if err != nil {
		_, _ = stdout.Close(), log.Close()
		return err
	}
	p.output.Go(func() {
		lines := bufio.NewReader(stdout)
		for {
			line, err := lines.ReadString('\n')
			_, _ = log.WriteString(line)
			p.mu.Lock()
			p.lines, p.last = append(p.lines, line), time.Now()
			p.mu.Unlock()
			if err != nil {
				break
			}
		}
		_, _ = io.Copy(log, lines)
	})
	go func() {
		_ = p.cmd.Wait()
		// A child that outlives it may keep the pipe open.
		_ = stdout.SetReadDeadline(time.Now().Add(lateOutput))
		p.output.Wait()
		_, _ = stdout.Close(), log.Close()
		close(p.done)
	}()
	return nil
}

func (p *routerProcess) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// endedError says that the router has ended, with the end of its log.
func (p *routerProcess) endedError() error {
	content, _ := os.ReadFile(p.log)
	text := strings.TrimSpace(string(content))
	if at := len(text) - 500; at > 0 {
		text = text[at:]
	}
	return errors.New("the router has ended: " + text)
}

// find returns the router's process id: that of strace's child, which is the
// first to be recorded.
func (p *routerProcess) find() (int, error) {
	if p.trace == "" {
		return p.cmd.Process.Pid, nil
	}
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline) && !p.ended(); time.Sleep(10 * time.Millisecond) {
		f, err := os.Open(p.trace)
		if err != nil {
			continue
		}
		line, err := bufio.NewReader(f).ReadString('\n')
		_ = f.Close()
		if pid, ok := strings.CutSuffix(line, "\n"); ok && err == nil {
			number, _, _ := strings.Cut(pid, " ")
			return strconv.Atoi(number)
		}
	}
	return 0, p.endedError()
}

// discover reads the router's URLs from its standard output.
func (t *tester) discover() error {
	p := t.router
	for deadline := time.Now().Add(4 * timeout); ; time.Sleep(20 * time.Millisecond) {
		p.mu.Lock()
		lines, quiet := slices.Clone(p.lines), time.Since(p.last) > 300*time.Millisecond
		p.mu.Unlock()
		t.urls = nil
		for word := range strings.FieldsSeq(strings.Join(lines, " ")) {
			word = strings.TrimRight(word, ",;")
			switch scheme, _, _ := strings.Cut(word, ":"); scheme {
			case "ws", "rs":
				t.urls = append(t.urls, word)
			case "http":
				if t.metrics == "" {
					t.metrics = metricsURL(word)
				}
			}
		}
		switch {
		case len(t.urls) > 0 && quiet:
			return nil
		case p.ended():
			return p.endedError()
		case time.Now().After(deadline):
			return errors.New("the router does not print where it listens: its URL must be given")
		}
	}
}

// metricsURL returns the URL of a router's metrics, of which it prints word. Where
// that has no path, it is the usual one.
func metricsURL(word string) string {
	if u, err := url.Parse(word); err == nil && strings.Trim(u.Path, "/") == "" {
		u.Path = "/metrics"
		return u.String()
	}
	return word
}

// stop ends the router.
func (t *tester) stop() {
	if t.router == nil || t.router.ended() {
		return
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if router, err := os.FindProcess(t.router.pid); err == nil && t.router.pid > 0 {
			_ = router.Signal(s)
		} else {
			_ = t.router.cmd.Process.Signal(s)
		}
		select {
		case <-t.router.done:
			return
		case <-time.After(2 * timeout):
		}
	}
	_ = t.router.cmd.Process.Kill()
	<-t.router.done
}
