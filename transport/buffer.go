package transport

import (
	"sync"
	"unsafe"
)

// Buffers come in size classes, each with a pool. What is larger than the
// largest is left to the garbage collector.
var classSizes = [...]int{4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20}

// startClasses is how many classes a read may start with: what is larger is
// reached only by the bytes of one frame arriving.
const startClasses = 5

// The pools hold pointers to the first byte, so that putting allocates nothing.
var classPools [len(classSizes)]sync.Pool

func classOf(size int) int {
	for i, n := range classSizes {
		if n == size {
			return i
		}
	}
	return -1
}

func getBytes(class int) []byte {
	if p, ok := classPools[class].Get().(*byte); ok {
		return unsafe.Slice(p, classSizes[class])
	}
	return make([]byte, classSizes[class])
}

// putBytes returns b to its pool. The caller must not use b afterwards.
func putBytes(b []byte) {
	if class := classOf(cap(b)); class >= 0 {
		classPools[class].Put(unsafe.SliceData(b))
	}
}

// buffer holds bytes that were read and not yet taken. It holds memory only while it has
// such bytes or a read is in progress. The zero buffer is empty.
type buffer struct {
	mem  []byte
	r, w int
	// class is where the next read starts: one up when a read fills the
	// buffer, one down when there is little in it after one.
	class uint8
}

// bytes returns what is in the buffer. It is valid until space or release.
func (b *buffer) bytes() []byte { return b.mem[b.r:b.w] }

// take removes the first n bytes. Their memory stays as it is until space or
// release.
func (b *buffer) take(n int) { b.r += n }

// space returns room to read into, at least one byte. want is the size of the
// frame at the start of the buffer, or 0 if that isn't known. Memory grows with
// the bytes that arrive, never with what a header merely promises: it at most
// doubles (from the smallest classes: quadruples) when it is full.
func (b *buffer) space(want int) []byte {
	if b.mem == nil {
		b.mem = getBytes(int(b.class))
	}
	if b.r == b.w {
		b.r, b.w = 0, 0
	}
	switch {
	case b.r > 0 && (b.w == len(b.mem) || b.r+want > len(b.mem)):
		// The bytes taken make room.
		b.w = copy(b.mem, b.mem[b.r:b.w])
		b.r = 0
	case b.w == len(b.mem):
		b.grow(want)
	}
	return b.mem[b.w:]
}

func (b *buffer) grow(want int) {
	var mem []byte
	if class := classOf(len(b.mem)); class >= 0 && class+1 < len(classSizes) {
		mem = getBytes(class + 1)
	} else {
		size := 2 * len(b.mem)
		if want > len(b.mem) {
			size = min(size, want)
		}
		mem = make([]byte, size)
	}
	b.w = copy(mem, b.mem[b.r:b.w])
	b.r = 0
	putBytes(b.mem)
	b.mem = mem
}

// advanceAndResize adds n bytes that were read into the room that space returned, and
// adjusts the size class.
func (b *buffer) advanceAndResize(n int) {
	room := len(b.mem) - b.w
	b.advance(n)
	switch {
	case n == room && int(b.class)+1 < startClasses && len(b.mem) >= classSizes[b.class]:
		b.class++
	case b.class > 0 && b.w-b.r < len(b.mem)/8:
		b.class--
	}
}

// advance is like advanceAndResize, but does not adjust the size class.
func (b *buffer) advance(n int) { b.w += n }

// put appends p, which may be anything left over from a handshake.
func (b *buffer) put(p []byte) {
	for len(p) > 0 {
		n := copy(b.space(0), p)
		b.w += n
		p = p[n:]
	}
}

// release returns the memory to the pool, and discards any bytes left.
func (b *buffer) release() {
	if b.mem != nil {
		putBytes(b.mem)
		b.mem = nil
	}
	b.r, b.w = 0, 0
}
