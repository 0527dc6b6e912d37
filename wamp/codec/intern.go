package codec

import (
	"encoding/binary"
	"unsafe"
)

// interner caches recent strings, so that a topic or an option that comes again costs
// no allocation. It holds a few hundred strings of bounded length, whatever a peer
// sends.
type interner struct {
	slots [128][2]string
}

const maxInterned = 255

func (in *interner) get(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > maxInterned {
		return string(b)
	}
	pair := &in.slots[slot(b)]
	if pair[0] == string(b) {
		return pair[0]
	}
	if pair[1] == string(b) {
		return pair[1]
	}
	pair[1] = pair[0]
	pair[0] = string(b)
	return pair[0]
}

// slot hashes the length and three words of b: its first, middle and last. A peer that
// makes them collide only causes allocations for its own messages.
func slot(b []byte) uint64 {
	var h uint64
	if n := len(b); n >= 8 {
		h = binary.LittleEndian.Uint64(b) ^
			binary.LittleEndian.Uint64(b[n-8:])*0x9e3779b97f4a7c15 ^
			binary.LittleEndian.Uint64(b[(n-8)/2:])*0xc2b2ae3d27d4eb4f
	} else {
		for _, c := range b {
			h = h<<8 | uint64(c)
		}
	}
	h = (h ^ uint64(len(b))) * 0xff51afd7ed558ccd
	return h >> (64 - 7)
}

// view returns b as a string. It must not be used once b changes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
