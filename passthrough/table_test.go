package passthrough

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// A table finds what asking every pattern finds.
func TestTableFindsWhatMatches(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func(empty bool) string {
		words := []string{"a", "b", "ab", "com"}
		if empty && r.IntN(3) == 0 {
			return ""
		}
		return words[r.IntN(len(words))]
	}
	uri := func(empty bool) wamp.URI {
		parts := make([]string, 1+r.IntN(4))
		for n := range parts {
			parts[n] = word(empty)
		}
		return wamp.URI(strings.Join(parts, "."))
	}
	found := 0
	for range 300 {
		var rules []Rule
		var tab table[int]
		for n := range r.IntN(12) {
			rule := Rule{Match: wamp.Match(r.IntN(3))}
			rule.URI = uri(rule.Match == wamp.MatchWildcard)
			if rule.Match == wamp.MatchPrefix {
				rule.URI = rule.URI[:r.IntN(len(rule.URI)+1)]
			}
			rules = append(rules, rule)
			tab.add(rule.URI, rule.Match, n)
		}
		for range 30 {
			topic := uri(false)
			want := map[int]bool{}
			for n, rule := range rules {
				if rule.URI.Matches(rule.Match, topic) {
					want[n] = true
				}
			}
			got := map[int]bool{}
			tab.each(topic, func(n int) bool {
				if got[n] {
					t.Fatalf("%q: rule %d twice", topic, n)
				}
				got[n] = true
				return true
			})
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%q under %v: found %v, want %v", topic, rules, got, want)
			}
			if tab.has(topic) != (len(want) > 0) {
				t.Fatalf("%q under %v: has is %t", topic, rules, tab.has(topic))
			}
			found += len(want)
		}
	}
	if found == 0 {
		t.Fatal("nothing ever matched: the test tests nothing")
	}
}

func TestNewNamesTheWrongRule(t *testing.T) {
	schema, err := CompileSchema("any", []byte("true"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"space in a URI":       {Config{Require: []Rule{{URI: "a"}, {URI: "a b"}}}, "require[1]"},
		"empty exact URI":      {Config{Require: []Rule{{}}}, "require[0]"},
		"unknown match":        {Config{Require: []Rule{{URI: "a", Match: 9}}}, "require[0]"},
		"bad validation URI":   {Config{Validation: []Validation{{URI: "a..b", Schema: schema}}}, "validation[0]"},
		"no schema":            {Config{Validation: []Validation{{URI: "a"}}}, "validation[0]: the schema is missing"},
		"unknown policy":       {Config{Validation: []Validation{{URI: "a", Schema: schema, Opaque: 7}}}, "validation[0]"},
		"unknown conversion":   {Config{Conversion: 7}, "conversion"},
		"empty wildcard is ok": {Config{Require: []Rule{{URI: "a..b", Match: wamp.MatchWildcard}, {Match: wamp.MatchPrefix}}}, ""},
	} {
		_, err := New(c.config)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestPoliciesHaveNames(t *testing.T) {
	var c Conversion
	if c.UnmarshalText([]byte("reframe")) != nil || c != Reframe || c.UnmarshalText([]byte("refuse")) != nil || c != Refuse {
		t.Error("conversion")
	}
	var o OpaquePolicy
	if o.UnmarshalText([]byte("pass")) != nil || o != Pass || o.UnmarshalText([]byte("refuse")) != nil || o != Refuse {
		t.Error("opaque")
	}
	if c.UnmarshalText([]byte("pass")) == nil || o.UnmarshalText([]byte("reframe")) == nil {
		t.Error("a wrong name was taken")
	}
}
