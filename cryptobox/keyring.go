package cryptobox

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// KeyRing holds keys by URI prefix. A URI belongs to the longest prefix that it
// begins with, character by character ("com.app" is a prefix of "com.apple");
// "" is the prefix of all URIs. These are the rules of Autobahn|Python's KeyRing.
//
// A prefix may hold several keys, for rotation: sealing uses the newest that has
// the private half of the sealing side, opening tries all of them, newest first.
// To rotate without a gap, Accept the new key at every peer, then Add it at every
// peer, then Remove the old one when nothing sealed with it is under way any more.
//
// The zero KeyRing is empty and ready. It may be used concurrently. Printed,
// logged or marshalled it shows prefixes and public keys.
//
// It keeps scramble keys as well, one for each prefix that has one; Scrambler
// puts them to use.
type KeyRing struct {
	keys     prefixes[[]*Key] // newest first; slices are never changed in place
	scramble prefixes[ScrambleKey]
}

// Add makes key the newest of prefix.
func (r *KeyRing) Add(prefix wamp.URI, key *Key) error {
	if err := check(prefix, key); err != nil {
		return err
	}
	r.keys.update(func(m map[wamp.URI][]*Key) {
		m[prefix] = append([]*Key{key}, without(m[prefix], key.same)...)
	})
	return nil
}

// Accept makes key the oldest of prefix: it opens, and does not seal where there
// is another. A key that is there already stays where it is.
func (r *KeyRing) Accept(prefix wamp.URI, key *Key) error {
	if err := check(prefix, key); err != nil {
		return err
	}
	r.keys.update(func(m map[wamp.URI][]*Key) {
		if !slices.ContainsFunc(m[prefix], key.same) {
			m[prefix] = append(slices.Clone(m[prefix]), key)
		}
	})
	return nil
}

// Set makes key the only one of prefix.
func (r *KeyRing) Set(prefix wamp.URI, key *Key) error {
	if err := check(prefix, key); err != nil {
		return err
	}
	r.keys.update(func(m map[wamp.URI][]*Key) { m[prefix] = []*Key{key} })
	return nil
}

func check(prefix wamp.URI, key *Key) error {
	if key == nil {
		return errors.New("cryptobox: no key given")
	}
	if !validPrefix(prefix) {
		return errors.New("cryptobox: not a prefix of a URI")
	}
	return nil
}

// Remove takes those keys of prefix away that have the halves of key, whichever
// side they serve.
func (r *KeyRing) Remove(prefix wamp.URI, key *Key) {
	if key == nil {
		return
	}
	r.keys.update(func(m map[wamp.URI][]*Key) {
		m[prefix] = without(m[prefix], key.samePublic)
		if len(m[prefix]) == 0 {
			delete(m, prefix)
		}
	})
}

// without returns a copy of keys that lacks what drop selects.
func without(keys []*Key, drop func(*Key) bool) []*Key {
	return slices.DeleteFunc(slices.Clone(keys), drop)
}

// RemovePrefix takes all keys of prefix away. Its URIs then belong to the next
// shorter prefix, or to none: then they are sent in the clear.
func (r *KeyRing) RemovePrefix(prefix wamp.URI) {
	r.keys.update(func(m map[wamp.URI][]*Key) { delete(m, prefix) })
}

// SetScramble makes key the scramble key of prefix; the zero key removes it.
func (r *KeyRing) SetScramble(prefix wamp.URI, key ScrambleKey) error {
	return setScramble(&r.scramble, prefix, key)
}

// Scrambles reports whether prefix has a scramble key.
func (r *KeyRing) Scrambles(prefix wamp.URI) bool {
	_, ok := r.scramble.load().values[prefix]
	return ok
}

// Scrambler returns a new Scrambler with the scramble keys that r has now, or nil
// if it has none.
func (r *KeyRing) Scrambler() *Scrambler {
	t := r.scramble.load()
	if len(t.values) == 0 {
		return nil
	}
	s := new(Scrambler)
	s.keys.snapshot.Store(t)
	return s
}

// Prefixes returns the prefixes that have keys, in alphabetical order.
func (r *KeyRing) Prefixes() []wamp.URI { return r.keys.load().sorted() }

// Keys returns the keys of prefix, newest first.
func (r *KeyRing) Keys(prefix wamp.URI) []*Key {
	return slices.Clone(r.keys.load().values[prefix])
}

// Covers reports whether uri has a key, on either side.
func (r *KeyRing) Covers(uri wamp.URI) bool { return len(r.lookup(uri)) > 0 }

// lookup returns the keys that uri belongs to, newest first. The caller must not
// change them.
func (r *KeyRing) lookup(uri wamp.URI) []*Key {
	if r == nil {
		return nil
	}
	_, keys, _ := r.keys.load().longest(uri)
	return keys
}

// String shows the prefixes and their public keys.
func (r *KeyRing) String() string {
	var b strings.Builder
	b.WriteString("keyring(")
	if r != nil {
		t := r.keys.load()
		for i, prefix := range t.sorted() {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%q: %v", string(prefix), t.values[prefix])
		}
		if scrambled := r.scramble.load().sorted(); len(scrambled) > 0 {
			fmt.Fprintf(&b, "; scrambles %q", scrambled)
		}
	}
	b.WriteString(")")
	return b.String()
}

// Format makes every verb of package fmt print String.
func (r *KeyRing) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

// LogValue makes package log/slog log String.
func (r *KeyRing) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText makes encoders of text formats, JSON among them, write String. The
// keys themselves are written by Encode and Save alone.
func (r *KeyRing) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
