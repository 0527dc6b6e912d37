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

// Permission is one rule of a role: what may and may not be done with the URIs
// that URI selects under Match. A rule says nothing about actions in neither
// list; an action in both is denied.
type Permission struct {
	URI         wamp.URI
	Match       wamp.Match
	Allow, Deny []router.Action
	// Disclose makes the router disclose who did what the rule allows.
	Disclose bool
}

// Role is a named list of rules. Their order means nothing.
type Role struct {
	Name        string
	Permissions []Permission
}

// Permissions authorizes by fixed rules, kept by role. What no rule allows is
// denied. Of the rules that match a URI and say something about the action, the
// most specific decides: exact before prefix before wildcard, a longer prefix
// before a shorter one, and of wildcards the one that names the first component
// in which they differ (WAMP, "Pattern-based Registrations"). Rules with the
// same URI and Match count as one, in which deny beats allow.
//
// A pattern, in SUBSCRIBE or REGISTER, is allowed if every URI that it could
// match is: some allowing rule must cover all of it, and no denying rule that
// is more specific than that one may select any of it. So with "com." allowed
// as a prefix and "com.secret" denied, "com." can't be subscribed to as a
// prefix, and "com.app." can. A narrower allowing rule inside a denied part
// doesn't help a pattern around it.
//
// A rule whose URI begins with "wamp." allows explicitly (router.Decision): a
// prefix of all URIs lets nobody end other sessions.
//
// Authorize may be called concurrently and doesn't allocate.
type Permissions struct {
	roles map[string]*[actions]rules
}

// NewPermissions compiles roles, which it doesn't keep. It returns an error for
// a role named twice, a URI that isn't valid under its Match, and a wildcard
// that can't ever decide what it says, because a prefix says otherwise about
// everything the wildcard matches.
func NewPermissions(roles []Role) (*Permissions, error) {
	p := &Permissions{roles: make(map[string]*[actions]rules, len(roles))}
	for _, role := range roles {
		if _, twice := p.roles[role.Name]; twice {
			return nil, fmt.Errorf("auth: role %q is there twice", role.Name)
		}
		compiled := new([actions]rules)
		p.roles[role.Name] = compiled
		for _, permission := range role.Permissions {
			if !permission.URI.Valid(permission.Match) {
				return nil, fmt.Errorf("auth: role %q: %q is no valid URI for match %s", role.Name, permission.URI, permission.Match)
			}
			for _, action := range slices.Concat(permission.Allow, permission.Deny) {
				if action >= actions {
					return nil, fmt.Errorf("auth: role %q: %q: unknown action", role.Name, permission.URI)
				}
				compiled[action].add(rule{
					uri: permission.URI, match: permission.Match,
					decision: router.Decision{
						Allow:     !slices.Contains(permission.Deny, action),
						Disclose:  permission.Disclose,
						Explicit:  permission.URI.Reserved(),
						Cacheable: true,
					},
				})
			}
		}
		for action := range compiled {
			if err := compiled[action].compile(); err != nil {
				return nil, fmt.Errorf("auth: role %q: %s: %w", role.Name, router.Action(action), err)
			}
		}
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
		return compiled[action].decide(uri), nil
	}
	return compiled[action].decidePattern(uri, match), nil
}

const actions = router.ActionRegister + 1

// rule is what a role's permissions say about one URI or pattern, for one action.
type rule struct {
	uri      wamp.URI
	match    wamp.Match
	decision router.Decision
}

// rules are a role's rules for one action.
type rules struct {
	exact    map[wamp.URI]router.Decision
	prefix   map[wamp.URI]router.Decision
	lengths  []int // of the keys of prefix, longest first
	wildcard *wildcardNode
	sorted   []rule // all of them, the most specific first
}

// add adds a rule, or merges it into the one of the same URI and match.
func (r *rules) add(one rule) {
	at := slices.IndexFunc(r.sorted, func(old rule) bool { return old.uri == one.uri && old.match == one.match })
	if at < 0 {
		r.sorted = append(r.sorted, one)
		return
	}
	old := &r.sorted[at].decision
	old.Allow = old.Allow && one.decision.Allow
	old.Disclose = old.Disclose || one.decision.Disclose
}

func (r *rules) compile() error {
	slices.SortFunc(r.sorted, bySpecificity)
	for i := range r.sorted {
		one := &r.sorted[i]
		if !one.decision.Allow {
			one.decision = router.Decision{}
		}
		switch one.match {
		case wamp.MatchExact:
			put(&r.exact, one.uri, one.decision)
		case wamp.MatchPrefix:
			put(&r.prefix, one.uri, one.decision)
			if n := len(one.uri); !slices.Contains(r.lengths, n) {
				r.lengths = append(r.lengths, n)
			}
		case wamp.MatchWildcard:
			if by := r.shadowing(one); by != nil {
				return fmt.Errorf("the wildcard %q never takes effect, since the prefix %q precedes it; write it as prefixes or exact URIs",
					one.uri, by.uri)
			}
			if r.wildcard == nil {
				r.wildcard = &wildcardNode{}
			}
			r.wildcard.insert(string(one.uri), one.decision)
		}
	}
	return nil
}

func put(m *map[wamp.URI]router.Decision, uri wamp.URI, d router.Decision) {
	if *m == nil {
		*m = make(map[wamp.URI]router.Decision)
	}
	(*m)[uri] = d
}

// shadowing returns a prefix rule that decides otherwise than the wildcard w
// for all that w matches.
func (r *rules) shadowing(w *rule) *rule {
	for i := range r.sorted {
		if p := &r.sorted[i]; p.match == wamp.MatchPrefix && p.covers(w.uri, w.match) {
			if p.decision != w.decision {
				return p
			}
			return nil
		}
	}
	return nil
}

// decide returns the decision of the most specific rule that matches uri.
func (r *rules) decide(uri wamp.URI) router.Decision {
	if d, ok := r.exact[uri]; ok {
		return d
	}
	for _, n := range r.lengths {
		if n > len(uri) {
			continue
		}
		if d, ok := r.prefix[uri[:n]]; ok {
			return d
		}
	}
	if r.wildcard != nil {
		if d := r.wildcard.match(string(uri)); d != nil {
			return *d
		}
	}
	return router.Decision{}
}

// decidePattern goes through the rules from the most specific: whatever denies
// a part of the pattern before something allows all of it decides. A rule below
// the one that covers the pattern can't matter, since that one precedes it for
// every URI of the pattern.
func (r *rules) decidePattern(uri wamp.URI, match wamp.Match) router.Decision {
	for i := range r.sorted {
		switch one := &r.sorted[i]; {
		case one.decision.Allow && one.covers(uri, match):
			return one.decision
		case !one.decision.Allow && one.overlaps(uri, match):
			return router.Decision{}
		}
	}
	return router.Decision{}
}

// bySpecificity orders rules so that of two that match the same URI the one that
// decides comes first.
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

// covers reports whether the rule matches everything that the pattern matches,
// which isn't MatchExact.
func (r *rule) covers(uri wamp.URI, match wamp.Match) bool {
	switch r.match {
	case wamp.MatchPrefix:
		if match == wamp.MatchWildcard {
			uri = literalPart(uri)
		}
		return strings.HasPrefix(string(uri), string(r.uri))
	case wamp.MatchWildcard:
		// Taken as a URI, a pattern has "" where it leaves a component open,
		// and only an open component of the rule matches that.
		return match == wamp.MatchWildcard && r.uri.Matches(wamp.MatchWildcard, uri)
	}
	return false
}

// overlaps reports whether there is a URI that the rule and the pattern match.
func (r *rule) overlaps(uri wamp.URI, match wamp.Match) bool {
	switch {
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
	named    map[string]*wildcardNode
	open     *wildcardNode
	decision *router.Decision
}

func (n *wildcardNode) insert(pattern string, d router.Decision) {
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
	n.decision = &d
}

// match returns the decision of the most specific wildcard that matches uri, or
// nil. It recurses as deep as a URI has components, which URI.Valid bounds.
func (n *wildcardNode) match(uri string) *router.Decision {
	component, rest, more := strings.Cut(uri, ".")
	for _, next := range [2]*wildcardNode{n.named[component], n.open} {
		switch {
		case next == nil:
		case !more:
			if next.decision != nil {
				return next.decision
			}
		default:
			if d := next.match(rest); d != nil {
				return d
			}
		}
	}
	return nil
}
