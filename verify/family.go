package verify

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// family returns the router's process and all that descend from it: what one of
// them does, the router does. The router's comes first.
func (t *target) family() []int {
	out := []int{t.pid}
	entries, _ := os.ReadDir("/proc") // none but on Linux
	parents := make(map[int]int)
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			if parent, alive := parentOf(pid); alive {
				parents[pid] = parent
			}
		}
	}
	for i := 0; i < len(out); i++ {
		for pid, parent := range parents {
			if parent == out[i] && !slices.Contains(out, pid) {
				out = append(out, pid)
			}
		}
	}
	return out
}

// parentOf reports a process's parent, and whether there still is more of the
// process than its exit status.
func parentOf(pid int) (parent int, alive bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The name, in brackets, may hold anything (proc_pid_stat(5)).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 2 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return parent, err == nil
}

// scan scans the memory of the whole family, and returns its size.
func (t *target) scan(s *scanner, found func(*pattern)) (size int64, err error) {
	for _, pid := range t.family() {
		n, err := scanProcess(pid, s, found)
		if _, alive := parentOf(pid); err != nil && (pid == t.pid || alive) {
			return size, fmt.Errorf("memory of process %d: %w", pid, err)
		}
		size += n
	}
	return size, nil
}

// buildOfOthers looks into the executables of those that the router has started.
func (t *target) buildOfOthers(c *Result) {
	if t.pid == 0 {
		return
	}
	own, _ := fileDigest(fmt.Sprintf("/proc/%d/exe", t.pid))
	for _, pid := range t.family()[1:] {
		path := fmt.Sprintf("/proc/%d/exe", pid)
		if sum, err := fileDigest(path); err == nil && sum == own {
			continue
		}
		names, libraries, err := symbols(path)
		if _, alive := parentOf(pid); !alive {
			continue
		}
		if at := slices.IndexFunc(append(names, libraries...), decrypts); at >= 0 {
			c.fail("process %d, which it has started, holds %s", pid, append(names, libraries...)[at])
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			c.notRun("symbols of process %d, which it has started: %v", pid, err)
		}
	}
}
