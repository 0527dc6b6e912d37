package codec

import (
	"strings"
	"testing"
)

// Every byte, at every place among those that are looked at together, ends a run
// exactly if it is not of the alphabet.
func TestBase64Run(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for c := range 256 {
		for at := range 24 {
			for _, other := range []string{"A", "z", "/", "+", "9"} {
				b := []byte(strings.Repeat(other, 24))
				b[at] = byte(c)
				want := len(b)
				if !strings.Contains(alphabet, string(rune(c))) || c > 127 {
					want = at
				}
				if got := base64Run(b); got != want {
					t.Fatalf("%#x at %d among %q: %d, want %d", c, at, other, got, want)
				}
			}
		}
	}
	if got := base64Run([]byte(alphabet)); got != len(alphabet) {
		t.Errorf("of the alphabet: %d", got)
	}
}

func BenchmarkBase64Run(b *testing.B) {
	run := []byte(strings.Repeat("QUJDabc/+09z", 455))
	b.SetBytes(int64(len(run)))
	for b.Loop() {
		if base64Run(run) != len(run) {
			b.Fatal("not all")
		}
	}
}
