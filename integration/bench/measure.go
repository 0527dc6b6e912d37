package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

var errLost = errors.New("lost: calls did not end")

// sample is what one run measured.
type sample struct {
	Ops     int64   `json:"ops,omitempty"`         // deliveries or calls
	Seconds float64 `json:"seconds,omitempty"`     // they took
	CPU     float64 `json:"cpu_seconds,omitempty"` // of the server, user and system
	// System calls of the server that read and write, and no others.
	Reads  int64   `json:"reads,omitempty"`
	Writes int64   `json:"writes,omitempty"`
	P50    float64 `json:"p50_us,omitempty"`
	P99    float64 `json:"p99_us,omitempty"`
	// Bytes of resident memory for each idle session: after a garbage
	// collection, and a while later.
	Fresh float64 `json:"bytes_per_session_fresh,omitempty"`
	Later float64 `json:"bytes_per_session_later,omitempty"`
	Error string  `json:"error,omitempty"`
}

func (s *sample) rate() float64 { return per(float64(s.Ops), s.Seconds) }

// cost is the server's CPU time for each delivery or call, in µs.
func (s *sample) cost() float64 { return per(s.CPU*1e6, float64(s.Ops)) }

// calls are the server's reading and writing system calls for each delivery or
// call.
func (s *sample) calls() float64 { return per(float64(s.Reads+s.Writes), float64(s.Ops)) }

func per(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// endpoint is where one run goes: an address, how it is spoken to there, and
// whose CPU time counts.
type endpoint struct {
	address string
	dialect dialect
	pid     int // 0 if unknown
}

// meter measures from when it is made to stop.
type meter struct {
	pid   int
	start time.Time
	cpu   float64

	reads, writes int64
}

func (e endpoint) measure() meter {
	m := meter{pid: e.pid, cpu: cpuSeconds(e.pid)}
	m.reads, m.writes = systemCalls(e.pid)
	m.start = time.Now()
	return m
}

func (m meter) stop(ops int64) sample {
	s := sample{Ops: ops, Seconds: time.Since(m.start).Seconds(), CPU: cpuSeconds(m.pid) - m.cpu}
	s.Reads, s.Writes = systemCalls(m.pid)
	s.Reads -= m.reads
	s.Writes -= m.writes
	return s
}

// cpuSeconds is the user and system time that a process has used, in units of
// 10 ms (proc(5), /proc/pid/stat); 0 if that can't be found out.
func cpuSeconds(pid int) float64 {
	if pid == 0 {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold spaces.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(string(fields[11]), 64)
	system, _ := strconv.ParseFloat(string(fields[12]), 64)
	const ticks = 100 // USER_HZ, on every Linux that Go runs on
	return (user + system) / ticks
}

// resident is the resident memory of a process, in bytes.
func resident(pid int) float64 {
	kB, _ := strconv.ParseFloat(strings.TrimSuffix(field(pid, "status", "VmRSS:"), " kB"), 64)
	return kB * 1024
}

// systemCalls are the calls that read and write, of any kind, that a process has
// made (proc(5), /proc/pid/io); 0 if that can't be found out.
func systemCalls(pid int) (reads, writes int64) {
	reads, _ = strconv.ParseInt(field(pid, "io", "syscr:"), 10, 64)
	writes, _ = strconv.ParseInt(field(pid, "io", "syscw:"), 10, 64)
	return reads, writes
}

// field is what stands behind name in a file of a process's in /proc, or "".
func field(pid int, file, name string) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
