package main

import "encoding/binary"

// slab holds encoded messages, one behind the other, ready to be written; only
// the request ids are patched, in place.
type slab struct {
	b     []byte
	parts []part
	next  int // the message that take begins with
}

// part is one message of a slab.
type part struct {
	end   int // behind the message
	at    int // of its request id; width 0 if it has none
	width int // in bytes: a big-endian integer, or decimals with spaces before
	text  bool
	mask  [4]byte // what the id is masked with, of a WebSocket client's frame
}

// slabSize is about how many bytes are written at once.
const slabSize = 64 << 10

// take returns up to n messages, numbered from id, and how many these are. They
// are valid until the next call.
func (s *slab) take(n int, id uint64) ([]byte, int) {
	if s.next == len(s.parts) {
		s.next = 0
	}
	from := 0
	if s.next > 0 {
		from = s.parts[s.next-1].end
	}
	taken, to := 0, from
	for taken < n && s.next < len(s.parts) && to-from < slabSize {
		p := &s.parts[s.next]
		p.patch(s.b, id+uint64(taken))
		to = p.end
		s.next++
		taken++
	}
	return s.b[from:to], taken
}

func (p *part) patch(b []byte, id uint64) {
	if p.width == 0 {
		return
	}
	var digits [20]byte
	d := digits[:p.width]
	switch {
	case p.text:
		for i := p.width - 1; i >= 0; i-- {
			d[i] = ' '
			if id > 0 || i == p.width-1 {
				d[i] = '0' + byte(id%10)
				id /= 10
			}
		}
	case p.width == 4:
		binary.BigEndian.PutUint32(d, uint32(id))
	default:
		binary.BigEndian.PutUint64(d, id)
	}
	for i, v := range d {
		b[p.at+i] = v ^ p.mask[i&3]
	}
}

// fill repeats the messages made by add, one for each name, until the slab is
// as large as one write is.
func fill(names []string, add func(dst []byte, name string) ([]byte, part)) *slab {
	s := new(slab)
	for len(s.b) < slabSize || len(s.parts) < len(names) {
		var p part
		s.b, p = add(s.b, names[len(s.parts)%len(names)])
		p.end = len(s.b)
		s.parts = append(s.parts, p)
	}
	return s
}
