package codec

import (
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// writer appends the tokens of one serializer. Containers are opened before
// their length is known, and closed with it.
type writer interface {
	null(dst []byte) []byte
	bool(dst []byte, v bool) []byte
	uint(dst []byte, v uint64) []byte
	int(dst []byte, v int64) []byte
	float(dst []byte, v float64) []byte
	text(dst []byte, v string) []byte
	binary(dst []byte, v []byte) []byte
	// open begins an array or map.
	open(dst []byte, k kind) []byte
	// close ends the array or map that was opened at offset at, after n
	// elements, or keys and values.
	close(dst []byte, k kind, at, n int) []byte
}

func writerOf(s wamp.Serializer) writer {
	switch s {
	case wamp.JSON:
		return jsonWriter{}
	case wamp.MsgPack:
		return msgpackWriter{}
	case wamp.CBOR:
		return cborWriter{}
	}
	return nil
}

// widen makes room for a head of size bytes where one byte was reserved at at.
func widen(dst []byte, at, size int) []byte {
	if size == 1 {
		return dst
	}
	end := len(dst)
	dst = slices.Grow(dst, size-1)[:end+size-1]
	copy(dst[at+size:], dst[at+1:end])
	return dst
}
