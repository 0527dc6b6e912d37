package auth

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Permission is one rule of a role: the permitted actions on the URIs that URI selects
// under Match. If it is the most specific rule for a URI, it decides about all actions:
// an action that Allow does not list is refused. Deny is for a second rule with the same
// URI and Match, and to state that an action is refused on purpose.
type Permission struct {
	URI         wamp.URI
	Match       wamp.Match
	Allow, Deny []router.Action
	// Disclose makes the router disclose the sender of what the rule allows.
	Disclose bool
}

// Role is a named list of rules. Their order has no meaning.
type Role struct {
	Name        string
	Permissions []Permission
}

// Permissions authorizes by fixed rules per role. Of the rules that match a URI, the most
// specific one decides about every action. What it does not allow is refused, and so is
// a URI that no rule matches. Exact is more specific than prefix, and prefix than
// wildcard. A longer prefix is more specific than a shorter one. Of two wildcards, the
// one that names the first component in which they differ is more specific (WAMP,
// "Pattern-based Registrations"). Rules with the same URI and Match count as one, which
// allows what one of them allows and none denies.
//
// A pattern in SUBSCRIBE or REGISTER is allowed if every URI that it could match is: an
// allowing rule must cover all of it, and no more specific refusing rule may select any
// of it. For example, with the prefix "com." allowed and a rule for "com.secret" that
// allows nothing, a session cannot subscribe to the prefix "com.", but to the prefix
// "com.app.". A narrower allowing rule inside a refused part makes no difference.
//
// An exact rule, and a rule whose URI begins with "wamp.", allows explicitly
// (router.Decision.Explicit). So a rule for the prefix of all URIs does not let sessions
// end other sessions, or register the procedure of an authenticator.
//
// Authorize may be called concurrently and does not allocate.
type Permissions struct {
	roles map[string]*rules
}

// NewPermissions compiles roles, which it does not keep. It returns an error for two roles
// with the same name, a URI that is not valid under its Match, and a wildcard that never
// takes effect, because a prefix decides otherwise about everything that it matches.
func NewPermissions(roles []Role) (*Permissions, error) {
	p := &Permissions{roles: make(map[string]*rules, len(roles))}
	for i := range roles {
		role := &roles[i]
		if _, twice := p.roles[role.Name]; twice {
			return nil, fmt.Errorf("auth: there are two roles %q", role.Name)
		}
		compiled, err := role.compile()
		if err != nil {
			return nil, fmt.Errorf("auth: role %q: %w", role.Name, err)
		}
		p.roles[role.Name] = compiled
	}
	return p, nil
}

// Authorize implements router.Authorizer by who.AuthRole. It returns no error.
func (p *Permissions) Authorize(_ context.Context, who *wamp.Peer, action router.Action, uri wamp.URI, match wamp.Match) (router.Decision, error) {
	compiled := p.roles[who.AuthRole]
	if compiled == nil || action >= actions {
		return router.Decision{}, nil
	}
	if match == wamp.MatchExact || match == wamp.MatchWildcard && !hasOpenComponent(uri) {
		if one := compiled.deciding(uri); one != nil {
			return one.decision(action), nil
		}
		return router.Decision{}, nil
	}
	return compiled.decidePattern(action, uri, match), nil
}

// Narrowing is an action that a rule refuses by not listing it, although a less specific
// rule allows it. In versions before, the less specific rule decided then.
type Narrowing struct {
	At      int // of the rule in Role.Permissions
	Actions []router.Action
	Wider   wamp.URI // the less specific rule, for the first of Actions
	Match   wamp.Match
}

// Narrowings returns the narrowings of a valid role. A rule that denies an action
// explicitly has none for it.
func (r *Role) Narrowings() (out []Narrowing) {
	compiled, err := r.compile()
	if err != nil {
		return nil
	}
	for i := range compiled.sorted {
		one := &compiled.sorted[i]
		var n Narrowing
		for action := range actions {
			// Nobody may publish or register below "wamp.", whatever is allowed.
			if one.said[action] || one.uri.Reserved() && (action == router.ActionPublish || action == router.ActionRegister) {
				continue
			}
			if wider := one.allowedBelow(action, compiled.sorted[i+1:]); wider != nil {
				if n.Actions == nil {
					n.Wider, n.Match = wider.uri, wider.match
				}
				n.Actions = append(n.Actions, action)
			}
		}
		if n.Actions != nil {
			n.At = slices.IndexFunc(r.Permissions, func(p Permission) bool { return p.URI == one.uri && p.Match == one.match })
			out = append(out, n)
		}
	}
	return out
}

// allowedBelow returns the first less specific rule that lists the action for some URI of
// the rule, if it allows the action.
func (r *rule) allowedBelow(action router.Action, below []rule) *rule {
	for i := range below {
		switch other := &below[i]; {
		case !other.said[action] || !other.overlaps(r.uri, r.match):
		case other.allowed[action]:
			return other
		case other.covers(r.uri, r.match):
			return nil
		}
	}
	return nil
}

const actions = router.ActionRegister + 1

// rule is the sum of a role's permissions for one URI or pattern.
type rule struct {
	uri   wamp.URI
	match wamp.Match
	// said are the actions that it lists, allowed those that it allows, and disclosed
	// those that it allows with disclosure.
	said, denied, allowed, disclosed [actions]bool
}

// decision returns the decision of the rule about an action.
func (r *rule) decision(action router.Action) router.Decision {
	if !r.allowed[action] {
		return router.Decision{}
	}
	return router.Decision{Allow: true, Disclose: r.disclosed[action], Cacheable: true,
		Explicit: r.match == wamp.MatchExact || r.uri.Reserved()}
}

// add merges a permission into the rule of its URI and match.
func (r *rule) add(p *Permission) {
	for _, action := range p.Allow {
		r.said[action], r.allowed[action] = true, true
		r.disclosed[action] = r.disclosed[action] || p.Disclose
	}
	for _, action := range p.Deny {
		r.said[action], r.denied[action] = true, true
	}
	for action := range actions {
		r.allowed[action] = r.allowed[action] && !r.denied[action]
		r.disclosed[action] = r.disclosed[action] && r.allowed[action]
	}
}

// rules are those of a role.
type rules struct {
	exact    map[wamp.URI]*rule
	prefix   map[wamp.URI]*rule
	lengths  []int // of the keys of prefix, longest first
	wildcard *wildcardNode
	sorted   []rule // all of them, the most specific first
}

func (r *Role) compile() (*rules, error) {
	type key struct {
		uri   wamp.URI
		match wamp.Match
	}
	at := make(map[key]int, len(r.Permissions))
	out := &rules{exact: make(map[wamp.URI]*rule), prefix: make(map[wamp.URI]*rule)}
	for i := range r.Permissions {
		p := &r.Permissions[i]
		if !p.URI.Valid(p.Match) {
			return nil, fmt.Errorf("%q is no valid URI for match %s", p.URI, p.Match)
		}
		for _, action := range slices.Concat(p.Allow, p.Deny) {
			if action >= actions {
				return nil, fmt.Errorf("%q: unknown action", p.URI)
			}
		}
		same, ok := at[key{p.URI, p.Match}]
		if !ok {
			same = len(out.sorted)
			at[key{p.URI, p.Match}] = same
			out.sorted = append(out.sorted, rule{uri: p.URI, match: p.Match})
		}
		out.sorted[same].add(p)
	}
	slices.SortStableFunc(out.sorted, bySpecificity)
	for i := range out.sorted {
		switch one := &out.sorted[i]; one.match {
		case wamp.MatchExact:
			out.exact[one.uri] = one
		case wamp.MatchPrefix:
			out.prefix[one.uri] = one
			if n := len(one.uri); !slices.Contains(out.lengths, n) {
				out.lengths = append(out.lengths, n)
			}
		case wamp.MatchWildcard:
			if by := out.shadowing(one); by != nil {
				return nil, fmt.Errorf("the wildcard %q never takes effect, since the prefix %q precedes it; write it as prefixes or exact URIs",
					one.uri, by.uri)
			}
			if out.wildcard == nil {
				out.wildcard = &wildcardNode{}
			}
			out.wildcard.insert(string(one.uri), one)
		}
	}
	return out, nil
}

// shadowing returns a prefix rule that decides otherwise than the wildcard w about
// everything that w matches.
func (r *rules) shadowing(w *rule) *rule {
	for i := range r.sorted {
		if p := &r.sorted[i]; p.match == wamp.MatchPrefix && p.covers(w.uri, w.match) {
			for action := range actions {
				if p.decision(action) != w.decision(action) {
					return p
				}
			}
			return nil
		}
	}
	return nil
}

// deciding returns the most specific rule that matches uri, or nil.
func (r *rules) deciding(uri wamp.URI) *rule {
	if one := r.exact[uri]; one != nil {
		return one
	}
	for _, n := range r.lengths {
		if n > len(uri) {
			continue
		}
		if one := r.prefix[uri[:n]]; one != nil {
			return one
		}
	}
	if r.wildcard != nil {
		return r.wildcard.match(string(uri))
	}
	return nil
}

// decidePattern visits the rules from the most specific one. The pattern is refused if a
// rule refuses a part of it before a rule allows all of it. Rules after the one that
// covers the pattern have no effect, because that rule precedes them for every URI of
// the pattern.
func (r *rules) decidePattern(action router.Action, uri wamp.URI, match wamp.Match) router.Decision {
	for i := range r.sorted {
		switch one := &r.sorted[i]; {
		case one.allowed[action] && one.covers(uri, match):
			return one.decision(action)
		case !one.allowed[action] && one.overlaps(uri, match):
			return router.Decision{}
		}
	}
	return router.Decision{}
}

// bySpecificity orders rules so that of two rules that match the same URI, the deciding
// one comes first.
func bySpecificity(a, b rule) int {
	if a.match != b.match {
		return cmp.Compare(a.match, b.match)
	}
	if a.match == wamp.MatchPrefix {
		return cmp.Compare(len(b.uri), len(a.uri))
	}
	p, q := string(a.uri), string(b.uri)
	for more := true; more; {
		var x, y string
		x, p, more = strings.Cut(p, ".")
		y, q, _ = strings.Cut(q, ".")
		if (x == "") != (y == "") {
			if y == "" {
				return -1
			}
			return 1
		}
	}
	return 0
}

// covers reports whether the rule matches everything that uri selects under match.
func (r *rule) covers(uri wamp.URI, match wamp.Match) bool {
	if match == wamp.MatchExact {
		return r.uri.Matches(r.match, uri)
	}
	switch r.match {
	case wamp.MatchPrefix:
		if match == wamp.MatchWildcard {
			uri = literalPart(uri)
		}
		return strings.HasPrefix(string(uri), string(r.uri))
	case wamp.MatchWildcard:
		// As a URI, a pattern has "" for an open component, and only an open component
		// of the rule matches that.
		return match == wamp.MatchWildcard && r.uri.Matches(wamp.MatchWildcard, uri)
	}
	return false
}

// overlaps reports whether the rule matches something that uri selects under match.
func (r *rule) overlaps(uri wamp.URI, match wamp.Match) bool {
	switch {
	case match == wamp.MatchExact:
		return r.uri.Matches(r.match, uri)
	case r.match == wamp.MatchExact:
		return uri.Matches(match, r.uri)
	case r.match == wamp.MatchPrefix && match == wamp.MatchPrefix:
		return strings.HasPrefix(string(r.uri), string(uri)) || strings.HasPrefix(string(uri), string(r.uri))
	case r.match == wamp.MatchPrefix:
		return wildcardReaches(string(uri), string(r.uri))
	case match == wamp.MatchPrefix:
		return wildcardReaches(string(r.uri), string(uri))
	}
	return wildcardsMeet(string(r.uri), string(uri))
}

func hasOpenComponent(wildcard wamp.URI) bool {
	s := string(wildcard)
	return strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..")
}

// literalPart returns a wildcard up to its first open component: the longest
// prefix of all that it matches.
func literalPart(wildcard wamp.URI) wamp.URI {
	if strings.HasPrefix(string(wildcard), ".") {
		return ""
	}
	if at := strings.Index(string(wildcard), ".."); at >= 0 {
		return wildcard[:at+1]
	}
	return wildcard
}

// wildcardReaches reports whether wildcard matches a URI that begins with prefix.
func wildcardReaches(wildcard, prefix string) bool {
	for {
		w, wRest, wMore := strings.Cut(wildcard, ".")
		p, pRest, pMore := strings.Cut(prefix, ".")
		if !pMore {
			return w == "" || strings.HasPrefix(w, p)
		}
		if w != "" && w != p || !wMore {
			return false
		}
		wildcard, prefix = wRest, pRest
	}
}

// wildcardsMeet reports whether two wildcards match a URI in common.
func wildcardsMeet(a, b string) bool {
	for {
		x, aRest, aMore := strings.Cut(a, ".")
		y, bRest, bMore := strings.Cut(b, ".")
		if x != "" && y != "" && x != y || aMore != bMore {
			return false
		}
		if !aMore {
			return true
		}
		a, b = aRest, bRest
	}
}

// wildcardNode is a trie of wildcards: one level for each component.
type wildcardNode struct {
	named map[string]*wildcardNode
	open  *wildcardNode
	rule  *rule // nil: none ends here
}

func (n *wildcardNode) insert(pattern string, one *rule) {
	for more := true; more; {
		var component string
		component, pattern, more = strings.Cut(pattern, ".")
		next := n.open
		if component != "" {
			next = n.named[component]
		}
		if next == nil {
			next = &wildcardNode{}
			switch {
			case component == "":
				n.open = next
			case n.named == nil:
				n.named = map[string]*wildcardNode{component: next}
			default:
				n.named[component] = next
			}
		}
		n = next
	}
	n.rule = one
}

// match returns the rule of the most specific wildcard that matches uri, or nil. It recurses as deep as a URI has components, which URI.Valid bounds.
func (n *wildcardNode) match(uri string) *rule {
	component, rest, more := strings.Cut(uri, ".")
	for _, next := range [2]*wildcardNode{n.named[component], n.open} {
		switch {
		case next == nil:
		case !more:
			if next.rule != nil {
				return next.rule
			}
		default:
			if one := next.match(rest); one != nil {
				return one
			}
		}
	}
	return nil
}
