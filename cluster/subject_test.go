package cluster

import (
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func TestSubjects(t *testing.T) {
	for _, c := range []struct {
		match wamp.Match
		uri   wamp.URI
		want  string
	}{
		{wamp.MatchExact, "com.example.a", "x.com.example.a"},
		{wamp.MatchWildcard, "com..a", "x.com.*.a"},
		{wamp.MatchWildcard, "..", "x.*.*.*"},
		{wamp.MatchPrefix, "com.exam", "x.com.>"},
		{wamp.MatchPrefix, "com.example.", "x.com.example.>"},
		{wamp.MatchPrefix, "co", "x.>"},
		{wamp.MatchPrefix, "", "x.>"},
		{wamp.MatchExact, "com.ex*mple.>", "x.com.ex%2Ample.%3E"},
		{wamp.MatchExact, "com.é", "x.com.%C3%A9"},
	} {
		if got := interestSubject("x.", c.match, c.uri); got != c.want {
			t.Errorf("%s %q: %q, not %q", c.match, c.uri, got, c.want)
		}
	}
}

// natsMatches is how NATS matches a subject.
func natsMatches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		if token == ">" {
			return len(s) > i
		}
		if i >= len(s) || token != "*" && token != s[i] {
			return false
		}
	}
	return len(p) == len(s)
}

// A topic that a subscription selects reaches the node that has it, two topics never
// have one subject, and no topic becomes a subject that NATS would refuse.
func FuzzSubjects(f *testing.F) {
	f.Add("com.example.a", "com.example", "com.example.b")
	f.Add("com.a.b", "com..b", "com.a%2Eb")
	f.Add("com.*.>", "com.*.", "com.%2A.%3E")
	f.Add("com.\x00 \t.é", "com.", "com.=.x")
	f.Fuzz(func(t *testing.T, a, pattern, b string) {
		topic, other := wamp.URI(a), wamp.URI(b)
		if !topic.Valid(wamp.MatchExact) {
			return
		}
		subject := string(topicSubject([]byte("x."), topic))
		for token := range strings.SplitSeq(subject, ".") {
			if token == "" || strings.ContainsAny(token, "*> \t\r\n\x00") {
				t.Errorf("%q becomes %q", a, subject)
			}
		}
		if other.Valid(wamp.MatchExact) && a != b && subject == string(topicSubject([]byte("x."), other)) {
			t.Errorf("%q and %q have one subject", a, b)
		}
		for _, match := range []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard} {
			p := wamp.URI(pattern)
			if p.Valid(match) && p.Matches(match, topic) && !natsMatches(interestSubject("x.", match, p), subject) {
				t.Errorf("%s %q selects %q, and %q not %q", match, pattern, a, interestSubject("x.", match, p), subject)
			}
		}
	})
}

// A key of the directory has only what keys may have, and is read as what was written.
func FuzzDirectoryKey(f *testing.F) {
	f.Add("realm1", uint8(0), "com.example.a")
	f.Add("com.example", uint8(2), "com..a")
	f.Add("=", uint8(1), "")
	f.Fuzz(func(t *testing.T, realm string, m uint8, uri string) {
		match := []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard}[m%3]
		key := directoryKey(realm, match, wamp.URI(uri))
		if strings.Trim(key, "-/_=.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || strings.HasSuffix(key, ".") {
			t.Errorf("%q is no key", key)
		}
		r, mm, u, ok := parseDirectoryKey(key)
		if !ok || r != realm || mm != match || string(u) != uri {
			t.Errorf("%q %s %q became %q %s %q", realm, match, uri, r, mm, u)
		}
	})
}

// Another key than directoryKey makes is either refused or written the same again.
func FuzzParseDirectoryKey(f *testing.F) {
	f.Add("realm1.e.com/example")
	f.Add("a.p.=")
	f.Add("a.p.=4")
	f.Add("a.p.=0x")
	f.Add("a.p.=2f")
	f.Fuzz(func(t *testing.T, key string) {
		if realm, match, uri, ok := parseDirectoryKey(key); ok && directoryKey(realm, match, uri) != key {
			t.Errorf("%q is taken for %q", key, directoryKey(realm, match, uri))
		}
	})
}
