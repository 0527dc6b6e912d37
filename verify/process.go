package verify

import (
	"bufio"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a router that was started here.
type process struct {
	cmd   *exec.Cmd // strace's, or the router's
	pid   int       // the router's
	trace string    // file that strace writes to, "" without
	// untraced says why there is no trace.
	untraced string
	done     chan struct{} // closed when it has ended
	output   sync.WaitGroup
	log      string
	environ  []byte

	mu    sync.Mutex
	lines []string // of its standard output
	last  time.Time
}

// lateOutput is how long what the router said is read after its end.
const lateOutput = time.Second

// placeholder stands for the configuration in the command line of --exec.
const placeholder = "{config}"

// start runs the router, under strace if that is there.
func (t *target) start() error {
	command := slices.Clone(t.o.Exec)
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
	p := &process{done: make(chan struct{}), log: filepath.Join(t.dir, "log"), last: time.Now()}
	full := command
	if p.untraced = straceMissing(); p.untraced == "" {
		p.trace = filepath.Join(t.dir, "trace")
		full = append(straceCommand(p.trace), command...)
	}
	work := filepath.Join(t.dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	if err := p.run(full, work); err != nil {
		return err
	}
	t.process = p
	t.logs, t.data = append(t.logs, p.log), append(t.data, work)
	if p.pid, err = p.find(); err != nil {
		return err
	}
	t.pid = p.pid
	p.environ, _ = os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid)) // none but on Linux
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
func (p *process) run(command []string, dir string) error {
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
		// A child that it leaves behind may hold the pipe for ever.
		_ = stdout.SetReadDeadline(time.Now().Add(lateOutput))
		p.output.Wait()
		_, _ = stdout.Close(), log.Close()
		close(p.done)
	}()
	return nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// lastWords is the end of the log.
func (p *process) lastWords() string {
	content, _ := os.ReadFile(p.log)
	text := strings.TrimSpace(string(content))
	if at := len(text) - 500; at > 0 {
		text = text[at:]
	}
	return text
}

// find returns the router's process id: that of strace's child, which is the
// first to be recorded.
func (p *process) find() (int, error) {
	if p.trace == "" {
		return p.cmd.Process.Pid, nil
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && !p.ended(); time.Sleep(10 * time.Millisecond) {
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
	return 0, errors.New("the router has ended: " + p.lastWords())
}

// discover reads the router's URLs from its standard output.
func (t *target) discover() error {
	p := t.process
	for deadline := time.Now().Add(4 * patience); ; time.Sleep(20 * time.Millisecond) {
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
			return errors.New("the router has ended: " + p.lastWords())
		case time.Now().After(deadline):
			return errors.New("the router does not say where it listens: give --url")
		}
	}
}

// metricsURL returns where the metrics of a router are that prints word: where
// the address alone is given, at the path that is usual.
func metricsURL(word string) string {
	if u, err := url.Parse(word); err == nil && strings.Trim(u.Path, "/") == "" {
		u.Path = "/metrics"
		return u.String()
	}
	return word
}

// stop ends the router.
func (t *target) stop() {
	if t.process == nil || t.process.ended() {
		return
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if router, err := os.FindProcess(t.process.pid); err == nil && t.process.pid > 0 {
			_ = router.Signal(s)
		} else {
			_ = t.process.cmd.Process.Signal(s)
		}
		select {
		case <-t.process.done:
			return
		case <-time.After(2 * patience):
		}
	}
	_ = t.process.cmd.Process.Kill()
	<-t.process.done
}

// straceMissing says why strace cannot be used, or "".
func straceMissing() string {
	if runtime.GOOS != "linux" {
		return "strace is for Linux"
	}
	if _, err := exec.LookPath("strace"); err != nil {
		return "strace is not installed"
	}
	command := append(straceCommand(os.DevNull), "true")
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Sprintf("strace does not work here: %v: %s", err, strings.TrimSpace(string(out)))
	}
	return ""
}
