package process

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/blindfold-wamp/blindfold/internal/memorytest"
	"github.com/blindfold-wamp/blindfold/verify/internal/search"
)

// hideVariable makes the test program a process that keeps a secret in memory of
// the kind that it names.
const hideVariable = "BLINDFOLD_TEST_HIDE"

func TestMain(m *testing.M) {
	if kind := os.Getenv(hideVariable); kind != "" {
		if err := hide(kind); err != nil {
			os.Stdout.WriteString("error: " + err.Error() + "\n")
		}
		return
	}
	os.Exit(m.Run())
}

// hide keeps the secret in memory of one kind until its standard input ends.
func hide(kind string) error {
	masked, err := hex.DecodeString(os.Getenv("BLINDFOLD_TEST_SECRET"))
	if err == nil {
		err = memorytest.Keep(kind, masked)
	}
	if err != nil {
		return err
	}
	os.Stdout.WriteString("ready\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// hiding starts a process that keeps secret in memory of that kind.
func hiding(t *testing.T, kind string, secret []byte) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{hideVariable + "=" + kind, "BLINDFOLD_TEST_SECRET=" + hex.EncodeToString(memorytest.Mask(secret))}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	answer := make([]byte, 200)
	n, _ := out.Read(answer)
	switch text := strings.TrimSpace(string(answer[:n])); text {
	case "ready":
	case "error: unsupported operation":
		t.Skip("the kernel has no memory of this kind")
	default:
		t.Fatalf("%q", text)
	}
	return cmd
}

func secretOf(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// A secret in memory of any kind is found, or it is said that there is memory
// which cannot be read.
func TestScanMemory(t *testing.T) {
	for _, kind := range memorytest.Kinds {
		t.Run(strings.Trim(kind, "/"), func(t *testing.T) {
			secret := secretOf(32)
			cmd := hiding(t, kind, secret)
			found := make(search.Hits)
			m, err := ScanMemory(cmd.Process.Pid, search.New([]search.Pattern{{Bytes: secret, Name: "secret", Encoding: "raw"}}), found.Add)
			if err != nil || m.Size < 100<<10 {
				t.Fatalf("%d B, %v", m.Size, err)
			}
			if kind == memorytest.MemfdSecret {
				if len(m.Unread) != 1 || !strings.Contains(m.Unread[0], "secretmem") || len(found) > 0 {
					t.Errorf("found %v, unread %q", found, m.Unread)
				}
				return
			}
			if found.Of("secret") == 0 || m.Unread != nil {
				t.Errorf("found %v, unread %q", found, m.Unread)
			}
		})
	}
}

// What is not there is not found, and a process that is not there is an error.
func TestScanMemoryFindsNothing(t *testing.T) {
	cmd := hiding(t, "private", secretOf(32))
	found := make(search.Hits)
	m, err := ScanMemory(cmd.Process.Pid, search.New([]search.Pattern{{Bytes: secretOf(32), Name: "secret", Encoding: "raw"}}), found.Add)
	if err != nil || len(found) > 0 || m.Unread != nil || m.Size < 100<<10 {
		t.Errorf("%+v, %v, %v", m, found, err)
	}
	if _, err := ScanMemory(1<<22+1, search.New(), found.Add); err == nil {
		t.Error("there is no such process")
	}
}

// Pages of a mapping behind the end of its file hold nothing: they are no memory
// that cannot be read.
func TestScanMemoryBehindAFile(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/short")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("only this"); err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, 1<<20, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(m) }()
	seen, err := ScanMemory(os.Getpid(), search.New(), func(*search.Pattern) {})
	if err != nil || seen.Unread != nil {
		t.Errorf("%+v, %v", seen, err)
	}
}

func TestParseMapping(t *testing.T) {
	for line, want := range map[string]mapping{
		"c000000000-c000400000 rw-p 00000000 00:00 0":                               {0xc000000000, 0xc000400000, "rw-p", 0, "00:00", 0, ""},
		"00400000-00401000 r--p 00002000 08:01 42    /a b (deleted)":                {0x400000, 0x401000, "r--p", 0x2000, "08:01", 42, "/a b (deleted)"},
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0        [vsyscall]": {0xffffffffff600000, 0xffffffffff601000, "--xp", 0, "00:00", 0, "[vsyscall]"},
	} {
		if got, err := parseMapping(line); got != want || err != nil {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"", "c000000000 rw-p 0 00:00 0", "x-y rw-p 0 00:00 0"} {
		if _, err := parseMapping(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

// A process's descendants belong to it: what only one of them holds is found.
func TestTree(t *testing.T) {
	secret := secretOf(32)
	child := hiding(t, "private", secret)
	if tree := Tree(os.Getpid()); len(tree) != 2 || tree[0] != os.Getpid() || tree[1] != child.Process.Pid {
		t.Fatalf("%d has %v, not %d", os.Getpid(), tree, child.Process.Pid)
	}
	shell := exec.Command("sh", "-c", "cat; :") // a shell that starts another process
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		_ = shell.Wait()
	}()
	if _, err := in.Write(secret); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len(secret))); err != nil {
		t.Fatal(err)
	}
	found := make(search.Hits)
	if _, err := ScanTree(shell.Process.Pid, search.New([]search.Pattern{{Bytes: secret, Name: "secret", Encoding: "raw"}}), found.Add); err != nil {
		t.Fatal(err)
	}
	if found.Of("secret") == 0 {
		t.Error("what only the other process has read is not found")
	}
}

// A file without a name that is open is among the open ones.
func TestOpenFiles(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	for _, open := range OpenFiles(os.Getpid()) {
		if strings.HasPrefix(open.Name, f.Name()) {
			return
		}
	}
	t.Errorf("%s is not among %v", f.Name(), OpenFiles(os.Getpid()))
}
