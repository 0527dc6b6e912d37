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

// ScrambledLength is the number of characters of a scrambled component, 5 bits each.
//
// If two components scramble to the same text, the router takes them for one. Among n
// components the probability of that is at most n²/2^(bits+1) (birthday bound). With 100
// bits it is 2^-37 for 2^32 URIs that have one new component each, and 2^-27 if each of
// them has 32 new components. One character less would make it 32 times as likely. More
// characters would limit the depth: 20 characters allow 12 components within the 255
// bytes of a URI.
const ScrambledLength = 20

// seenComponents bounds the memory of a Scrambler: it can restore at least so many
// components, and at most twice as many.
const seenComponents = 1 << 15

// Scrambler hides URIs from the router, component by component: each is replaced
// by the first ScrambledLength characters of the lower-case base32 (RFC 4648) of
//
//	HMAC-SHA-256(key, component)
//
// independent of its position in the URI, so that prefix and wildcard patterns still
// match. The router still sees how many components a URI has, and which URIs share
// components. Without the key it cannot check a name that it guesses.
//
// URIs that begin with "wamp." belong to the router and stay as they are, and so do URIs
// without a key. A URI belongs to the key of the longest prefix that it begins with, as
// in a KeyRing. All URIs that a pattern can match must have the same key. Otherwise the
// pattern is refused, because no single scrambled pattern would match them all.
//
// Prefix patterns match by whole components: "com.app" matches "com.app" and
// "com.app.order" but, unlike in the clear, not "com.apple". "com.app." matches what is
// below "com.app". The empty prefix matches everything.
//
// All clients of a topic or procedure need the same key. There is no rotation, because
// two keys make two topics. Scrambling is independent of sealing: a sealed payload is
// bound to the clear URI.
//
// The zero Scrambler has no keys and is ready to use. It may be used concurrently.
type Scrambler struct {
	keys prefixes[ScrambleKey]

	seen sync.Mutex
	// Scrambled components and their clear text, in two generations: when recent is
	// full, it replaces old.
	recent, old map[string]string
	limit       int // of a generation; 0 is seenComponents
}

// Set makes key the key of prefix; the zero key removes it.
func (s *Scrambler) Set(prefix wamp.URI, key ScrambleKey) error {
	return setScramble(&s.keys, prefix, key)
}

func setScramble(keys *prefixes[ScrambleKey], prefix wamp.URI, key ScrambleKey) error {
	if !validPrefix(prefix) {
		return errors.New("cryptobox: no valid URI begins with this prefix")
	}
	keys.update(func(m map[wamp.URI]ScrambleKey) {
		if m[prefix] = key; key.IsZero() {
			delete(m, prefix)
		}
	})
	return nil
}

// Scramble returns the URI or pattern to send instead of uri. It is uri itself if uri is
// reserved or has no key. An error is an ErrURI: uri is not valid, the pattern spans
// several keys, or the result would be longer than 255 bytes.
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
		return "", ErrURI.because("too many components: scrambled it would be longer than 255 bytes")
	}
	s.remember(uri, scrambled)
	return scrambled, nil
}

// Restore returns the clear URI of a URI from the router. It knows the components that
// have passed through Scramble, at least the latest 32768 different ones. To recognize
// URIs that match a pattern, pass them to Scramble first. A URI that is sent in the
// clear is returned as it is. ok is false if the URI is not known.
func (s *Scrambler) Restore(uri wamp.URI) (clear wamp.URI, ok bool) {
	if uri.Reserved() {
		return uri, true
	}
	keys := s.keys.load()
	if clear, ok = s.recall(uri); ok {
		// The router can combine known components as it likes. The result must be a URI
		// that Scramble turns into uri.
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

// literal returns the text with which every URI that the pattern matches begins.
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

// spans reports whether the pattern also matches URIs of a longer prefix than that of
// start, the text with which they all begin.
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

// below returns the text with which all URIs begin that a prefix pattern matches, except
// for the prefix itself. A scrambled pattern matches by whole components, a clear one by
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

// scramble replaces each component that is not empty.
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

// remember records the clear components of scrambled.
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

// recall returns the clear URI of a scrambled one.
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

// note records one component. The lock of seen is held.
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
	// Copies: a component must not keep the frame alive that it came in.
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
