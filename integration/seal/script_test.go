package seal

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

// TestSeal runs the scripts of testdata/seal: what seal does, command by
// command, as its users see it. Beside testscript's own, there are the commands
//
//	router [CONFIG]          starts cmd/router; $WS, $RS, $UNIX and $ADMIN are its URLs,
//	                         $WS_HOST the host and port in the first
//	shutdown                 ends it; the next one has the same $UNIX
//	serve NAME WORD CMD...   starts a command, and waits until WORD is in what it writes to
//	                         standard error
//	told NAME WORD           waits until WORD is there too
//	await NAME [STATUS]      waits for its end; what it wrote is in NAME.out and NAME.err
//	interrupt NAME           ends it by SIGINT, and awaits status 0
//	status STATUS CMD...     runs a command, which must end with that status
//	seal ARG...              runs seal, as exec does
func TestSeal(t *testing.T) {
	noScriptStops(t)
	bin := filepath.Dir(routertest.SealBinary(t))
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "seal"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Values[servants{}] = map[string]*servant{}
			e.Values[scriptServer{}] = new(*routertest.Process)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"router":    scriptRouter,
			"shutdown":  scriptShutdown,
			"serve":     scriptServe,
			"told":      scriptTold,
			"await":     scriptAwait,
			"interrupt": scriptInterrupt,
			"status":    scriptStatus,
			"seal":      scriptSeal,
		},
		RequireUniqueNames: true,
	})
}

// noScriptStops makes sure that scripts are run to their end: testscript's own
// command "stop" ends one there, as passed.
func noScriptStops(t *testing.T) {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join("testdata", "seal", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if stopCommand.Match(text) {
			t.Errorf("%s is not run to its end", name)
		}
	}
}

var stopCommand = regexp.MustCompile(`(?m)^\s*stop\b`)

// scriptTest is the testing.TB of what a script starts: its failures are the
// script's.
type scriptTest struct {
	testing.TB
	ts *testscript.TestScript
}

func (t scriptTest) Helper()                   {}
func (t scriptTest) Cleanup(f func())          { t.ts.Defer(f) }
func (t scriptTest) Logf(string, ...any)       {}
func (t scriptTest) Errorf(f string, a ...any) { t.ts.Logf(f, a...) }
func (t scriptTest) Fatalf(f string, a ...any) { t.ts.Fatalf(f, a...) }
func (t scriptTest) Fatal(a ...any)            { t.ts.Fatalf("%v", a) }
func (t scriptTest) TempDir() string           { return t.ts.MkAbs(".") }

func scriptRouter(ts *testscript.TestScript, neg bool, args []string) {
	yaml := routertest.Config
	if len(args) > 0 {
		yaml = routertest.Config + ts.ReadFile(args[0])
	}
	p := routertest.StartProcess(scriptTest{ts: ts}, yaml)
	*ts.Value(scriptServer{}).(**routertest.Process) = p
	for name, key := range map[string]string{"WS": "websocket", "RS": "rawsocket", "UNIX": "unix", "ADMIN": "admin"} {
		ts.Setenv(name, p.URLs[key])
	}
	ts.Setenv("WS_HOST", strings.TrimSuffix(strings.TrimPrefix(p.URLs["websocket"], "ws://"), "/ws"))
}

// scriptServer is the key of a script's router.
type scriptServer struct{}

func scriptShutdown(ts *testscript.TestScript, neg bool, args []string) {
	p := *ts.Value(scriptServer{}).(**routertest.Process)
	if p == nil {
		ts.Fatalf("there is no router")
	}
	p.Stop()
}

// servants is the key of a script's commands in the background.
type servants struct{}

type servant struct {
	cmd    *exec.Cmd
	stderr sync.WaitGroup
	ended  bool
}

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: serve NAME WORD CMD...")
	}
	path, err := exec.LookPath(args[2])
	if dir, _, ok := strings.Cut(ts.Getenv("PATH"), string(filepath.ListSeparator)); ok {
		if own := filepath.Join(dir, args[2]); isFile(own) {
			path, err = own, nil
		}
	}
	ts.Check(err)
	s := &servant{cmd: exec.Command(path, args[3:]...)}
	s.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"SEAL_URL", "SEAL_REALM", "SEAL_HOME", "SECRET"} {
		if v := ts.Getenv(name); v != "" {
			s.cmd.Env = append(s.cmd.Env, name+"="+v)
		}
	}
	s.cmd.Env = append(s.cmd.Env, "PATH="+ts.Getenv("PATH"), "HOME="+ts.MkAbs("."))
	out, err := os.Create(ts.MkAbs(args[0] + ".out"))
	ts.Check(err)
	defer out.Close()
	s.cmd.Stdout = out
	stderr, err := s.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	ts.Value(servants{}).(map[string]*servant)[args[0]] = s
	ts.Defer(func() {
		if !s.ended {
			_ = s.cmd.Process.Kill()
			s.stderr.Wait()
			_ = s.cmd.Wait()
		}
	})
	ready := make(chan bool, 1)
	s.stderr.Go(func() { copyUntil(ts.MkAbs(args[0]+".err"), stderr, args[1], ready) })
	select {
	case ok := <-ready:
		if !ok {
			ts.Fatalf("%s ended:\n%s", args[0], ts.ReadFile(args[0]+".err"))
		}
	case <-time.After(routertest.Timeout):
		ts.Fatalf("%s is not ready", args[0])
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// copyUntil copies to a file, and tells whether the word came.
func copyUntil(name string, r io.Reader, word string, ready chan<- bool) {
	f, err := os.Create(name)
	if err != nil {
		ready <- false
		return
	}
	defer f.Close()
	seen := false
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		_, _ = f.WriteString(line)
		if !seen && strings.Contains(line, word) {
			seen = true
			ready <- true
		}
		if err != nil {
			break
		}
	}
	if !seen {
		ready <- false
	}
}

func scriptTold(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(routertest.Timeout); !strings.Contains(ts.ReadFile(args[0]+".err"), args[1]); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not say %q:\n%s", args[0], args[1], ts.ReadFile(args[0]+".err"))
		}
	}
}

func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	want := "0"
	if len(args) > 1 {
		want = args[1]
	}
	s := ts.Value(servants{}).(map[string]*servant)[args[0]]
	if s == nil {
		ts.Fatalf("there is no %s", args[0])
	}
	kill := time.AfterFunc(routertest.Timeout, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	s.stderr.Wait()
	got := statusText(s.cmd.Wait())
	s.ended = true
	if got != want {
		ts.Fatalf("%s ended with status %s, not %s\n%s%s", args[0], got, want, ts.ReadFile(args[0]+".out"), ts.ReadFile(args[0]+".err"))
	}
}

func statusText(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "0"
	case errors.As(err, &exit):
		return strings.TrimPrefix(exit.String(), "exit status ")
	}
	return err.Error()
}

func scriptInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(servants{}).(map[string]*servant)[args[0]]
	if s == nil {
		ts.Fatalf("there is no %s", args[0])
	}
	ts.Check(s.cmd.Process.Signal(os.Interrupt))
	scriptAwait(ts, neg, args)
}

func scriptSeal(ts *testscript.TestScript, neg bool, args []string) {
	switch err := ts.Exec("seal", args...); {
	case err == nil && neg:
		ts.Fatalf("unexpected success")
	case err != nil && !neg:
		ts.Fatalf("%v", err)
	}
}

func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	got := statusText(ts.Exec(args[1], args[2:]...))
	if got != args[0] {
		ts.Fatalf("status %s, not %s", got, args[0])
	}
}

var sealCommand = regexp.MustCompile(`(?m)^\s*(?:\$ )?(seal [a-z]+ [^\n#]*)`)

// Every command of seal that the README shows is run by a script, word by word.
func TestReadmeCommandsAreRun(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "seal", "readme.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range sealCommand.FindAllStringSubmatch(string(readme), -1) {
		if command := strings.TrimSpace(m[1]); !strings.Contains(string(script), command) {
			t.Errorf("no script runs %q", command)
		}
	}
}
