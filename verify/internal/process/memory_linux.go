package process

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/blindfold-wamp/blindfold/verify/internal/search"
)

// scanMemory is ScanMemory for Linux: it reads /proc/PID/mem.
func scanMemory(pid int, s *search.Scanner, found func(*search.Pattern)) (Memory, error) {
	m := memory{pid: pid, s: s, found: found, buf: make([]byte, 4<<20), page: uint64(os.Getpagesize())}
	all, err := mappings(pid)
	if err != nil {
		return Memory{}, err
	}
	if m.mem, err = os.Open(fmt.Sprintf("/proc/%d/mem", pid)); err != nil {
		return Memory{}, err
	}
	defer m.mem.Close()
	// Without it (kernels may lack it), all pages are read.
	if m.pagemap, err = os.Open(fmt.Sprintf("/proc/%d/pagemap", pid)); err == nil {
		defer m.pagemap.Close()
	}
	for i := range all {
		m.scan(&all[i])
	}
	// What could not be read may be gone, or another mapping by now.
	failed := m.failed
	if m.failed = nil; len(failed) > 0 {
		if all, err = mappings(pid); err != nil {
			return Memory{}, err
		}
		for i := range all {
			for _, f := range failed {
				part := all[i]
				part.start, part.end = max(part.start, f.start), min(part.end, f.end)
				if part.start < part.end {
					part.offset += int64(part.start - all[i].start)
					m.scan(&part)
				}
			}
		}
	}
	if m.size == 0 {
		return Memory{}, errors.New("none of it can be read")
	}
	return Memory{m.size, m.unread()}, nil
}

// memory is a scan that is running.
type memory struct {
	pid          int
	s            *search.Scanner
	found        func(*search.Pattern)
	mem, pagemap *os.File
	buf          []byte
	page         uint64
	size         int64
	failed       []mapping // parts of mappings
	table        []byte    // a part of pagemap, from the page at tableStart on
	tableStart   uint64
}

// maxTries is how many pages of a mapping are tried one by one.
const maxTries = 1 << 16

// scan reads a mapping, and notes in failed what cannot be read.
func (m *memory) scan(v *mapping) {
	if v.kernels() {
		return
	}
	info, known := v.stat(m.pid)
	if known && isDevice(info) {
		m.fail(v, v.start, v.end) // reading could have effects
		return
	}
	end := v.end
	if known && info.Mode&unix.S_IFMT == unix.S_IFREG {
		// What is behind the end of a file cannot be there.
		pages := (uint64(max(0, info.Size-v.offset)) + m.page - 1) / m.page
		end = min(end, v.start+pages*m.page)
	}
	w := m.s.NewWindow(m.found)
	m.table = nil // it is of another mapping
	tries := 0    // pages that could not be read
	for at := v.start; at < end; {
		from, to := m.held(v, at, end)
		if from > at {
			w.Break()
		}
		for at = from; at < to; {
			part := m.buf[:min(to-at, uint64(len(m.buf)))]
			n, _ := m.mem.ReadAt(part, int64(at))
			_, _ = w.Write(part[:n])
			if at += uint64(n); n == len(part) {
				continue
			}
			next := min(to, (at/m.page+1)*m.page)
			if tries++; tries > maxTries {
				m.fail(v, at, end)
				m.size += w.Total()
				return
			}
			m.fail(v, at, next)
			w.Break()
			at = next
		}
	}
	m.size += w.Total()
}

// Bits of an entry of /proc/PID/pagemap (the kernel's admin-guide/mm/pagemap).
const (
	pagePresent = 1 << 63
	pageSwapped = 1 << 62
	pageGuard   = 1 << 58
)

// tableSpan is how much memory a part of the page table that is read at once is of.
const tableSpan = 256 << 20

// held returns the next run of pages of a mapping that can hold something, between
// start and end. If there is none in the part that was looked at, from is to, its end.
func (m *memory) held(v *mapping, start, end uint64) (from, to uint64) {
	if m.pagemap == nil || !v.private() {
		return start, end // a shared page can be there without being in the table
	}
	if start < m.tableStart || start >= m.tableStart+uint64(len(m.table)/8)*m.page {
		m.table, m.tableStart = make([]byte, 8*(min(end-start, tableSpan)/m.page)), start
		if n, _ := m.pagemap.ReadAt(m.table, int64(start/m.page*8)); n < len(m.table) {
			m.table = nil
			return start, end
		}
	}
	end = min(end, m.tableStart+uint64(len(m.table)/8)*m.page)
	for from = start; from < end && !m.holds(from); {
		from += m.page
	}
	for to = from; to < end && m.holds(to); {
		to += m.page
	}
	return from, to
}

// holds reports whether a page in the part of the table that was read holds something.
func (m *memory) holds(at uint64) bool {
	entry := binary.LittleEndian.Uint64(m.table[(at-m.tableStart)/m.page*8:])
	return entry&(pagePresent|pageSwapped) != 0 && entry&pageGuard == 0
}

// fail notes that a part of a mapping could not be read.
func (m *memory) fail(v *mapping, start, end uint64) {
	if n := len(m.failed); n > 0 && m.failed[n-1].end == start && m.failed[n-1].path == v.path {
		m.failed[n-1].end = end
		return
	}
	part := *v
	part.start, part.end = start, end
	m.failed = append(m.failed, part)
}

// unread says what could not be read.
func (m *memory) unread() (out []string) {
	for _, f := range m.failed {
		name := f.path
		if name == "" {
			name = "anonymous memory"
		}
		out = append(out, fmt.Sprintf("%d KiB of %s (%s)", (f.end-f.start)>>10, name, f.protection))
	}
	return out
}

// mapping is a line of /proc/PID/maps (proc_pid_maps(5)).
type mapping struct {
	start, end uint64
	protection string // "rw-p"
	offset     int64
	device     string // "08:01"
	inode      uint64 // 0 for what is no file
	path       string
}

func mappings(pid int) (out []mapping, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m, err := parseMapping(lines.Text())
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, lines.Err()
}

func parseMapping(line string) (m mapping, err error) {
	fields := strings.Fields(line)
	if len(fields) < 5 || len(fields[1]) != 4 {
		return m, fmt.Errorf("a line of /proc/PID/maps is not understood: %q", line)
	}
	from, to, _ := strings.Cut(fields[0], "-")
	var errs [4]error
	m.start, errs[0] = strconv.ParseUint(from, 16, 64)
	m.end, errs[1] = strconv.ParseUint(to, 16, 64)
	m.offset, errs[2] = strconv.ParseInt(fields[2], 16, 64)
	m.inode, errs[3] = strconv.ParseUint(fields[4], 10, 64)
	m.protection, m.device, m.path = fields[1], fields[3], strings.Join(fields[5:], " ")
	return m, errors.Join(errs[:]...)
}

// kernels reports whether it is the kernel's own. A program cannot give its memory
// such a name: it would be "[anon:...]", or a path.
func (v *mapping) kernels() bool {
	return v.inode == 0 && (v.path == "[vvar]" || v.path == "[vvar_vclock]" || v.path == "[vsyscall]")
}

// private reports whether it is private memory of the process that no file stands
// behind: what was never written is nowhere.
func (v *mapping) private() bool { return v.inode == 0 && v.protection[3] == 'p' }

// stat returns what is known of a mapped file.
func (v *mapping) stat(pid int) (info unix.Stat_t, known bool) {
	if v.inode == 0 {
		return info, false
	}
	if unix.Stat(fmt.Sprintf("/proc/%d/map_files/%x-%x", pid, v.start, v.end), &info) == nil {
		return info, true
	}
	// That needs rights. The path may lead to another file by now.
	err := unix.Stat(fmt.Sprintf("/proc/%d/root%s", pid, v.path), &info)
	device := fmt.Sprintf("%02x:%02x", unix.Major(uint64(info.Dev)), unix.Minor(uint64(info.Dev)))
	return info, err == nil && info.Ino == v.inode && device == v.device
}

// isDevice reports whether it is a device other than /dev/zero, which is memory.
func isDevice(info unix.Stat_t) bool {
	switch info.Mode & unix.S_IFMT {
	case unix.S_IFCHR, unix.S_IFBLK:
		return info.Rdev != unix.Mkdev(1, 5)
	}
	return false
}
