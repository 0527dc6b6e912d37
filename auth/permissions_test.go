package auth

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

var everything = []router.Action{router.ActionPublish, router.ActionSubscribe, router.ActionCall, router.ActionRegister}

func allow(uri wamp.URI, match wamp.Match, actions ...router.Action) Permission {
	return Permission{URI: uri, Match: match, Allow: actions}
}

func deny(uri wamp.URI, match wamp.Match, actions ...router.Action) Permission {
	return Permission{URI: uri, Match: match, Deny: actions}
}

func permissions(t testing.TB, rules ...Permission) *Permissions {
	t.Helper()
	p, err := NewPermissions([]Role{{Name: "role", Permissions: rules}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ask(t testing.TB, p *Permissions, action router.Action, uri wamp.URI, match wamp.Match) router.Decision {
	t.Helper()
	d, err := p.Authorize(context.Background(), &wamp.Peer{AuthRole: "role"}, action, uri, match)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMostSpecificRuleDecides(t *testing.T) {
	p := permissions(t,
		allow("com.", wamp.MatchPrefix, everything...),
		allow("com.secret", wamp.MatchPrefix, router.ActionSubscribe),
		allow("com.secret.hello", wamp.MatchExact, router.ActionCall),
		allow("com.none.", wamp.MatchPrefix),
		deny("com.not.", wamp.MatchPrefix, router.ActionCall),
		allow("org..read", wamp.MatchWildcard, router.ActionCall, router.ActionPublish),
		allow("org.bank.", wamp.MatchWildcard, router.ActionPublish),
		allow("net.both", wamp.MatchExact, router.ActionCall),
		deny("net.both", wamp.MatchExact, router.ActionCall),
		allow("net.parts.", wamp.MatchPrefix, router.ActionCall),
		allow("net.parts.", wamp.MatchPrefix, router.ActionPublish),
		Permission{URI: "net.told", Allow: everything, Disclose: true},
	)
	for _, c := range []struct {
		uri  wamp.URI
		want string // of publish, subscribe, call, register
	}{
		{"com.app", "pscr"},
		{"com", ""},
		{"com.secret", "s"},
		{"com.secrets", "s"}, // prefixes are of characters
		{"com.secret.other", "s"},
		{"com.secret.hello", "c"},
		{"com.none.x", ""},
		{"com.not.x", ""}, // what it does not allow, it refuses
		{"org.shop.read", "pc"},
		{"org.bank.read", "p"}, // names the component that the other leaves open
		{"org.shop.write", ""},
		{"org.shop.read.more", ""},
		{"net.both", ""},
		{"net.parts.x", "pc"}, // rules of one URI count as one
		{"net.other", ""},
	} {
		got := ""
		for i, action := range everything {
			if ask(t, p, action, c.uri, wamp.MatchExact).Allow {
				got += "pscr"[i : i+1]
			}
		}
		if got != c.want {
			t.Errorf("%s: may %q, want %q", c.uri, got, c.want)
		}
	}
	if d := ask(t, p, router.ActionCall, "net.told", wamp.MatchExact); !d.Disclose {
		t.Error("the rule's disclose was lost")
	}
	if d := ask(t, p, router.ActionCall, "com.secret.hello", wamp.MatchExact); d.Disclose {
		t.Error("a rule without disclose discloses")
	}
	stranger := &wamp.Peer{AuthRole: "stranger"}
	if d, err := p.Authorize(context.Background(), stranger, router.ActionCall, "com.app", wamp.MatchExact); err != nil || d.Allow {
		t.Errorf("a role without rules: %v, %v", d, err)
	}
}

func TestOnlyExactAndReservedRulesAreExplicit(t *testing.T) {
	for _, c := range []struct {
		uri   wamp.URI
		match wamp.Match
		want  bool
	}{
		{"", wamp.MatchPrefix, false},
		{"wam", wamp.MatchPrefix, false},
		{"..kill", wamp.MatchWildcard, false},
		{"wamp.", wamp.MatchPrefix, true},
		{"wamp.session.", wamp.MatchPrefix, true},
		{"wamp..kill", wamp.MatchWildcard, true},
		{"wamp.session.kill", wamp.MatchExact, true},
	} {
		p := permissions(t, allow(c.uri, c.match, router.ActionCall), allow("com.ask", wamp.MatchExact, router.ActionRegister), deny("wamp.session.kill_all", wamp.MatchExact, router.ActionCall))
		if d := ask(t, p, router.ActionCall, "wamp.session.kill", wamp.MatchExact); !d.Allow || d.Explicit != c.want {
			t.Errorf("%s %q: %+v", c.match, c.uri, d)
		}
		if d := ask(t, p, router.ActionCall, "wamp.session.kill_all", wamp.MatchExact); d != (router.Decision{}) {
			t.Errorf("%s %q: what is denied is %+v", c.match, c.uri, d)
		}
		if d := ask(t, p, router.ActionRegister, "com.ask", wamp.MatchExact); !d.Explicit {
			t.Errorf("an exact rule: %+v", d)
		}
	}
}

func TestPatternMustBeAllowedWhole(t *testing.T) {
	p := permissions(t,
		allow("com.", wamp.MatchPrefix, everything...),
		allow("com.secret", wamp.MatchExact, router.ActionRegister),
		allow("com.vault.", wamp.MatchPrefix, router.ActionRegister),
		allow("com.vault.open", wamp.MatchExact, router.ActionSubscribe),
		allow("org..read", wamp.MatchWildcard, everything...),
	)
	for _, c := range []struct {
		action router.Action
		uri    wamp.URI
		match  wamp.Match
		want   bool
	}{
		{router.ActionSubscribe, "com.", wamp.MatchPrefix, false},
		{router.ActionRegister, "com.", wamp.MatchPrefix, false}, // by com.vault.open
		{router.ActionRegister, "com.s", wamp.MatchPrefix, true},
		{router.ActionSubscribe, "com.se", wamp.MatchPrefix, false},
		{router.ActionSubscribe, "com.app", wamp.MatchPrefix, true},
		{router.ActionSubscribe, "co", wamp.MatchPrefix, false},
		{router.ActionSubscribe, "", wamp.MatchPrefix, false},
		{router.ActionSubscribe, "com.vault.o", wamp.MatchPrefix, false},
		{router.ActionSubscribe, "com.", wamp.MatchWildcard, false}, // matches com.secret
		{router.ActionSubscribe, "com..", wamp.MatchWildcard, false},
		{router.ActionSubscribe, "com..x.y", wamp.MatchWildcard, false}, // matches com.vault.x.y
		{router.ActionSubscribe, "com.app.", wamp.MatchWildcard, true},
		{router.ActionSubscribe, "com.app.x", wamp.MatchWildcard, true},
		{router.ActionSubscribe, "com.vault.open", wamp.MatchWildcard, true}, // no open component: one URI
		{router.ActionSubscribe, ".app", wamp.MatchWildcard, false},
		{router.ActionSubscribe, "org..read", wamp.MatchWildcard, true},
		{router.ActionSubscribe, "org.a.read", wamp.MatchExact, true},
		{router.ActionSubscribe, "org..", wamp.MatchWildcard, false},
		{router.ActionSubscribe, "org.a.read", wamp.MatchPrefix, false},
	} {
		if got := ask(t, p, c.action, c.uri, c.match); got.Allow != c.want {
			t.Errorf("%s %s %q: allowed %t, want %t", c.action, c.match, c.uri, got.Allow, c.want)
		}
	}
}

// TestPermissionsAgainstReference compares random rules with a slow reading of
// the same law, over every URI of up to three components from a small alphabet.
func TestPermissionsAgainstReference(t *testing.T) {
	components := []string{"a", "ab", "b"}
	var universe []wamp.URI
	for _, x := range components {
		universe = append(universe, wamp.URI(x))
		for _, y := range components {
			universe = append(universe, wamp.URI(x+"."+y))
			for _, z := range components {
				universe = append(universe, wamp.URI(x+"."+y+"."+z))
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	pattern := func(match wamp.Match) wamp.URI {
		uri := universe[random.IntN(len(universe))]
		switch match {
		case wamp.MatchPrefix:
			return uri[:random.IntN(len(uri)+1)]
		case wamp.MatchWildcard:
			parts := strings.Split(string(uri), ".")
			for i := range parts {
				if len(parts) > 1 && random.IntN(2) == 0 {
					parts[i] = ""
				}
			}
			return wamp.URI(strings.Join(parts, "."))
		}
		return uri
	}
	compiled, allowedPatterns, refusedWhollyAllowed := 0, 0, 0
	for range 3000 {
		var list []Permission
		for range 1 + random.IntN(6) {
			match := wamp.Match(random.IntN(3))
			one := Permission{URI: pattern(match), Match: match}
			switch random.IntN(6) {
			case 0: // says nothing about it, and so refuses it
				one.Allow = []router.Action{router.ActionCall}
			case 1:
				one.Deny = []router.Action{router.ActionSubscribe}
			default:
				one.Allow = []router.Action{router.ActionSubscribe}
			}
			list = append(list, one)
		}
		p, err := NewPermissions([]Role{{Name: "role", Permissions: list}})
		if err != nil {
			continue // a wildcard without effect
		}
		compiled++
		for _, uri := range universe {
			if got, want := ask(t, p, router.ActionSubscribe, uri, wamp.MatchExact).Allow, reference(list, uri); got != want {
				t.Fatalf("%v: %q: allowed %t, want %t", list, uri, got, want)
			}
		}
		for range 20 {
			match := wamp.Match(1 + random.IntN(2))
			uri := pattern(match)
			whole := true
			for _, one := range universe {
				if uri.Matches(match, one) && !reference(list, one) {
					whole = false
				}
			}
			switch got := ask(t, p, router.ActionSubscribe, uri, match).Allow; {
			case got && !whole:
				t.Fatalf("%v: %s %q is allowed, and matches what is denied", list, match, uri)
			case got:
				allowedPatterns++
			case whole:
				refusedWhollyAllowed++ // the universe is small, and the law is careful
			}
		}
	}
	if compiled < 1000 || allowedPatterns < 1000 {
		t.Errorf("too little was tried: %d rule sets, %d patterns allowed", compiled, allowedPatterns)
	}
	t.Logf("%d rule sets, %d patterns allowed, %d refused though all that they match here is allowed",
		compiled, allowedPatterns, refusedWhollyAllowed)
}

// reference decides about one URI by looking at every rule.
func reference(list []Permission, uri wamp.URI) bool {
	var best *Permission
	allowed, denied := false, false
	for i := range list {
		one := &list[i]
		if !one.URI.Matches(one.Match, uri) {
			continue
		}
		switch {
		case best == nil || before(one, best):
			best, allowed, denied = one, false, false
		case one.URI != best.URI || one.Match != best.Match:
			continue
		}
		allowed = allowed || slices.Contains(one.Allow, router.ActionSubscribe)
		denied = denied || slices.Contains(one.Deny, router.ActionSubscribe)
	}
	return allowed && !denied
}

func before(a, b *Permission) bool {
	if a.Match != b.Match {
		return a.Match < b.Match
	}
	if a.Match == wamp.MatchWildcard {
		x, y := strings.Split(string(a.URI), "."), strings.Split(string(b.URI), ".")
		for i := range x {
			if x[i] != y[i] {
				return x[i] != ""
			}
		}
		return false
	}
	return len(a.URI) > len(b.URI)
}

func TestPermissionsThatMakeNoSense(t *testing.T) {
	for name, roles := range map[string][]Role{
		"role twice":           {{Name: "a"}, {Name: "a"}},
		"invalid URI":          {{Name: "a", Permissions: []Permission{allow("com..app", wamp.MatchExact, router.ActionCall)}}},
		"empty exact URI":      {{Name: "a", Permissions: []Permission{allow("", wamp.MatchExact, router.ActionCall)}}},
		"unknown action":       {{Name: "a", Permissions: []Permission{allow("com.app", wamp.MatchExact, 9)}}},
		"wildcard that's dead": {{Name: "a", Permissions: []Permission{allow("", wamp.MatchPrefix, router.ActionCall), deny("com..secret", wamp.MatchWildcard, router.ActionCall)}}},
	} {
		if _, err := NewPermissions(roles); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// The same wildcard is alive beside a prefix that says the same.
	permissions(t, allow("", wamp.MatchPrefix, router.ActionPublish), allow("com..secret", wamp.MatchWildcard, router.ActionPublish))
}

// What an earlier version allowed by a wider rule, and this one doesn't, is told, and
// nothing else.
func TestNarrowings(t *testing.T) {
	for name, c := range map[string]struct {
		rules []Permission
		want  string
	}{
		"listed in part": {[]Permission{allow("com.", wamp.MatchPrefix, everything...), allow("com.no.", wamp.MatchPrefix, router.ActionSubscribe)},
			"[{1 [publish call register] com. prefix}]"},
		"exact, of nothing": {[]Permission{allow("com.no.x", wamp.MatchExact), allow("com.", wamp.MatchPrefix, router.ActionCall)},
			"[{0 [call] com. prefix}]"},
		"beside a wildcard": {[]Permission{allow("com.no", wamp.MatchPrefix, router.ActionCall), allow("com..x", wamp.MatchWildcard, router.ActionPublish)},
			"[{0 [publish] com..x wildcard}]"},
		"denied in words":       {[]Permission{allow("com.", wamp.MatchPrefix, router.ActionCall), deny("com.no.", wamp.MatchPrefix, router.ActionCall)}, "[]"},
		"in a rule of its like": {[]Permission{allow("com.", wamp.MatchPrefix, router.ActionCall), deny("com.no.", wamp.MatchPrefix, router.ActionCall), allow("com.no.", wamp.MatchPrefix)}, "[]"},
		"the router's own":      {[]Permission{allow("", wamp.MatchPrefix, everything...), allow("wamp.", wamp.MatchPrefix, router.ActionCall)}, "[{1 [subscribe]  prefix}]"},
		"elsewhere":             {[]Permission{allow("com.", wamp.MatchPrefix, router.ActionCall), allow("org.", wamp.MatchPrefix, router.ActionPublish)}, "[]"},
		"denied in between": {[]Permission{allow("", wamp.MatchPrefix, router.ActionCall), deny("com.", wamp.MatchPrefix, router.ActionCall), allow("com.x", wamp.MatchExact, router.ActionPublish)},
			"[]"},
	} {
		t.Run(name, func(t *testing.T) {
			role := Role{Name: "role", Permissions: c.rules}
			if got := fmt.Sprint(role.Narrowings()); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// manyRules are a role's rules as they could be in a large installation.
func manyRules() []Permission {
	list := []Permission{allow("se", wamp.MatchPrefix, router.ActionPublish)}
	for i := range 1000 {
		list = append(list,
			allow(wamp.URI(fmt.Sprintf("com.exact.p%d", i)), wamp.MatchExact, router.ActionCall),
			allow(wamp.URI(fmt.Sprintf("com.app%04d.", i)), wamp.MatchPrefix, router.ActionCall),
			allow(wamp.URI(fmt.Sprintf("org.w%d..read", i)), wamp.MatchWildcard, router.ActionCall))
	}
	return list
}

var permissionCases = map[string]struct {
	action router.Action
	uri    wamp.URI
}{
	"exact":        {router.ActionCall, "com.exact.p500"},
	"prefix":       {router.ActionCall, "com.app0500.order.create"},
	"short prefix": {router.ActionPublish, "se.app0500.order.created"},
	"wildcard":     {router.ActionCall, "org.w500.book.read"},
	"not allowed":  {router.ActionCall, "net.example.nothing"},
}

func TestAuthorizeAllocatesNothing(t *testing.T) {
	p, who := permissions(t, manyRules()...), &wamp.Peer{AuthRole: "role"}
	for name, c := range permissionCases {
		if d := ask(t, p, c.action, c.uri, wamp.MatchExact); d.Allow == (name == "not allowed") {
			t.Errorf("%s: allowed %t", name, d.Allow)
		}
		if n := testing.AllocsPerRun(100, func() {
			_, _ = p.Authorize(context.Background(), who, c.action, c.uri, wamp.MatchExact)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	p, who := permissions(b, manyRules()...), &wamp.Peer{AuthRole: "role"}
	var authorizer router.Authorizer = p
	for name, c := range permissionCases {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = authorizer.Authorize(context.Background(), who, c.action, c.uri, wamp.MatchExact)
			}
		})
	}
}
