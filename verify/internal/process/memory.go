package process

import (
	"fmt"

	"github.com/blindfold-wamp/blindfold/verify/internal/search"
)

// Memory is what was seen of the memory of one process or more.
type Memory struct {
	Size int64 // bytes that were read
	// Unread names the mappings of which something could not be read. What they hold
	// is not known.
	Unread []string
}

// ScanMemory searches all memory of a process, whatever its protection (Linux
// only). Pages that hold nothing are passed over: those of private memory that were
// never written, guard pages, and those behind the end of a mapped file. So is
// memory that the process gives back during the scan.
func ScanMemory(pid int, s *search.Scanner, found func(*search.Pattern)) (Memory, error) {
	return scanMemory(pid, s, found)
}

// ScanTree searches the memory of a process and of the others in its Tree. Those
// that end during the scan are passed over; if the first ends, that is an error.
func ScanTree(pid int, s *search.Scanner, found func(*search.Pattern)) (all Memory, err error) {
	for _, one := range Tree(pid) {
		m, err := ScanMemory(one, s, found)
		if err != nil && (one == pid || Alive(one)) {
			return all, fmt.Errorf("memory of process %d: %w", one, err)
		}
		all.Size += m.Size
		for _, text := range m.Unread {
			all.Unread = append(all.Unread, fmt.Sprintf("process %d: %s", one, text))
		}
	}
	return all, nil
}
