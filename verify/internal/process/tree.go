// Package process looks into running processes and their executables: their
// memory, their open files, their descendants, and their symbols.
package process

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Tree returns a process and all that descend from it, that process first. What a
// descendant of a router does, the router does. One whose parent has ended has
// another parent; while the process is traced (strace -f), it still has the same
// tracer, and so belongs to it, too.
func Tree(pid int) []int {
	out := []int{pid}
	tracer := tracerOf(pid)
	entries, _ := os.ReadDir("/proc") // none but on Linux
	parents := make(map[int]int)
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil || child == os.Getpid() || child == pid {
			continue
		}
		parent, alive := parentOf(child)
		if !alive {
			continue
		}
		parents[child] = parent
		if tracer > 0 && tracerOf(child) == tracer {
			out = append(out, child)
		}
	}
	for i := 0; i < len(out); i++ {
		for child, parent := range parents {
			if parent == out[i] && !slices.Contains(out, child) {
				out = append(out, child)
			}
		}
	}
	return out
}

// tracerOf returns the process that traces another one, 0 if none does.
func tracerOf(pid int) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "\nTracerPid:")
	number, _, _ := strings.Cut(rest, "\n")
	tracer, _ := strconv.Atoi(strings.TrimSpace(number))
	return tracer
}

// Alive reports whether there is more of a process than its exit status.
func Alive(pid int) bool {
	_, alive := parentOf(pid)
	return alive
}

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

// Executable returns a path at which the executable of a process can be read.
func Executable(pid int) string { return fmt.Sprintf("/proc/%d/exe", pid) }

// OpenFile is a regular file that a process has open.
type OpenFile struct {
	Path string // at which it can be read, whether or not it still has a name
	Name string // as the kernel knows it
}

// OpenFiles returns the regular files that a process has open, those without a
// name included: removed ones, and memory files.
func OpenFiles(pid int) (out []OpenFile) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := os.Stat(dir + e.Name())
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		name, _ := os.Readlink(dir + e.Name())
		if strings.HasPrefix(name, "anon_inode:") {
			continue // an event queue, say: it is of no type at all
		}
		out = append(out, OpenFile{dir + e.Name(), name})
	}
	return out
}
