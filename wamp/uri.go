package wamp

import "strings"

// URI is a WAMP URI: components joined by dots (WAMP, "URIs").
type URI string

// MaxURILength and MaxURIComponents bound every URI, in bytes and components.
const (
	MaxURILength     = 255
	MaxURIComponents = 32
)

// Match is a matching policy of subscriptions and registrations (WAMP,
// "Pattern-based Subscriptions", "Pattern-based Registrations").
type Match uint8

// The matching policies. The zero value is MatchExact, WAMP's default.
const (
	MatchExact Match = iota
	MatchPrefix
	MatchWildcard
)

// String returns the policy's name on the wire.
func (m Match) String() string {
	switch m {
	case MatchPrefix:
		return "prefix"
	case MatchWildcard:
		return "wildcard"
	}
	return "exact"
}

// ParseMatch returns the policy of that name; "" is MatchExact.
func ParseMatch(s string) (Match, bool) {
	switch s {
	case "", "exact":
		return MatchExact, true
	case "prefix":
		return MatchPrefix, true
	case "wildcard":
		return MatchWildcard, true
	}
	return MatchExact, false
}

// Valid reports whether u keeps WAMP's loose URI rules ("Loose URI Check": no
// whitespace, no '#', no control character) and the limits above. Under
// MatchExact no component may be empty. A prefix may end with a dot, and the
// empty prefix is the one of all URIs. In a wildcard pattern an empty component
// matches any one component.
func (u URI) Valid(m Match) bool {
	if len(u) > MaxURILength {
		return false
	}
	if u == "" {
		return m == MatchPrefix
	}
	components, start := 1, 0
	for i := 0; i < len(u); i++ {
		c := u[i]
		switch {
		case c == '.':
			if i == start && m != MatchWildcard {
				return false
			}
			components++
			start = i + 1
		case c <= ' ' || c == '#' || c == 0x7f:
			return false
		}
	}
	if start == len(u) && m == MatchExact {
		return false
	}
	return components <= MaxURIComponents && !hasWideSpace(string(u))
}

// hasWideSpace reports whether s holds whitespace beyond ASCII, which the
// loose check's \s excludes too.
func hasWideSpace(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return strings.ContainsAny(s[i:], "\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000")
		}
	}
	return false
}

// Reserved reports whether u belongs to the names that only the router itself
// may use ("wamp." and what begins with it; WAMP, "URIs").
func (u URI) Reserved() bool { return strings.HasPrefix(string(u), "wamp.") || u == "wamp" }

// Matches reports whether topic is one that pattern u selects under m.
func (u URI) Matches(m Match, topic URI) bool {
	switch m {
	case MatchPrefix:
		return strings.HasPrefix(string(topic), string(u))
	case MatchWildcard:
		return matchesWildcard(string(u), string(topic))
	}
	return u == topic
}

func matchesWildcard(pattern, topic string) bool {
	for {
		p, pRest, pMore := strings.Cut(pattern, ".")
		t, tRest, tMore := strings.Cut(topic, ".")
		if p != "" && p != t {
			return false
		}
		if !pMore || !tMore {
			return pMore == tMore
		}
		pattern, topic = pRest, tRest
	}
}
