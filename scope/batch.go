package scope

import (
	"crypto/sha256"
	"math/bits"
)

// maxBatch is how many messages one signature covers.
const (
	maxLevels = 6
	maxBatch  = 1 << maxLevels
)

// proof leads from a leaf to the root that was signed ("Signature").
type proof struct {
	position byte
	siblings []byte // 32 bytes for each level
}

var errProof = ErrMalformed.because("the proof")

func parseProof(data []byte) (p proof, rest []byte, err error) {
	if len(data) == 0 || data[0] > maxLevels {
		return p, nil, errProof
	}
	levels := int(data[0])
	if levels == 0 {
		return p, data[1:], nil
	}
	end := 2 + 32*levels
	if len(data) < end || int(data[1]) >= 1<<levels {
		return p, nil, errProof
	}
	return proof{data[1], data[2:end]}, data[end:], nil
}

func (p proof) append(b []byte) []byte {
	levels := len(p.siblings) / 32
	b = append(b, byte(levels))
	if levels == 0 {
		return b
	}
	return append(append(b, p.position), p.siblings...)
}

// root returns the root above a leaf.
func (p proof) root(h [32]byte) [32]byte {
	for i := 0; i < len(p.siblings)/32; i++ {
		sibling := [32]byte(p.siblings[32*i:])
		if p.position>>i&1 == 1 {
			h = node(&sibling, &h)
		} else {
			h = node(&h, &sibling)
		}
	}
	return h
}

func node(left, right *[32]byte) [32]byte {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// tree returns the root of 1 to maxBatch leaves, and the proof of each.
func tree(leaves [][32]byte) (root [32]byte, proofs []proof) {
	levels := bits.Len(uint(len(leaves) - 1))
	row := make([][32]byte, 1<<levels)
	copy(row, leaves)
	proofs = make([]proof, len(leaves))
	for i := range proofs {
		proofs[i] = proof{position: byte(i), siblings: make([]byte, 0, 32*levels)}
	}
	for level := range levels {
		for i := range proofs {
			sibling := row[i>>level^1]
			proofs[i].siblings = append(proofs[i].siblings, sibling[:]...)
		}
		for i := range len(row) / 2 {
			row[i] = node(&row[2*i], &row[2*i+1])
		}
		row = row[:len(row)/2]
	}
	return row[0], proofs
}
