package cryptobox

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func scramblerOf(t testing.TB, prefixes ...wamp.URI) *Scrambler {
	t.Helper()
	s := new(Scrambler)
	for _, prefix := range prefixes {
		if err := s.Set(prefix, GenerateScrambleKey()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// twin returns a scrambler with the keys of s, and none of its memory.
func twin(s *Scrambler) *Scrambler {
	c := new(Scrambler)
	c.keys.snapshot.Store(s.keys.load())
	return c
}

func mustScramble(t testing.TB, s *Scrambler, uri wamp.URI, match wamp.Match) wamp.URI {
	t.Helper()
	out, err := s.Scramble(uri, match)
	if err != nil {
		t.Fatalf("%s: %v", uri, err)
	}
	return out
}

func TestScrambledURIs(t *testing.T) {
	s := scramblerOf(t, "")
	out := mustScramble(t, s, "com.app.com.order_1", wamp.MatchExact)
	if !out.Valid(wamp.MatchExact) || !looksScrambled(out) {
		t.Errorf("%s", out)
	}
	parts := strings.Split(string(out), ".")
	if len(parts) != 4 || parts[0] != parts[2] || parts[0] == parts[1] {
		t.Errorf("components do not scramble one by one, wherever they stand: %s", out)
	}
	for _, word := range []string{"com", "app", "order"} {
		for _, part := range parts {
			if part == word {
				t.Errorf("%s is still there", word)
			}
		}
	}
	if again := mustScramble(t, twin(s), "com.app.com.order_1", wamp.MatchExact); again != out {
		t.Error("another scrambler with the same key gives another URI")
	}
	if other := mustScramble(t, scramblerOf(t, ""), "com.app.com.order_1", wamp.MatchExact); other == out {
		t.Error("another key gives the same URI")
	}
	for _, uri := range []wamp.URI{"wamp.session.on_join", "wamp.x"} {
		if got := mustScramble(t, s, uri, wamp.MatchExact); got != uri {
			t.Errorf("%s became %s", uri, got)
		}
		if got, ok := s.Restore(uri); !ok || got != uri {
			t.Errorf("%s restored as %s, %t", uri, got, ok)
		}
	}
	// Not reserved, though it begins like it.
	if got := mustScramble(t, s, "wampum.x", wamp.MatchExact); got == "wampum.x" {
		t.Error("wampum.x stayed in the clear")
	}
	if got := mustScramble(t, new(Scrambler), "com.x", wamp.MatchExact); got != "com.x" {
		t.Errorf("without a key: %s", got)
	}
}

// TestPatternsStillMatch asks the router's own matching whether scrambled
// patterns select the scrambled topics that they select in the clear.
func TestPatternsStillMatch(t *testing.T) {
	s := scramblerOf(t, "")
	topics := []wamp.URI{"com", "com.app", "com.app.x", "com.app.y.z", "com.apple", "com.other.x", "org.app.x", "app.com"}
	patterns := []struct {
		uri    wamp.URI
		match  wamp.Match
		differ wamp.URI // matched in the clear alone: not by whole components
	}{
		{"com.app.x", wamp.MatchExact, ""},
		{"com.app.", wamp.MatchPrefix, ""},
		{"com.app", wamp.MatchPrefix, "com.apple"},
		{"com.", wamp.MatchPrefix, ""},
		{"", wamp.MatchPrefix, ""},
		{"com..x", wamp.MatchWildcard, ""},
		{".app.", wamp.MatchWildcard, ""},
		{"..", wamp.MatchWildcard, ""},
		{"com.app.y.z", wamp.MatchWildcard, ""},
	}
	for _, p := range patterns {
		scrambled := mustScramble(t, s, p.uri, p.match)
		if !scrambled.Valid(p.match) {
			t.Errorf("%q: scrambled it is not valid", p.uri)
		}
		for _, topic := range topics {
			want := p.uri.Matches(p.match, topic) && topic != p.differ
			if got := scrambled.Matches(p.match, mustScramble(t, s, topic, wamp.MatchExact)); got != want {
				t.Errorf("%v %q matches %s: %t, want %t", p.match, p.uri, topic, got, want)
			}
		}
	}
}

func TestPatternsThatSpanKeys(t *testing.T) {
	s := scramblerOf(t, "com.app.", "com.app.secret.", "org", "net.a.b")
	cases := []struct {
		uri   wamp.URI
		match wamp.Match
		spans bool
	}{
		{"com.app.x", wamp.MatchExact, false},
		{"com.app", wamp.MatchExact, false}, // in the clear: of no key
		{"com.app.x.", wamp.MatchPrefix, false},
		{"com.app.secret.", wamp.MatchPrefix, false},
		{"com.app.secret.x", wamp.MatchPrefix, false},
		{"com.app.sec", wamp.MatchPrefix, false},   // whole components: not com.app.secret
		{"com.app.secret", wamp.MatchPrefix, true}, // itself of the one, below it the other
		{"com.app.", wamp.MatchPrefix, true},
		{"com.", wamp.MatchPrefix, true},
		{"com.ap", wamp.MatchPrefix, true}, // in the clear, by characters
		{"com.b", wamp.MatchPrefix, false},
		{"", wamp.MatchPrefix, true},
		{"org", wamp.MatchPrefix, false},
		{"or", wamp.MatchPrefix, true},
		{"com.app.x.", wamp.MatchWildcard, false},
		{"com.app..x", wamp.MatchWildcard, true}, // com.app.secret.x
		{"com.app.", wamp.MatchWildcard, false},  // three components: com.app.secret. has four
		{"com..x", wamp.MatchWildcard, true},
		{"com..", wamp.MatchWildcard, true},
		{"com.", wamp.MatchWildcard, false},
		{"net..", wamp.MatchWildcard, true},
		{"net..c", wamp.MatchWildcard, false},
		{"net..bcd", wamp.MatchWildcard, true}, // net.a.b is a prefix of net.a.bcd
		{"..", wamp.MatchWildcard, true},
		{".x", wamp.MatchWildcard, true}, // orgy.x
		{"biz..x", wamp.MatchWildcard, false},
	}
	for _, c := range cases {
		_, err := s.Scramble(c.uri, c.match)
		if c.spans != errors.Is(err, ErrURI) || !c.spans && err != nil {
			t.Errorf("%v %q: %v", c.match, c.uri, err)
		}
	}
}

// joined returns every URI of one to depth of the words.
func joined(depth int, words ...string) (uris []wamp.URI) {
	layer := []string{""}
	for range depth {
		var next []string
		for _, head := range layer {
			for _, w := range words {
				next = append(next, head+w+".")
			}
		}
		for _, u := range next {
			uris = append(uris, wamp.URI(strings.TrimSuffix(u, ".")))
		}
		layer = next
	}
	return uris
}

// TestSpansIsExact compares with the definition: a pattern is refused if and only
// if the URIs that it matches belong to more than one key, or to one and none.
func TestSpansIsExact(t *testing.T) {
	topics := joined(3, "a", "ab", "b", "c")
	type pattern struct {
		uri   wamp.URI
		match wamp.Match
	}
	var patterns []pattern
	for _, u := range joined(2, "a", "ab", "b") {
		patterns = append(patterns, pattern{u, wamp.MatchPrefix}, pattern{u + ".", wamp.MatchPrefix})
	}
	for _, x := range []string{"", "a", "ab"} {
		for _, y := range []string{"", "a", "ab"} {
			patterns = append(patterns, pattern{wamp.URI(x + "." + y), wamp.MatchWildcard})
			for _, z := range []string{"", "a", "ab"} {
				patterns = append(patterns, pattern{wamp.URI(x + "." + y + "." + z), wamp.MatchWildcard})
			}
		}
	}
	refused, allowed := 0, 0
	for _, prefixes := range [][]wamp.URI{{""}, {"", "a."}, {"a"}, {"a.b"}, {"", "a.a", "ab."}, {"b", "a.ab.a"}, {"a.", "ab", "b."}} {
		s := scramblerOf(t, prefixes...)
		owner := func(uri wamp.URI) string {
			prefix, _, has := s.keys.load().longest(uri)
			return fmt.Sprint(has, prefix)
		}
		for _, p := range patterns {
			owners := map[string]bool{}
			_, _, scrambled := s.keys.load().longest(p.uri)
			for _, topic := range topics {
				matches := p.uri.Matches(p.match, topic)
				if p.match == wamp.MatchPrefix && scrambled { // by whole components
					matches = (p.uri+".").Matches(wamp.MatchPrefix, topic+".") || strings.HasSuffix(string(p.uri), ".") && matches
				}
				if matches {
					owners[owner(topic)] = true
				}
			}
			_, err := s.Scramble(p.uri, p.match)
			if (err != nil) != (len(owners) > 1) {
				t.Errorf("keys %q: %v %q, whose URIs have %d owners: %v", prefixes, p.match, p.uri, len(owners), err)
			}
			if err != nil {
				refused++
			} else {
				allowed++
			}
		}
	}
	if refused < 20 || allowed < 20 {
		t.Errorf("%d patterns refused, %d allowed: too few to tell", refused, allowed)
	}
}

func TestScrambleRefuses(t *testing.T) {
	s := scramblerOf(t, "")
	twelve := wamp.URI(strings.Repeat("a.", 11) + "a")
	if out := mustScramble(t, s, twelve, wamp.MatchExact); len(out) != 251 {
		t.Errorf("12 components are %d bytes", len(out))
	}
	cases := []struct {
		uri   wamp.URI
		match wamp.Match
	}{
		{twelve + ".a", wamp.MatchExact},
		{twelve + ".a", wamp.MatchPrefix},
		{"", wamp.MatchExact}, {"a..b", wamp.MatchExact}, {"a..b", wamp.MatchPrefix}, {"a b", wamp.MatchExact},
	}
	for _, c := range cases {
		if out, err := s.Scramble(c.uri, c.match); !errors.Is(err, ErrURI) || out != "" {
			t.Errorf("%v %q: %q, %v", c.match, c.uri, out, err)
		}
	}
}

func TestRestore(t *testing.T) {
	s := scramblerOf(t, "com.", "org.")
	sent := mustScramble(t, s, "com.app.x", wamp.MatchExact)
	mustScramble(t, s, "com.other.", wamp.MatchPrefix)
	restored := func(uri, want wamp.URI, ok bool) {
		t.Helper()
		if got, gotOK := s.Restore(uri); got != want || gotOK != ok {
			t.Errorf("%s: %q, %t, want %q, %t", uri, got, gotOK, want, ok)
		}
	}
	restored(sent, "com.app.x", true)
	// A URI never seen as a whole, of components that were.
	restored(mustScramble(t, twin(s), "com.other.x", wamp.MatchExact), "com.other.x", true)
	restored(mustScramble(t, twin(s), "com.app.y", wamp.MatchExact), "", false)
	// In the clear by right, and not.
	restored("net.x", "net.x", true)
	restored("com.app.x", "", false)
	// Components of two keys, and one key's components on the other's URI.
	mustScramble(t, s, "org.com.x", wamp.MatchExact)
	orgCom := strings.Split(string(mustScramble(t, s, "org.com.x", wamp.MatchExact)), ".")
	restored(wamp.URI(strings.Join([]string{strings.Split(string(sent), ".")[0], orgCom[2]}, ".")), "", false)
	restored(wamp.URI(orgCom[1]+"."+orgCom[2]), "", false)
	// What Scramble never makes: a reserved URI, an overlong one, one with a gap.
	all := scramblerOf(t, "")
	parts := strings.Split(string(mustScramble(t, all, wamp.URI("x.wamp."+strings.Repeat("y", 200)), wamp.MatchExact)), ".")
	for _, uri := range []string{parts[1] + "." + parts[0], parts[1], parts[2] + "." + parts[2], parts[0] + ".." + parts[0], parts[0] + "."} {
		if got, ok := all.Restore(wamp.URI(uri)); ok || got != "" {
			t.Errorf("%s came back as %q", uri, got)
		}
	}
}

func TestRestoreIsBounded(t *testing.T) {
	s := scramblerOf(t, "")
	s.limit = 4
	hot := mustScramble(t, s, "hot", wamp.MatchExact)
	first := mustScramble(t, s, "first", wamp.MatchExact)
	for i := range 100 {
		mustScramble(t, s, wamp.URI(fmt.Sprintf("n%d", i)), wamp.MatchExact)
		if _, ok := s.Restore(hot); !ok {
			t.Fatalf("forgot what is in use, after %d", i)
		}
		if n := len(s.recent) + len(s.old); n > 2*s.limit {
			t.Fatalf("%d components are kept", n)
		}
	}
	if _, ok := s.Restore(first); ok {
		t.Error("nothing is ever forgotten")
	}
	if got, ok := s.Restore(mustScramble(t, twin(s), "n99", wamp.MatchExact)); !ok || got != "n99" {
		t.Errorf("the latest is forgotten: %s", got)
	}
}

func TestScramblerIsSafeForConcurrentUse(t *testing.T) {
	s := scramblerOf(t, "")
	s.limit = 8
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 200 {
				uri := wamp.URI(fmt.Sprintf("com.n%d", (n+50*i)%100))
				out, err := s.Scramble(uri, wamp.MatchExact)
				if err != nil {
					t.Error(err)
				}
				if got, ok := s.Restore(out); ok && got != uri {
					t.Errorf("%s became %s", uri, got)
				}
				if err := s.Set(wamp.URI(fmt.Sprintf("org%d.", i)), GenerateScrambleKey()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
