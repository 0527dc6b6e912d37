package cryptobox

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// KeyRing holds keys by URI prefix. A URI belongs to the longest prefix that it begins
// with, by characters ("com.app" is a prefix of "com.apple"). "" is the prefix of all
// URIs. These are the rules of Autobahn|Python's KeyRing.
//
// A prefix may have several keys, for rotation. Sealing uses the newest key that has the
// private key of the sealing side. Opening tries all keys, the newest first. To rotate
// without a gap, Accept the new key at every client, then Add it at every client, then
// Remove the old key when no payload sealed with it is in flight any more.
//
// The zero KeyRing is empty and ready to use. It may be used concurrently. If it is
// printed, logged or marshalled, it shows prefixes and public keys only.
//
// It also keeps scramble keys, at most one per prefix; see Scrambler.
type KeyRing struct {
	keys     prefixes[[]*Key] // newest first; slices are never changed in place
	scramble prefixes[ScrambleKey]
}

// Add makes key the newest key of prefix.
func (r *KeyRing) Add(prefix wamp.URI, key *Key) error {
	if err := check(prefix, key); err != nil {
		return err
	}
	r.keys.update(func(m map[wamp.URI][]*Key) {
		m[prefix] = append([]*Key{key}, without(m[prefix], key.same)...)
	})
	return nil
}

// Accept makes key the oldest key of prefix: it opens payloads, and seals only if there
// is no other. A key that is there already keeps its position.
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

// Set makes key the only key of prefix.
func (r *KeyRing) Set(prefix wamp.URI, key *Key) error {
	if err := check(prefix, key); err != nil {
		return err
	}
	r.keys.update(func(m map[wamp.URI][]*Key) { m[prefix] = []*Key{key} })
	return nil
}

func check(prefix wamp.URI, key *Key) error {
	if key == nil {
		return errors.New("cryptobox: the key is nil")
	}
	if !validPrefix(prefix) {
		return errors.New("cryptobox: no valid URI begins with this prefix")
	}
	return nil
}

// Remove removes the keys of prefix that have the halves of key, whichever side they
// serve.
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

// without returns a copy of keys without those that drop selects.
func without(keys []*Key, drop func(*Key) bool) []*Key {
	return slices.DeleteFunc(slices.Clone(keys), drop)
}

// RemovePrefix removes all keys of prefix. Its URIs then belong to the next shorter
// prefix. If there is none, they are sent in the clear.
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

// Scrambler returns a new Scrambler with the present scramble keys of r, or nil if r has
// none.
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

// Covers reports whether uri has a key, for either side.
func (r *KeyRing) Covers(uri wamp.URI) bool { return len(r.lookup(uri)) > 0 }

// lookup returns the keys of uri, newest first. The caller must not change the slice.
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

// MarshalText makes encoders of text formats, such as JSON, write String. Only Encode and
// Save write the keys themselves.
func (r *KeyRing) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
