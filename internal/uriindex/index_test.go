package uriindex

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func put(x *Index[string], match wamp.Match, uri wamp.URI) {
	x.Update(match, uri, func(string, bool) (string, bool) { return match.String() + " " + string(uri), true })
}

func dropped(x *Index[string], match wamp.Match, uri wamp.URI) {
	x.Update(match, uri, func(string, bool) (string, bool) { return "", false })
}

// The example of WAMP, "Pattern-based Registrations", with the results that the
// specification gives. One URI differs: the specification's "a1.b2.x33" begins
// with its prefix "a1.b2.c3", which by its own definition of prefixes ("Prefix
// Matching": com.myapp.myobject1-mysubobject1) makes it a match.
func TestBestFollowsTheSpecification(t *testing.T) {
	x := New[string]()
	put(x, wamp.MatchExact, "a1.b2.c3.d4.e55")
	put(x, wamp.MatchPrefix, "a1.b2.c3")
	put(x, wamp.MatchPrefix, "a1.b2.c3.d4")
	put(x, wamp.MatchWildcard, "a1.b2..d4.e5")
	put(x, wamp.MatchWildcard, "a1.b2.x33..e5")
	put(x, wamp.MatchWildcard, "a1.b2..d4.e5..g7")
	put(x, wamp.MatchWildcard, "a1.b2..d4..f6.g7")
	for call, want := range map[wamp.URI]string{
		"a1.b2.c3.d4.e55":          "exact a1.b2.c3.d4.e55",
		"a1.b2.c3.d98.e74":         "prefix a1.b2.c3",
		"a1.b2.c3.d4.e325":         "prefix a1.b2.c3.d4",
		"a1.b2.c55.d4.e5":          "wildcard a1.b2..d4.e5",
		"a1.b2.x33.d4.e5":          "wildcard a1.b2.x33..e5",
		"a1.b2.c88.d4.e5.f6.g7":    "wildcard a1.b2..d4.e5..g7",
		"a2.b2.c2.d2.e2":           "",
		"a1.b2.c3.d4.e5":           "prefix a1.b2.c3.d4",
		"a1.b2.c55.d4.e5.f6":       "",
		"a1.b2.c88.d4.e99.f6.g7":   "wildcard a1.b2..d4..f6.g7",
		"a1.b2.c88.d4.e5.f6.g7.h8": "",
	} {
		got, ok := x.Best(call)
		if got != want || ok != (want != "") {
			t.Errorf("best(%s) = %q, %v; want %q", call, got, ok, want)
		}
	}
}

// The index answers as a scan over all patterns would.
func TestIndexAgainstScan(t *testing.T) {
	type pattern struct {
		match wamp.Match
		uri   wamp.URI
	}
	component := func() string { return []string{"a", "b", "ab", "c"}[rand.IntN(4)] }
	uri := func(match wamp.Match) wamp.URI {
		parts := make([]string, 1+rand.IntN(4))
		for i := range parts {
			parts[i] = component()
			if match == wamp.MatchWildcard && rand.IntN(3) == 0 {
				parts[i] = ""
			}
		}
		return wamp.URI(strings.Join(parts, "."))
	}
	x := New[string]()
	present := map[pattern]bool{}
	for range 20000 {
		p := pattern{match: wamp.Match(rand.IntN(3))}
		p.uri = uri(p.match)
		if rand.IntN(2) == 0 {
			put(x, p.match, p.uri)
			present[p] = true
		} else {
			dropped(x, p.match, p.uri)
			delete(present, p)
		}
		topic := uri(wamp.MatchExact)
		var want []string
		for p := range present {
			if p.uri.Matches(p.match, topic) {
				want = append(want, p.match.String()+" "+string(p.uri))
			}
		}
		got := x.All(nil, topic)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("all(%s) = %q, want %q", topic, got, want)
		}
		if best, ok := x.Best(topic); ok != (len(want) > 0) || ok && !slices.Contains(want, best) {
			t.Fatalf("best(%s) = %q, %v of %q", topic, best, ok, want)
		}
	}
	for p := range present {
		dropped(x, p.match, p.uri)
	}
	x.Each(func(v string) bool { t.Errorf("%q is left", v); return true })
	if !empty(x) {
		t.Error("tables are not empty")
	}
}

// A pattern is found literally, and looking it up is no change: publishers
// remember what a topic matches until there is one.
func TestIndexGet(t *testing.T) {
	x := New[string]()
	patterns := []struct {
		match wamp.Match
		uri   wamp.URI
	}{
		{wamp.MatchExact, "a.b.c"}, {wamp.MatchPrefix, "a.b.c"}, {wamp.MatchPrefix, "a.b."}, {wamp.MatchPrefix, ""},
		{wamp.MatchWildcard, "a.b.c"}, {wamp.MatchWildcard, "a..c"}, {wamp.MatchWildcard, "..c"}, {wamp.MatchWildcard, "a.."},
		{wamp.MatchWildcard, "a."}, {wamp.MatchWildcard, ""},
	}
	for _, p := range patterns {
		before := x.Changes.Load()
		if v, ok := x.Get(p.match, p.uri); ok || v != "" {
			t.Errorf("%s %q is there before it was put: %q", p.match, p.uri, v)
		}
		if x.Changes.Load() != before {
			t.Errorf("looking up %s %q is a change", p.match, p.uri)
		}
		put(x, p.match, p.uri)
		if x.Changes.Load() == before {
			t.Errorf("putting %s %q is no change", p.match, p.uri)
		}
	}
	before := x.Changes.Load()
	for _, p := range patterns {
		if v, ok := x.Get(p.match, p.uri); !ok || v != p.match.String()+" "+string(p.uri) {
			t.Errorf("%s %q: %q, %v", p.match, p.uri, v, ok)
		}
	}
	for _, uri := range []wamp.URI{"a.b", "a.b.x", "a.b.c.d", "x..c", ".", "a..c."} {
		for _, match := range []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard} {
			if v, ok := x.Get(match, uri); ok || v != "" {
				t.Errorf("%s %q, which was never put: %q", match, uri, v)
			}
		}
	}
	if now := x.Changes.Load(); now != before {
		t.Errorf("lookups are %d changes", now-before)
	}
}

// What is dropped is not kept alive, nor found, where longer patterns go on.
func TestIndexForgets(t *testing.T) {
	x := New[string]()
	for _, match := range []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard} {
		put(x, match, "a.")
		put(x, match, "a..c")
		x.Update(match, "a.", func(old string, ok bool) (string, bool) { return old, false }) // as broker and dealer do
		if v, ok := x.Get(match, "a."); ok || v != "" {
			t.Errorf("%s: %q, %v", match, v, ok)
		}
		if v, ok := x.Get(match, "a..c"); !ok {
			t.Errorf("%s: the longer pattern is gone, too: %q", match, v)
		}
	}
	for _, match := range []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard} {
		dropped(x, match, "a..c")
	}
	if !empty(x) {
		t.Error("tables are not empty")
	}
}

// empty reports whether nothing is left of what was put.
func empty[T any](x *Index[T]) bool {
	for i := range x.shards {
		if s := &x.shards[i]; s.slots.Load() != nil || s.live != 0 || s.used != 0 {
			return false
		}
	}
	for i := range x.shapes.wildcards {
		if x.shapes.wildcards[i].Load() != nil || x.shapes.pooled[i] != 0 {
			return false
		}
	}
	return x.shapes.prefixes.Load() == nil && x.shapes.wildcardsInUse.Load() == 0 && len(x.shapes.counts) == 0
}

// Looking a topic up costs no allocation, whatever matches.
func TestIndexAllocates(t *testing.T) {
	x := New[string]()
	put(x, wamp.MatchExact, "com.example.topic")
	put(x, wamp.MatchPrefix, "com.")
	put(x, wamp.MatchWildcard, "com..topic")
	found := make([]string, 0, 10)
	if n := testing.AllocsPerRun(100, func() {
		found = x.All(found[:0], "com.example.topic")
		if len(found) != 3 {
			t.Fatal(found)
		}
		if _, ok := x.Best("com.example.other"); !ok {
			t.Fatal("no best")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Exact lookup stays flat as topics grow; patterns cost by their lengths and
// shapes, not by their number.
func BenchmarkIndex(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("exact/%d", n), func(b *testing.B) {
			x := New[int]()
			for i := range n {
				x.Update(wamp.MatchExact, wamp.URI(fmt.Sprintf("com.example.topic.%d", i)), func(int, bool) (int, bool) { return i, true })
			}
			b.ReportAllocs()
			for b.Loop() {
				x.Exact("com.example.topic.0")
			}
		})
	}
	for _, match := range []wamp.Match{wamp.MatchPrefix, wamp.MatchWildcard} {
		for _, n := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", match, n), func(b *testing.B) {
				x := New[int]()
				for i := range n {
					x.Update(match, wamp.URI(fmt.Sprintf("com.example%d..topic", i)), func(int, bool) (int, bool) { return i, true })
				}
				found := make([]int, 0, 10)
				b.ReportAllocs()
				for b.Loop() {
					found = x.All(found[:0], "com.example0.x.topic")
				}
			})
		}
	}
}

// A publisher uses a result again until the index has changed. So a reader that has read
// that it has must find the change.
func TestIndexCountsBeforeTheChange(t *testing.T) {
	for _, match := range []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard} {
		x := New[int]()
		before := x.Changes.Load()
		found := make(chan []int)
		x.Update(match, "com.example", func(int, bool) (int, bool) {
			if x.Changes.Load() == before {
				t.Errorf("%s: no change is counted", match)
			}
			go func() { found <- x.All(nil, "com.example") }()
			return 1, true
		})
		if got := <-found; !slices.Equal(got, []int{1}) {
			t.Errorf("%s: a reader that has seen the count finds %v", match, got)
		}
	}
}

// A change makes nobody wait who asks for something else, or changes it.
func TestIndexWaitsForTheVeryEntry(t *testing.T) {
	for _, match := range []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard} {
		x := New[string]()
		for i := range 1000 { // so that every shard has some
			put(x, match, wamp.URI(fmt.Sprintf("com.example.t%d", i)))
		}
		x.Update(match, "com.example.mine", func(string, bool) (string, bool) {
			for i := range 1000 {
				topic := wamp.URI(fmt.Sprintf("com.example.t%d", i))
				if got := x.All(nil, topic); len(got) == 0 {
					t.Fatalf("%s: nothing matches %s", match, topic)
				}
				dropped(x, match, topic)
			}
			put(x, match, "com.example.yours")
			return "mine", true
		})
	}
}

// Whatever wildcards an adversary chooses, the shapes that a look-up asks for are
// bounded, and the patterns of practice are still accepted.
func TestIndexBoundsShapes(t *testing.T) {
	x := New[int]()
	one := func(int, bool) (int, bool) { return 1, true }
	pattern := func(n int, mask uint32) wamp.URI {
		parts := make([]string, n)
		for i := range parts {
			if mask<<i>>31 == 0 {
				parts[i] = "a"
			}
		}
		return wamp.URI(strings.Join(parts, "."))
	}
	refused := 0
	for n := 1; n <= wamp.MaxURIComponents; n++ {
		for range 5000 {
			if !x.Update(wamp.MatchWildcard, pattern(n, rand.Uint32()>>(32-n)<<(32-n)), one) {
				if refused++; n <= 9 {
					t.Fatalf("a wildcard of %d components is refused", n)
				}
			}
		}
	}
	if refused == 0 {
		t.Fatal("nothing was refused: the bound was not met")
	}
	for n := 1; n <= wamp.MaxURIComponents; n++ {
		for i := range n {
			for j := range n {
				if !x.Update(wamp.MatchWildcard, pattern(n, 1<<31>>i|1<<31>>j), one) {
					t.Fatalf("a wildcard of %d components, two of them open, is refused", n)
				}
			}
		}
		free := 1 + n + n*(n-1)/2
		if got := len(*x.shapes.wildcards[n].Load()); got > min(1<<min(n, 30), free+pooledShapes) {
			t.Errorf("a URI of %d components is looked up %d times", n, got)
		}
	}
	// The last of a shape makes room for another.
	var mask uint32
	for _, m := range *x.shapes.wildcards[32].Load() {
		if bits.OnesCount32(m) > freeOpen {
			mask = m
		}
	}
	other := ^uint32(0)
	if x.Update(wamp.MatchWildcard, pattern(32, other), one) {
		t.Fatal("a shape more than there is room for")
	}
	x.Update(wamp.MatchWildcard, pattern(32, mask), func(int, bool) (int, bool) { return 0, false })
	if !x.Update(wamp.MatchWildcard, pattern(32, other), one) {
		t.Error("no room for another shape, though one is gone")
	}
	if x.Update(wamp.MatchWildcard, wamp.URI(strings.Repeat("a.", 32)), one) {
		t.Error("a wildcard of 33 components is taken")
	}
	if got := x.All(nil, wamp.URI(strings.Repeat("a.", 300))); got != nil {
		t.Errorf("a URI of 301 components matches %v", got)
	}
}

// A pattern costs the router less than 256 bytes beside its URI, whatever it is like.
func TestIndexMemory(t *testing.T) {
	const n = 50_000
	for _, match := range []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard} {
		uris := make([]wamp.URI, n)
		for i := range uris {
			uris[i] = wamp.URI(fmt.Sprintf("%x", i) + strings.Repeat(".a", 30) + ".")
		}
		x := New[*int]()
		value := new(int)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for _, uri := range uris {
			x.Update(match, uri, func(*int, bool) (*int, bool) { return value, true })
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n; each > 256 {
			t.Errorf("%s: %d bytes a pattern", match, each)
		}
		for _, uri := range uris[10:] {
			x.Update(match, uri, func(*int, bool) (*int, bool) { return nil, false })
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if left := int64(after.HeapAlloc) - int64(before.HeapAlloc); left > 64<<10 {
			t.Errorf("%s: %d bytes are kept for ten patterns", match, left)
		}
		runtime.KeepAlive(x)
	}
}

// What is there all the time is found, whatever comes and goes around it.
func TestIndexWhileItChanges(t *testing.T) {
	x := New[string]()
	put(x, wamp.MatchExact, "a.b.c")
	put(x, wamp.MatchPrefix, "a.")
	put(x, wamp.MatchWildcard, "a..c")
	put(x, wamp.MatchWildcard, "..c")
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for w := range 3 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for range 20_000 {
				match := wamp.Match(r.IntN(3))
				uri := wamp.URI(fmt.Sprintf("a.x%d.d", r.IntN(500)))
				if match == wamp.MatchWildcard && r.IntN(2) == 0 {
					uri = wamp.URI(fmt.Sprintf(".x%d", r.IntN(500)))
				}
				if r.IntN(2) == 0 {
					put(x, match, uri)
				} else {
					dropped(x, match, uri)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			want := []string{"exact a.b.c", "prefix a.", "wildcard a..c", "wildcard ..c"}
			var got []string
			for !done.Load() {
				if got = x.All(got[:0], "a.b.c"); !slices.Equal(got, want) {
					t.Errorf("%q", got)
					return
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
}

// A look-up among as many shapes as there may be, of which none matches.
func BenchmarkIndexWorst(b *testing.B) {
	x := New[int]()
	for range 100_000 {
		parts := make([]string, wamp.MaxURIComponents)
		for i := range parts {
			if rand.IntN(4) > 0 {
				parts[i] = "a"
			}
		}
		parts[31] = "x"
		x.Update(wamp.MatchWildcard, wamp.URI(strings.Join(parts, ".")), func(int, bool) (int, bool) { return 1, true })
	}
	topic := wamp.URI(strings.Repeat("a.", 31) + "a")
	b.ReportAllocs()
	for b.Loop() {
		x.All(nil, topic)
	}
}
