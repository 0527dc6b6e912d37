package codec

import (
	"encoding/binary"
	"unicode/utf8"
)

// isUTF8 is utf8.Valid, quicker on the short ASCII that keys and URIs are: it
// looks at the last word whole, and not byte by byte.
func isUTF8(b []byte) bool {
	n := len(b)
	if n < 8 {
		return utf8.Valid(b)
	}
	any := binary.LittleEndian.Uint64(b[n-8:])
	for i := 0; i < n-8; i += 8 {
		any |= binary.LittleEndian.Uint64(b[i:])
	}
	return any&0x8080808080808080 == 0 || utf8.Valid(b)
}
