package wamp_test

import (
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func TestURIValid(t *testing.T) {
	long := wamp.URI(strings.Repeat("a", wamp.MaxURILength))
	deep := wamp.URI(strings.Repeat("a.", wamp.MaxURIComponents-1) + "a")
	for _, c := range []struct {
		uri                     wamp.URI
		exact, prefix, wildcard bool
	}{
		{"com.example.topic", true, true, true},
		{"a", true, true, true},
		{"com.exämple.töpic", true, true, true},
		{"Com.EXAMPLE_1-2", true, true, true},
		{"", false, true, false},
		{".", false, false, true},
		{"com.", false, true, true},
		{".com", false, false, true},
		{"com..topic", false, false, true},
		{"com.example..", false, false, true},
		{"com example", false, false, false},
		{"com.\texample", false, false, false},
		{"com.example\n", false, false, false},
		{"com.exa\x00mple", false, false, false},
		{"com.exa\x7fmple", false, false, false},
		{"com.#", false, false, false},
		{"com.\u00a0x", false, false, false},
		{"com.\u2028x", false, false, false},
		{"com.\u3000x", false, false, false},
		{long, true, true, true},
		{long + "a", false, false, false},
		{deep, true, true, true},
		{deep + ".a", false, false, false},
	} {
		for m, want := range map[wamp.Match]bool{wamp.MatchExact: c.exact, wamp.MatchPrefix: c.prefix, wamp.MatchWildcard: c.wildcard} {
			if got := c.uri.Valid(m); got != want {
				t.Errorf("%q valid as %v: %v", c.uri, m, got)
			}
		}
	}
}

func TestURIMatches(t *testing.T) {
	for _, c := range []struct {
		pattern wamp.URI
		match   wamp.Match
		topic   wamp.URI
		want    bool
	}{
		{"com.a", wamp.MatchExact, "com.a", true},
		{"com.a", wamp.MatchExact, "com.a.b", false},
		{"com.a", wamp.MatchExact, "com.A", false},
		{"", wamp.MatchPrefix, "com.a", true},
		{"com.a", wamp.MatchPrefix, "com.a", true},
		{"com.a", wamp.MatchPrefix, "com.a.b", true},
		{"com.a", wamp.MatchPrefix, "com.ab", true}, // prefixes are of characters
		{"com.a.", wamp.MatchPrefix, "com.a", false},
		{"com.a.", wamp.MatchPrefix, "com.ab", false},
		{"com..c", wamp.MatchWildcard, "com.b.c", true},
		{"com..c", wamp.MatchWildcard, "com.b.d", false},
		{"com..c", wamp.MatchWildcard, "com.c", false},
		{"com..c", wamp.MatchWildcard, "com.b.b.c", false},
		{"com.b.", wamp.MatchWildcard, "com.b.c", true},
		{"com.b.", wamp.MatchWildcard, "com.b", false},
		{"com.b.", wamp.MatchWildcard, "com.b.c.d", false},
		{".b", wamp.MatchWildcard, "com.b", true},
		{"..", wamp.MatchWildcard, "a.b.c", true},
		{"..", wamp.MatchWildcard, "a.b", false},
		{"com.b.c", wamp.MatchWildcard, "com.b.c", true},
	} {
		if got := c.pattern.Matches(c.match, c.topic); got != c.want {
			t.Errorf("%q (%v) matches %q: %v", c.pattern, c.match, c.topic, got)
		}
	}
}

func TestURIReserved(t *testing.T) {
	for uri, want := range map[wamp.URI]bool{
		"wamp": true, "wamp.": true, "wamp.session.on_join": true, "wampire.bites": false, "com.wamp.x": false, "": false,
	} {
		if uri.Reserved() != want {
			t.Errorf("%q reserved: %v", uri, !want)
		}
	}
}

func TestMatchNames(t *testing.T) {
	for _, m := range []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard} {
		if got, ok := wamp.ParseMatch(m.String()); !ok || got != m {
			t.Errorf("%v is parsed as %v, %v", m, got, ok)
		}
	}
	if m, ok := wamp.ParseMatch(""); !ok || m != wamp.MatchExact {
		t.Error("exact is WAMP's default")
	}
	if _, ok := wamp.ParseMatch("regex"); ok {
		t.Error("regex is no policy")
	}
}

func TestFeatureNames(t *testing.T) {
	var all wamp.Features
	n := 0
	for f := wamp.Feature(0); f.String() != "unknown"; f++ {
		if got, ok := wamp.ParseFeature([]byte(f.String())); !ok || got != f {
			t.Errorf("%v is parsed as %v, %v", f, got, ok)
		}
		if f.String() == "" || all.Has(f) {
			t.Errorf("feature %d: %q", f, f)
		}
		all.Add(f)
		n++
	}
	if list := all.List(); len(list) != n || wamp.NewFeatures(list...) != all {
		t.Errorf("%d features, listed %v", n, list)
	}
	for name, want := range map[string]wamp.Feature{"call_canceled": wamp.CallCanceling, "call_cancelling": wamp.CallCanceling} {
		if got, ok := wamp.ParseFeature([]byte(name)); !ok || got != want {
			t.Errorf("%s is parsed as %v", name, got)
		}
	}
	if _, ok := wamp.ParseFeature([]byte("unknown")); ok {
		t.Error("unknown is no feature")
	}
}

func TestRoleNames(t *testing.T) {
	var r wamp.Roles
	if r.Any() || r.Named("dancer") != nil {
		t.Error("nobody is there yet")
	}
	for _, name := range wamp.RoleNames {
		if r.Named(name).Present {
			t.Errorf("%s has the role of another name", name)
		}
		r.Named(name).Present = true
	}
	if !r.Any() {
		t.Error("all roles are present")
	}
}

func TestMessageTypes(t *testing.T) {
	n := 0
	for typ := wamp.MessageType(0); typ < 256; typ++ {
		m := wamp.New(typ)
		if (m == nil) != (typ.String() == "UNKNOWN") {
			t.Errorf("type %d is %v, and New returns %T", typ, typ, m)
		}
		if m != nil {
			n++
			if m.Type() != typ {
				t.Errorf("%v makes a %v", typ, m.Type())
			}
		}
	}
	if n != 25 {
		t.Errorf("%d message types", n)
	}
}

func TestDeclared(t *testing.T) {
	for _, c := range []struct {
		a      wamp.Attributes
		want   wamp.Form
		scheme string
	}{
		{wamp.Attributes{}, wamp.FormNone, ""},
		{wamp.Attributes{EncAlgo: "cryptobox"}, wamp.FormTransparency, "cryptobox"},
		{wamp.Attributes{EncKey: "k"}, wamp.FormTransparency, ""},
		{wamp.Attributes{EncSerializer: "json"}, wamp.FormTransparency, ""},
		{wamp.Attributes{PPTScheme: "wamp"}, wamp.FormPassthru, "wamp"},
		{wamp.Attributes{PPTSerializer: "cbor"}, wamp.FormPassthru, ""},
		{wamp.Attributes{PPTCipher: "c"}, wamp.FormPassthru, ""},
		{wamp.Attributes{PPTKeyID: "k"}, wamp.FormPassthru, ""},
	} {
		if got := c.a.Declared(); got != c.want || c.a.Scheme() != c.scheme {
			t.Errorf("%+v declares %v, scheme %q", c.a, got, c.a.Scheme())
		}
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[wamp.ID]bool{0: false, 1: true, wamp.MaxID: true, wamp.MaxID + 1: false} {
		if id.Valid() != want {
			t.Errorf("%d valid: %v", id, !want)
		}
	}
	seen := map[wamp.ID]bool{}
	for range 1000 {
		id := wamp.RandomID()
		if !id.Valid() || seen[id] {
			t.Fatalf("drew %d", id)
		}
		seen[id] = true
	}
}

func TestTrust(t *testing.T) {
	if _, ok := wamp.Trust(0).Level(); ok {
		t.Error("an absent trust level is one")
	}
	if level, ok := wamp.TrustLevel(0).Level(); !ok || level != 0 {
		t.Errorf("level %d, %v", level, ok)
	}
}

func TestReasonsAreListedOnce(t *testing.T) {
	seen := map[wamp.Reason]bool{}
	for _, r := range wamp.Reasons {
		if r == "" || seen[r] {
			t.Errorf("reason %q", r)
		}
		seen[r] = true
	}
}
