package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// verdict is what seal verify --json prints.
type verdict struct {
	Verdict string
	Ran     int
	Checks  []struct {
		Check, Status, Summary string
		Evidence               []string
	}
	exit int
}

// with returns the names of the checks that have the status.
func (v *verdict) with(status string) (names []string) {
	for _, c := range v.Checks {
		if c.Status == status {
			names = append(names, c.Check)
		}
	}
	return names
}

func (v *verdict) tell(t *testing.T) {
	t.Helper()
	for _, c := range v.Checks {
		t.Logf("%s: %s: %s\n\t%s", c.Check, c.Status, c.Summary, strings.Join(c.Evidence, "\n\t"))
	}
}

// verify runs seal verify.
func verify(t *testing.T, env []string, args ...string) *verdict {
	t.Helper()
	cmd := exec.Command(routertest.SealBinary(t), append([]string{"verify", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	v := &verdict{}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		v.exit = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(stdout.Bytes(), v); err != nil {
		t.Fatalf("exit status %d: %v\n%s%s", v.exit, err, stdout.String(), stderr.String())
	}
	return v
}

// want expects an exit status, the verdict that goes with it, and the names of all
// checks with that outcome.
func (v *verdict) want(t *testing.T, exit int, outcome string, checks ...string) {
	t.Helper()
	verdict := map[int]string{0: "blind", 1: "not blind", 7: "incomplete"}[exit]
	if got := v.with(outcome); v.exit != exit || !slices.Equal(got, checks) || v.Verdict != verdict {
		t.Errorf("exit status %d, %s; %s: %q, not %q", v.exit, v.Verdict, outcome, got, checks)
		v.tell(t)
	}
}

var allChecks = []string{"byte identity", "non-interference", "memory", "residue", "ingress", "build", "refusals"}

// needStrace skips the test where strace is not installed; in CI that is a
// failure.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		testenv.SkipMissing(t, "strace is not installed: apt-get install strace")
	}
}

// The router holds, in every check and over ten thousand messages.
func TestVerifyRouter(t *testing.T) {
	needStrace(t)
	dir := filepath.Dir(routertest.SealBinary(t))
	v := verify(t, nil, "--messages", "10000", "--exec", filepath.Join(dir, "router"))
	v.want(t, 0, "pass", allChecks...)
	for _, c := range v.Checks { // what stays the same because nothing is looked at shows nothing
		if c.Check == "non-interference" && (len(c.Evidence) == 0 || strings.Contains(c.Evidence[0], "; 0 metrics")) {
			t.Errorf("%s: %q", c.Check, c.Evidence)
		}
	}
}

// What could not be run is told, counts, and never passes.
func TestVerifyNotRun(t *testing.T) {
	testenv.SkipSlow(t, "ten seconds")
	router := filepath.Join(filepath.Dir(routertest.SealBinary(t)), "router")
	t.Run("without strace", func(t *testing.T) {
		v := verify(t, []string{"PATH=" + t.TempDir()}, "--messages", "6", "--exec", router)
		v.want(t, 7, "not run", "ingress")
		v = verify(t, []string{"PATH=" + t.TempDir()}, "--messages", "6", "--optional", "ingress", "--exec", router)
		if v.exit != 0 || v.Verdict != "incomplete" || v.Ran != 6 { // it does not matter, and it was not run all the same
			t.Errorf("exit status %d, %s, %d run", v.exit, v.Verdict, v.Ran)
		}
	})
	t.Run("stripped", func(t *testing.T) {
		needStrace(t)
		dir, err := routertest.Build("", "-s -w", "../../cmd/router")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		v := verify(t, nil, "--messages", "6", "--exec", filepath.Join(dir, "router"))
		v.want(t, 7, "not run", "build")
	})
}

// needOthersMemory skips the test where one may not read the memory of processes
// that are not one's children.
func needOthersMemory(t *testing.T) {
	t.Helper()
	scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err == nil && strings.TrimSpace(string(scope)) != "0" && os.Geteuid() != 0 {
		testenv.SkipMissing(t, "kernel.yama.ptrace_scope forbids it: run as root, or set it to 0")
	}
}

// A router that runs already: all but what came in before can be checked, if one
// knows its process; and another process is not taken for it.
func TestVerifyPID(t *testing.T) {
	testenv.SkipSlow(t, "ten seconds")
	needOthersMemory(t)
	server := routertest.StartProcess(t, routertest.Config)
	pid := strconv.Itoa(server.Cmd.Process.Pid)
	where := []string{"--messages", "60", "--url", server.URLs["rawsocket"], "--metrics", server.URLs["admin"] + "/metrics"}
	v := verify(t, nil, append(where, "--pid", pid, "--binary", routertest.RouterBinary(t))...)
	v.want(t, 7, "not run", "ingress")

	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	v = verify(t, nil, append(where, "--pid", strconv.Itoa(other.Process.Pid), "--binary", routertest.RouterBinary(t))...)
	v.want(t, 1, "fail", "memory", "build")
	v.wantSummary(t, "memory", "void: not even the ciphertext is found")
	v.wantSummary(t, "build", "runs another executable")
}

func (v *verdict) wantSummary(t *testing.T, check, text string) {
	t.Helper()
	for _, c := range v.Checks {
		if c.Check == check && !strings.Contains(c.Summary, text) {
			t.Errorf("%s: %s", check, c.Summary)
		}
	}
}

// A key that somebody left in the router's environment is found, though the
// router itself is ours and looks at nothing.
func TestVerifyKeyInEnvironment(t *testing.T) {
	needStrace(t)
	dir := t.TempDir()
	keyring := filepath.Join(dir, "k.json")
	if out, err := exec.Command(routertest.SealBinary(t), "keygen", "--out", keyring).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(keyring)
	if err != nil {
		t.Fatal(err)
	}
	router := filepath.Join(filepath.Dir(routertest.SealBinary(t)), "router")
	v := verify(t, []string{"NOTES=" + string(content)}, "--messages", "6", "--keyring", keyring, "--exec", router)
	v.want(t, 1, "fail", "memory", "residue", "ingress")
}
