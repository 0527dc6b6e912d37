package cluster

import (
	"math/rand/v2"
	"testing"
)

// Copies of one number are found among the last windowSize, in any order; nothing that
// is new is taken for a copy.
func TestWindow(t *testing.T) {
	var w window
	if !w.add(5) || w.add(5) || !w.add(3) || w.add(3) || !w.add(0) || w.add(0) {
		t.Error("small numbers")
	}
	r := rand.New(rand.NewPCG(1, 2))
	seen := make(map[uint64]bool)
	w = window{}
	next := uint64(1)
	for range 100_000 {
		n := next
		switch r.IntN(4) {
		case 0: // a copy, or one that came late
			n -= min(n, r.Uint64N(windowSize-1))
		case 1: // some were for other nodes
			next += r.Uint64N(3 * windowSize)
			n = next
		}
		next = max(next, n+1)
		if got := w.add(n); got == seen[n] {
			t.Fatalf("%d after %d: new %t, seen %t", n, w.last, got, seen[n])
		}
		seen[n] = true
	}
	w.add(1 << 63)
	if !w.add(1<<63+1) || w.add(1<<63) || !w.add(^uint64(0)) || w.add(^uint64(0)) {
		t.Error("large numbers")
	}
}
