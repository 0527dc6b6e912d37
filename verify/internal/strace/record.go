package strace

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Record is what strace has recorded of a process and its children.
type Record struct {
	Calls int   // system calls by which something came in
	Bytes int64 // that came in

	// Opened are the files that were opened or run, each once; Mapped those that were
	// mapped into memory, as often as they were.
	Opened, Mapped []string
	// Hidden says in which ways bytes came in that the record does not show, each
	// once. Where it is not empty, a search of the record proves nothing.
	Hidden []string

	input   func(source string, data []byte)
	pending map[string]string // calls that have not returned, by thread
	opened  map[string]bool
}

// ErrIncomplete is a record in which strace has left something out.
var ErrIncomplete = errors.New("strace has left something out of its record")

// Read reads the file that strace has written. input gets what came in, in
// order, with a name for where it came from; it may not keep data.
func Read(file io.Reader, input func(source string, data []byte)) (*Record, error) {
	r := &Record{input: input, pending: make(map[string]string), opened: make(map[string]bool)}
	lines := bufio.NewReaderSize(file, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			if err := r.line(strings.TrimSuffix(line, "\n")); err != nil {
				return nil, err
			}
		}
		if err == io.EOF {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

var (
	callLine    = regexp.MustCompile(`^([a-z0-9_]+)\(`)
	resumedLine = regexp.MustCompile(`^<\.\.\. [a-z0-9_]+ resumed>`)
	// A descriptor that a call returns, and what it leads to.
	returned = regexp.MustCompile(` = \d+<([^>]*)>(\(deleted\))?\s*$`)
	// A descriptor among the arguments.
	descriptor = regexp.MustCompile(`\d+<([^>]*)>(\(deleted\))?`)
)

// line takes one line: a thread's number and a call, or the begin or the end of
// one during which others came.
func (r *Record) line(line string) error {
	thread, rest, ok := strings.Cut(line, " ")
	if !ok {
		return nil
	}
	rest = strings.TrimLeft(rest, " ")
	if begin, ok := strings.CutSuffix(rest, " <unfinished ...>"); ok {
		r.pending[thread] = begin
		return nil
	}
	if at := resumedLine.FindStringIndex(rest); at != nil {
		rest = r.pending[thread] + rest[at[1]:]
		delete(r.pending, thread)
	}
	m := callLine.FindStringSubmatch(rest)
	if m == nil {
		return nil // an exit, a signal
	}
	return r.call(m[1], rest)
}

func (r *Record) call(name, text string) error {
	if at := strings.LastIndex(text, " = "); at < 0 || strings.HasPrefix(text[at:], " = -1") {
		return nil // it failed, so nothing came in
	}
	r.Calls++
	switch calls[name] {
	case intoMemory:
		data, err := quoted(text)
		r.feed(firstArgument(text), bytes.Join(data, nil))
		return err
	case asValue:
		data, err := quoted(text)
		r.feed(name, bytes.Join(append(data, nil), []byte{0}))
		return err
	case opensFile:
		if at := returned.FindStringSubmatch(text); at != nil {
			r.open(path(at))
		}
	case mapsFile:
		r.mapping(text)
	case runsProgram:
		data, err := quoted(text)
		if len(data) > 0 {
			r.open(string(data[0]))
		}
		r.feed("command line", bytes.Join(append(data, nil), []byte{0}))
		return err
	case betweenFiles:
		if to := target(name, text); !strings.HasPrefix(to, "socket:") && !strings.HasPrefix(to, "pipe:") {
			r.hide("%s to a file", name)
		}
	case makesProcess:
		if strings.Contains(text, "CLONE_UNTRACED") {
			r.hide("a process that is not recorded (CLONE_UNTRACED)")
		}
	default:
		r.hide("%s", name)
	}
	return nil
}

func (r *Record) open(name string) {
	if !r.opened[name] {
		r.opened[name] = true
		r.Opened = append(r.Opened, name)
	}
}

// mapping takes a call of mmap. What is mapped must have been opened by name, for
// only then can it be looked into: descriptors also come by inheritance, from
// other processes, and from calls that are not recorded.
func (r *Record) mapping(text string) {
	at := descriptor.FindStringSubmatch(text)
	switch {
	case at == nil:
		return // anonymous memory
	case at[2] != "":
		r.hide("mmap of a file that has no name any more")
	case !r.opened[path(at)]:
		r.hide("mmap of a descriptor that it has not opened itself")
	default:
		r.Mapped = append(r.Mapped, path(at))
	}
}

// target returns what the descriptor leads to that a call writes to: the second
// one, but for sendfile.
func target(name, text string) string {
	all := descriptor.FindAllStringSubmatch(text, -1)
	if name != "sendfile" && len(all) > 0 {
		all = all[1:]
	}
	if len(all) == 0 {
		return ""
	}
	return path(all[0])
}

func (r *Record) hide(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Hidden, text) {
		r.Hidden = append(r.Hidden, text)
	}
}

func (r *Record) feed(source string, data []byte) {
	r.Bytes += int64(len(data))
	r.input(source, data)
}

// firstArgument returns a call's first argument, which names the source of what
// it reads.
func firstArgument(text string) string {
	text = text[strings.IndexByte(text, '(')+1:]
	text, _, _ = strings.Cut(text, ",")
	return text
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
			return nil, ErrIncomplete
		}
		b, err := hex.DecodeString(strings.ReplaceAll(body, `\x`, ""))
		if err != nil {
			return nil, fmt.Errorf("strace writes what is not understood: %w", err)
		}
		out = append(out, b)
		text = after
	}
}

// path returns what a descriptor leads to. strace -xx escapes it, and older ones
// do not.
func path(match []string) string {
	if b, err := hex.DecodeString(strings.ReplaceAll(match[1], `\x`, "")); err == nil && strings.HasPrefix(match[1], `\x`) {
		return string(b)
	}
	return match[1]
}
