package cluster

// window remembers which of a node's last sequence numbers have been seen: a message
// comes once for each subscription of this node that it fits.
type window struct {
	last uint64
	bits [16]uint64 // by number modulo windowSize
}

const windowSize = 16 * 64

// add notes a number, and reports whether it is new.
func (w *window) add(sequence uint64) bool {
	if sequence > w.last {
		if sequence-w.last >= windowSize {
			w.bits = [16]uint64{}
		} else {
			for k := range sequence - w.last {
				n := w.last + 1 + k
				w.bits[n/64%16] &^= 1 << (n % 64)
			}
		}
		w.last = sequence
	} else if w.last-sequence >= windowSize {
		return true // so late is no copy of anything
	}
	mask := uint64(1) << (sequence % 64)
	seen := w.bits[sequence/64%16]&mask != 0
	w.bits[sequence/64%16] |= mask
	return !seen
}

// windows are those of the nodes that events have come from. They belong to the
// goroutine that routes events.
type windows map[string]*window

// maxWindows is when the windows of nodes that are gone are dropped.
const maxWindows = 1024

// fresh reports whether an event is not a copy of one that came before.
func (n *Node) fresh(seen windows, origin string, sequence uint64) bool {
	w := seen[origin]
	if w == nil {
		if len(seen) >= maxWindows {
			for id := range seen {
				if !n.isLive(id) {
					delete(seen, id)
				}
			}
		}
		w = new(window)
		seen[origin] = w
	}
	return w.add(sequence)
}
