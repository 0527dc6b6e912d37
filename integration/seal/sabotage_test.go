//go:build linux

package seal

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/blindfold-wamp/blindfold/internal/memorytest"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// buildSabotaged builds the sabotaged routers.
var buildSabotaged = sync.OnceValues(func() (string, error) { return routertest.Build("sabotage", "", "../sabotage/...") })

// sabotage runs seal verify on a sabotaged router: binary -as name. options are
// those of seal verify. The private key of the originator, masked, is in the router's
// environment.
func sabotage(t *testing.T, env []string, binary, name string, options ...string) *verdict {
	t.Helper()
	needStrace(t)
	dir, err := buildSabotaged()
	if err != nil {
		t.Fatal(err)
	}
	keyring, key := newKeyring(t)
	env = append(env, "SABOTAGE_KEYRING="+keyring, "SABOTAGE_SECRET="+hex.EncodeToString(memorytest.Mask(key)), "TMPDIR="+t.TempDir())
	options = append(options, "--keyring", keyring, "--exec", filepath.Join(dir, binary), "-as", name, "--config", "{config}")
	return verify(t, env, options...)
}

// newKeyring makes a keyring, and returns its file and a private key in it.
func newKeyring(t *testing.T) (file string, key []byte) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "k.json")
	if out, err := exec.Command(routertest.SealBinary(t), "keygen", "--out", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var ring struct {
		Keys []struct{ Originator struct{ Private string } }
	}
	if err := json.Unmarshal(content, &ring); err != nil {
		t.Fatal(err)
	}
	if key, err = base64.StdEncoding.DecodeString(ring.Keys[0].Originator.Private); err != nil || len(key) != 32 {
		t.Fatalf("%d B, %v", len(key), err)
	}
	return file, key
}

// Every sabotaged router is found out, by the check that is there for it. What
// else may fail is what cannot but fail with it.
func TestVerifySabotaged(t *testing.T) {
	testenv.SkipSlow(t, "two minutes")
	for _, s := range []struct {
		binary, name string
		messages     int
		fails        []string
	}{
		{"keyless", "log-payloads", 100, []string{"non-interference", "residue"}},
		{"keyholder", "open", 100, []string{"memory", "residue", "ingress", "build"}},
		{"keyholder", "pass-what-opens", 100, []string{"byte identity", "non-interference", "memory", "residue", "ingress", "build"}},
		{"keyless", "re-encode", 100, []string{"byte identity"}},
		{"keyless", "flip-bits", 2000, []string{"byte identity"}},
		{"keyless", "drop-some", 1000, []string{"byte identity"}},
		{"keyless", "allow-clear", 100, []string{"refusals"}},
		{"keyless", "skip-validation", 100, []string{"refusals"}},
		{"keyless", "convert", 100, []string{"refusals"}},
		{"keyless", "refuse-all", 100, []string{"refusals"}},
		{"keyless", "refuse-strangers", 100, []string{"refusals"}},
		{"keyless", "keep-in-data", 100, []string{"residue"}},
		{"keyless", "keep-in-temporary-file", 100, []string{"residue"}},
		{"keyless", "keep-in-removed-file", 100, []string{"residue"}},
		{"keyless", "echo-in-error", 100, []string{"residue"}},
		{"keyless", "echo-in-close-frame", 100, []string{"residue"}},
		{"keyless", "count-payloads", 100, []string{"non-interference"}},
		{"keyless", "alter-large", 100, []string{"byte identity", "non-interference"}},
		{"keyless", "alter-late", 2000, []string{"byte identity"}},
		{"keyless", "delegate", 100, []string{"memory", "residue", "ingress", "build"}},
		{"keyless", "delegate-to-orphan", 100, []string{"memory", "residue", "ingress", "build"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			v := sabotage(t, nil, s.binary, s.name, "--messages", strconv.Itoa(s.messages))
			v.want(t, 1, "fail", s.fails...)
			for _, outcome := range []string{"not run", ""} {
				if names := v.with(outcome); names != nil {
					t.Errorf("%q: %q", outcome, names)
				}
			}
		})
	}
}

// Stripping hides no code that decrypts: Go keeps a table of functions.
func TestVerifyStripped(t *testing.T) {
	testenv.SkipSlow(t, "ten seconds")
	dir, err := routertest.Build("sabotage", "-s -w", "../sabotage/...")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	server := routertest.StartProcess(t, routertest.Config)
	v := verify(t, nil, "--only", "build", "--url", server.URLs["rawsocket"], "--binary", filepath.Join(dir, "keyholder"))
	v.want(t, 1, "fail", "build")
	v.wantOnly(t, "build", "fail", "the executable holds")
}

// A router with other error URIs than ours is as good as ours.
func TestVerifyOtherErrorURIs(t *testing.T) {
	testenv.SkipSlow(t, "ten seconds")
	sabotage(t, nil, "keyless", "other-error-uris", "--messages", "100").want(t, 0, "pass", allChecks...)
}

// wantOnly expects the outcome of the only check that was run, and a text in its summary.
func (v *verdict) wantOnly(t *testing.T, check, outcome, text string) {
	t.Helper()
	for _, c := range v.Checks {
		if c.Check == check && (c.Status != outcome || !strings.Contains(strings.Join(append(c.Evidence, c.Summary), "\n"), text)) {
			t.Errorf("%s: %s, %s, not %s, %s", check, c.Status, c.Summary, outcome, text)
			v.tell(t)
		}
	}
}

// A key in memory of any kind is found, and memory that cannot be read makes the
// check not run.
func TestVerifyHiddenKey(t *testing.T) {
	testenv.SkipSlow(t, "fifteen seconds")
	for _, kind := range memorytest.Kinds {
		t.Run(strings.Trim(kind, "/"), func(t *testing.T) {
			v := sabotage(t, []string{"SABOTAGE_BY=" + kind}, "keyless", "hide-key", "--only", "memory")
			if kind == memorytest.MemfdSecret {
				v.want(t, 7, "pass")
				v.wantOnly(t, "memory", "not run", "there is memory that cannot be read")
				return
			}
			v.want(t, 1, "fail", "memory")
			v.wantOnly(t, "memory", "fail", "found in the router's memory: the originator's private key")
		})
	}
}

// A key that comes in is found, by whatever way it does, or the check is not run.
func TestVerifyTakenIn(t *testing.T) {
	testenv.SkipSlow(t, "half a minute")
	const found = "the router has read the originator's private key"
	for way, text := range map[string]string{
		"readlink":             found,
		"getxattr":             found,
		"getdents":             found,
		"msgrcv":               found,
		"mq_timedreceive":      found,
		"accept":               found,
		"received descriptor":  "mmap of a descriptor that it has not opened itself",
		"removed file":         "mmap of a file that has no name any more",
		"keyctl":               "by keyctl",
		"splice":               "by splice to a file",
		"vmsplice":             "by vmsplice",
		"sendfile":             "by sendfile to a file",
		"copy_file_range":      "by copy_file_range to a file",
		"io_submit":            "by io_submit",
		"io_uring":             "by io_uring_setup",
		"pidfd_getfd":          "by pidfd_getfd",
		"ptrace":               "by ptrace",
		"process_vm_readv":     "by process_vm_readv",
		"shmat":                "by shmat",
		"inherited descriptor": "",
	} {
		t.Run(way, func(t *testing.T) {
			env := []string{"SABOTAGE_BY=" + way}
			switch way {
			case "ptrace":
				env = append(env, "SABOTAGE_PID="+strconv.Itoa(sleeping(t)))
			case "received descriptor":
				env = append(env, "SABOTAGE_SOCKET="+handOut(t))
			case "inherited descriptor":
				env = append(env, "SABOTAGE_FD="+inheritable(t))
			}
			v := sabotage(t, env, "keyless", "take-in", "--only", "ingress")
			switch text {
			case "": // the router gets none
				v.wantOnly(t, "ingress", "pass", "")
			case found:
				v.want(t, 1, "fail", "ingress")
				v.wantOnly(t, "ingress", "fail", text)
			default:
				v.want(t, 7, "pass")
				v.wantOnly(t, "ingress", "not run", text)
			}
		})
	}
}

// sleeping starts a process that sleeps, and returns its number.
func sleeping(t *testing.T) int {
	t.Helper()
	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	return other.Process.Pid
}

// handOut listens at a socket, whose path it returns, and sends a descriptor of a
// file to whoever connects.
func handOut(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	f := notes(t)
	var handing sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		handing.Wait()
	})
	handing.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			_, _, _ = c.WriteMsgUnix([]byte{0}, unix.UnixRights(int(f.Fd())), nil)
			_ = c.Close()
		}
	})
	return path
}

// inheritable returns the number of a descriptor that programs started from here
// inherit.
func inheritable(t *testing.T) string {
	t.Helper()
	fd, err := unix.Dup(int(notes(t).Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return strconv.Itoa(fd)
}

// notes returns a file with something in it.
func notes(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "notes"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteString(strings.Repeat("notes ", 100)); err != nil {
		t.Fatal(err)
	}
	return f
}
