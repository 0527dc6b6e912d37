package uriindex

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func put(x *Index[string], match wamp.Match, uri wamp.URI) {
	x.Update(match, uri, func(string, bool) (string, bool) { return match.String() + " " + string(uri), true })
}

func drop(x *Index[string], match wamp.Match, uri wamp.URI) {
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
			drop(x, p.match, p.uri)
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
		drop(x, p.match, p.uri)
	}
	x.Each(func(v string) bool { t.Errorf("%q is left", v); return true })
	if n := x.patterns.Load(); n != 0 || len(x.wildcard.root.next) != 0 || len(x.prefix.used) != 0 {
		t.Errorf("tables are not empty: %d patterns", n)
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
	if n := x.patterns.Load(); n != 2 {
		t.Errorf("%d patterns, not 2", n)
	}
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

// A publisher keeps what it has found until the index has changed. So who has read
// that it has must find the change, and not that there are no patterns yet.
func TestIndexCountsPatternsFirst(t *testing.T) {
	for _, match := range []wamp.Match{wamp.MatchPrefix, wamp.MatchWildcard} {
		x := New[int]()
		before := x.Changes.Load()
		x.Update(match, "com.example", func(int, bool) (int, bool) {
			if x.Changes.Load() == before || x.patterns.Load() == 0 {
				t.Errorf("%s: %d changes, %d patterns", match, x.Changes.Load(), x.patterns.Load())
			}
			return 1, true
		})
		if n := x.patterns.Load(); n != 1 {
			t.Errorf("%s: %d patterns", match, n)
		}
		x.Update(match, "com.example", func(int, bool) (int, bool) { return 0, false })
		if n := x.patterns.Load(); n != 0 {
			t.Errorf("%s: %d patterns after the last", match, n)
		}
	}
}
