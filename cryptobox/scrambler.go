package cryptobox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// ScrambledLength is how many characters a scrambled component has, 5 bits each.
//
// Two components that scramble alike would be one to the router. Among n
// components that happens with a probability of at most n²/2^(bits+1) (birthday
// bound): with 100 bits, for the 2^32 components of 2^32 URIs that each bring a
// new one, 2^-37; and if every one of 2^32 URIs had 32 components that no other
// has, 2^-27. A character less would be 32 times or so worse, a few more would
// cost depth: within the 255 bytes of a URI, 20 characters leave room for 12
// components.
const ScrambledLength = 20

// seenComponents bounds the memory of a Scrambler: so many components at least,
// and twice as many at most, can be turned back.
const seenComponents = 1 << 15

// Scrambler hides URIs from the router, component by component: each is replaced
// by the first ScrambledLength characters of the lower-case base32 (RFC 4648) of
//
//	HMAC-SHA-256(key, component)
//
// wherever it stands in the URI, so that prefix and wildcard patterns still
// match. What the router still sees: how many components a URI has, and which
// URIs share which; it can tell a name that it guesses only with the key.
//
// URIs that begin with "wamp." are the router's own and stay as they are, and so
// do those that belong to no key. A URI belongs to the key of the longest prefix
// that it begins with, as in a KeyRing. A pattern must belong to one key as a
// whole: one that could match URIs of different keys, or of a key and of none,
// is refused, since no single scrambled pattern would match them all.
//
// A prefix pattern works by whole components: "com.app" matches "com.app" and
// "com.app.order" and, other than in the clear, not "com.apple"; "com.app."
// matches what is below "com.app". The empty prefix matches all.
//
// Everyone on a topic or procedure needs the same key; there is no rotation, as
// two keys make two topics. Scrambling is independent of sealing: a sealed
// payload is bound to the clear URI.
//
// The zero Scrambler has no keys and is ready. It may be used concurrently.
type Scrambler struct {
	keys prefixes[ScrambleKey]

	seen sync.Mutex
	// Scrambled components and what they stand for, in two generations: when
	// recent is full it becomes old, and the old one is forgotten.
	recent, old map[string]string
	limit       int // of a generation; 0 is seenComponents
}

// Set makes key the one of prefix; the zero key removes it.
func (s *Scrambler) Set(prefix wamp.URI, key ScrambleKey) error {
	return setScramble(&s.keys, prefix, key)
}

func setScramble(keys *prefixes[ScrambleKey], prefix wamp.URI, key ScrambleKey) error {
	if !validPrefix(prefix) {
		return errors.New("cryptobox: not a prefix of a URI")
	}
	keys.update(func(m map[wamp.URI]ScrambleKey) {
		if m[prefix] = key; key.IsZero() {
			delete(m, prefix)
		}
	})
	return nil
}

// Scramble returns the URI or pattern to send in place of uri, which is uri
// itself if that is reserved or has no key. An error is an ErrURI: uri is not
// valid, the pattern spans keys, or the result would be over 255 bytes.
func (s *Scrambler) Scramble(uri wamp.URI, match wamp.Match) (wamp.URI, error) {
	if !uri.Valid(match) {
		return "", ErrURI.because("not a valid URI or pattern")
	}
	if uri.Reserved() {
		return uri, nil
	}
	keys := s.keys.load()
	start := literal(uri, match)
	_, key, ok := keys.longest(start)
	if match != wamp.MatchExact && spans(keys, uri, start, match, ok) {
		return "", ErrURI.because("the pattern spans several keys")
	}
	if !ok || uri == "" {
		return uri, nil
	}
	scrambled := scramble(key, uri)
	if len(scrambled) > wamp.MaxURILength {
		return "", ErrURI.because("too many components: scrambled it is over 255 bytes")
	}
	s.remember(uri, scrambled)
	return scrambled, nil
}

// Restore returns the clear URI of one that came from the router. It knows those
// made of components that have passed through Scramble, at least the latest
// 32768 different ones; to know the names that are to come under a pattern, pass
// them through Scramble first. A URI that is sent in the clear is returned as it
// is. ok is false for any other: what it stands for is not known.
func (s *Scrambler) Restore(uri wamp.URI) (clear wamp.URI, ok bool) {
	if uri.Reserved() {
		return uri, true
	}
	keys := s.keys.load()
	if clear, ok = s.recall(uri); ok {
		// The router can put known components together as it likes: what comes out
		// must be what Scramble turns into uri.
		_, key, has := keys.longest(clear)
		if has && clear.Valid(wamp.MatchExact) && !clear.Reserved() && scramble(key, clear) == uri {
			return clear, true
		}
	}
	if _, _, has := keys.longest(uri); has || looksScrambled(uri) {
		return "", false
	}
	return uri, true
}

// literal returns what every URI that the pattern matches begins with.
func literal(uri wamp.URI, match wamp.Match) wamp.URI {
	if match != wamp.MatchWildcard {
		return uri
	}
	at := 0
	for component := range strings.SplitSeq(string(uri), ".") {
		if component == "" {
			return uri[:at]
		}
		at += len(component) + 1
	}
	return uri
}

// spans reports whether the pattern matches URIs of a longer prefix than the one
// that start, what they all begin with, belongs to.
func spans(keys *prefixTable[ScrambleKey], pattern, start wamp.URI, match wamp.Match, scrambled bool) bool {
	for prefix := range keys.values {
		switch {
		case len(prefix) <= len(start):
		case match == wamp.MatchWildcard:
			if mayBegin(prefix, pattern) {
				return true
			}
		case strings.HasPrefix(string(prefix), below(pattern, scrambled)):
			return true
		}
	}
	return false
}

// below returns what the URIs that a prefix pattern matches, other than itself,
// begin with: a scrambled pattern works by whole components, a clear one by
// characters.
func below(pattern wamp.URI, scrambled bool) string {
	if scrambled && pattern != "" && !strings.HasSuffix(string(pattern), ".") {
		pattern += "."
	}
	return string(pattern)
}

// mayBegin reports whether some URI that the wildcard pattern matches begins
// with prefix.
func mayBegin(prefix, pattern wamp.URI) bool {
	for {
		p, pRest, pMore := strings.Cut(string(prefix), ".")
		w, wRest, wMore := strings.Cut(string(pattern), ".")
		if !pMore { // the prefix may end within a component
			return w == "" || strings.HasPrefix(w, p)
		}
		if w != "" && w != p || !wMore {
			return false
		}
		prefix, pattern = wamp.URI(pRest), wamp.URI(wRest)
	}
}

// scramble replaces every component that is not empty.
func scramble(key ScrambleKey, uri wamp.URI) wamp.URI {
	var b strings.Builder
	b.Grow(wamp.MaxURILength)
	mac := hmac.New(sha256.New, key.bytes()[:])
	var sum [sha256.Size]byte
	first := true
	for component := range strings.SplitSeq(string(uri), ".") {
		if !first {
			b.WriteByte('.')
		}
		first = false
		if component == "" {
			continue
		}
		mac.Reset()
		mac.Write([]byte(component))
		b.WriteString(lowerBase32.EncodeToString(mac.Sum(sum[:0]))[:ScrambledLength])
	}
	return wamp.URI(b.String())
}

const base32Alphabet = "abcdefghijklmnopqrstuvwxyz234567"

var lowerBase32 = base32.NewEncoding(base32Alphabet).WithPadding(base32.NoPadding)

func looksScrambled(uri wamp.URI) bool {
	for component := range strings.SplitSeq(string(uri), ".") {
		if component == "" {
			continue
		}
		if len(component) != ScrambledLength || strings.Trim(component, base32Alphabet) != "" {
			return false
		}
	}
	return true
}

// remember notes what the components of scrambled stand for.
func (s *Scrambler) remember(clear, scrambled wamp.URI) {
	s.seen.Lock()
	defer s.seen.Unlock()
	for more := true; more; {
		var c, d string
		c, clear, more = cutURI(clear)
		d, scrambled, _ = cutURI(scrambled)
		if c != "" {
			s.note(d, c)
		}
	}
}

// recall puts the clear URI together.
func (s *Scrambler) recall(scrambled wamp.URI) (wamp.URI, bool) {
	s.seen.Lock()
	defer s.seen.Unlock()
	var b strings.Builder
	for more := true; more; {
		var d string
		if d, scrambled, more = cutURI(scrambled); d != "" {
			c, ok := s.recent[d]
			if !ok {
				if c, ok = s.old[d]; !ok {
					return "", false
				}
				s.note(d, c)
			}
			b.WriteString(c)
		}
		if more {
			b.WriteByte('.')
		}
	}
	return wamp.URI(b.String()), true
}

// note is called with seen held.
func (s *Scrambler) note(scrambled, clear string) {
	if _, known := s.recent[scrambled]; known {
		return
	}
	limit := s.limit
	if limit == 0 {
		limit = seenComponents
	}
	if len(s.recent) >= limit {
		s.old, s.recent = s.recent, nil
	}
	if s.recent == nil {
		s.recent = make(map[string]string)
	}
	// Copies: a component must not hold on to the frame that it came in.
	s.recent[strings.Clone(scrambled)] = strings.Clone(clear)
}

func cutURI(uri wamp.URI) (component string, rest wamp.URI, more bool) {
	component, r, more := strings.Cut(string(uri), ".")
	return component, wamp.URI(r), more
}

// String shows the prefixes that have a key.
func (s *Scrambler) String() string {
	return fmt.Sprintf("scrambler(%q)", s.keys.load().sorted())
}

// Format makes every verb of package fmt print String.
func (s *Scrambler) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue makes package log/slog log String.
func (s *Scrambler) LogValue() slog.Value { return slog.StringValue(s.String()) }
