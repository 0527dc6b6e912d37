package verify

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// recorded are the system calls by which bytes come into a process. "?" lets
// strace pass over those that a machine does not have.
var recorded = []string{
	"read", "pread64", "readv", "?preadv", "?preadv2", "recvfrom", "recvmsg", "?recvmmsg",
	"openat", "?openat2", "?open", "mmap", "execve", "?execveat",
	"?io_uring_setup", "?process_vm_readv", "?shmat", "?memfd_create",
}

// unseen are those whose bytes strace does not show.
var unseen = []string{"io_uring_setup", "process_vm_readv", "shmat"}

// straceCommand runs what follows under strace, which writes to file all that
// comes in, in hexadecimal and whole.
func straceCommand(file string) []string {
	return []string{"strace", "-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "33554432",
		"-e", "trace=" + strings.Join(recorded, ","), "-e", "signal=none", "-o", file}
}

// ingress searches all that the router has read since it was started: sockets,
// files, its command line. What never came in cannot have been seen.
func (t *target) ingress(c *Result) {
	switch {
	case t.process == nil:
		c.inapplicable("needs --exec: what a router read before is not known any more")
		return
	case t.process.untraced != "":
		c.notRun("%s", t.process.untraced)
		return
	}
	f, err := os.Open(t.process.trace)
	if err != nil {
		c.notRun("%v", err)
		return
	}
	defer f.Close()
	found := make(finds)
	s := newScanner(t.secrets.sealed(), t.secrets.inClear(), t.payloads)
	in := newIntake(s, found.add)
	if err := in.read(f); err != nil {
		c.notRun("the record of system calls: %v", err)
		return
	}
	in.feed("environment", t.process.environ)
	for _, name := range unseen {
		if in.calls[name] > 0 {
			c.notRun("the router uses %s, which brings in what strace does not show", name)
		}
	}
	t.openedFiles(c, s, in, found)
	for _, what := range found.others(ciphertexts, clearCanary) {
		c.fail("the router has read %s", what)
	}
	c.note("%d system calls recorded, %d B read, from %d sources", in.reads, in.total, len(in.streams))
	c.note("controls: ciphertext found %d times, a canary sent in the clear %d times", found.of(ciphertexts), found.of(clearCanary))
	if found.of(ciphertexts) == 0 || found.of(clearCanary) == 0 {
		c.fail("void: what the router must have read is not in the record: the search shows nothing")
	}
	c.pass("of all that the router has read, nothing is plaintext or a key")
	t.o.Progress(Ingress, 1, 1)
}

// largestFile bounds the files that are searched because the router opened them.
const largestFile = 256 << 20

// openedFiles searches the files that the router opened, since it could have
// mapped them into its memory without reading them.
func (t *target) openedFiles(c *Result, s *scanner, in *intake, found finds) {
	searched := 0
	for _, name := range slices.Compact(slices.Sorted(slices.Values(in.files))) {
		if strings.HasPrefix(name, "/proc/") || strings.HasPrefix(name, "/sys/") {
			continue // its reads are in the record
		}
		t.opened = append(t.opened, name)
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() || slices.Contains(t.logs, name) {
			continue
		}
		if info.Size() > largestFile {
			c.notRun("%s is too large to be searched", name)
			continue
		}
		if err := s.scanFile(name, found.add); err != nil {
			c.notRun("a file that the router opened: %v", err)
		}
		searched++
	}
	c.note("%d files that the router opened or ran were searched", searched)
}

// intake is what comes into a process, by source.
type intake struct {
	s       *scanner
	found   func(*pattern)
	streams map[string]*stream
	calls   map[string]int
	files   []string
	reads   int
	total   int64
	pending map[string]string // by thread: calls that are not finished
}

func newIntake(s *scanner, found func(*pattern)) *intake {
	return &intake{s: s, found: found, streams: make(map[string]*stream), calls: make(map[string]int), pending: make(map[string]string)}
}

// read reads strace's file.
func (in *intake) read(r io.Reader) error {
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			if err := in.line(strings.TrimSuffix(line, "\n")); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var (
	callLine    = regexp.MustCompile(`^([a-z0-9_]+)\(`)
	resumedLine = regexp.MustCompile(`^<\.\.\. [a-z0-9_]+ resumed>`)
	openedPath  = regexp.MustCompile(`= \d+<([^>]*)>\s*$`)
	errTruncate = errors.New("strace has left something out")
)

// line takes one line: a thread's number and a call, or the begin or end of one
// that others came between.
func (in *intake) line(line string) error {
	thread, rest, ok := strings.Cut(line, " ")
	if !ok {
		return nil
	}
	rest = strings.TrimLeft(rest, " ")
	if begin, ok := strings.CutSuffix(rest, " <unfinished ...>"); ok {
		in.pending[thread] = begin
		return nil
	}
	if at := resumedLine.FindStringIndex(rest); at != nil {
		rest = in.pending[thread] + rest[at[1]:]
		delete(in.pending, thread)
	}
	m := callLine.FindStringSubmatch(rest)
	if m == nil {
		return nil // an exit, a signal
	}
	return in.call(m[1], rest)
}

func (in *intake) call(name, text string) error {
	if at := strings.LastIndex(text, " = "); at < 0 || strings.HasPrefix(text[at:], " = -1") {
		return nil
	}
	in.calls[name]++
	in.reads++
	switch name {
	case "openat", "openat2", "open":
		if path := openedPath.FindStringSubmatch(text); path != nil {
			in.files = append(in.files, unescape(path[1]))
		}
		return nil
	case "mmap", "memfd_create":
		return nil
	case "execve", "execveat":
		data, err := quoted(text)
		if err == nil && len(data) > 0 {
			in.files = append(in.files, string(data[0]))
			in.feed("command line", bytes.Join(data, []byte{0}))
		}
		return err
	}
	data, err := quoted(text)
	if err != nil {
		return err
	}
	source := text[strings.IndexByte(text, '(')+1:]
	source, _, _ = strings.Cut(source, ",")
	in.feed(source, bytes.Join(data, nil))
	return nil
}

// feed adds to what came from a source.
func (in *intake) feed(source string, data []byte) {
	in.total += int64(len(data))
	st := in.streams[source]
	if st == nil {
		st = newStream(in.s, in.found)
		in.streams[source] = st
	}
	st.feed(data)
}

// quoted returns the strings in a line of strace -xx.
func quoted(text string) (out [][]byte, err error) {
	for {
		_, rest, ok := strings.Cut(text, `"`)
		if !ok {
			return out, nil
		}
		body, after, ok := strings.Cut(rest, `"`)
		if !ok || strings.HasPrefix(after, "...") {
			return nil, errTruncate
		}
		b, err := hex.DecodeString(strings.ReplaceAll(body, `\x`, ""))
		if err != nil {
			return nil, fmt.Errorf("strace writes what is not understood: %w", err)
		}
		out = append(out, b)
		text = after
	}
}

// unescape returns a path of strace -xx, which escapes it or does not.
func unescape(path string) string {
	if b, err := hex.DecodeString(strings.ReplaceAll(path, `\x`, "")); err == nil && strings.HasPrefix(path, `\x`) {
		return string(b)
	}
	return path
}
