package verify

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A router has ended when it has, whoever of its children goes on, and what it said
// is read.
func TestProcessEndsBeforeItsChildren(t *testing.T) {
	dir := t.TempDir()
	p := &routerProcess{done: make(chan struct{}), log: filepath.Join(dir, "log")}
	if err := p.run([]string{"sh", "-c", "sleep 40 & echo $! said"}, dir); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		t.Error("it is waited for, as long as its child lives")
	}
	log, err := os.ReadFile(p.log)
	child, said, _ := strings.Cut(string(log), " ")
	if err != nil || said != "said\n" {
		t.Errorf("it said %q, %v", log, err)
	}
	endChild(t, child)
}

func endChild(t *testing.T, pid string) {
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if child, err := os.FindProcess(n); err == nil {
		_ = child.Kill()
	}
}
