package scope

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

const (
	// DefaultWindow is how far clocks may differ, and how long a message may be
	// under way.
	DefaultWindow = 5 * time.Minute

	maxEpochs  = 16
	maxCiphers = 4096

	// betweenWaits keeps a publisher of garbage from stalling a receiver.
	betweenWaits = 10 * time.Second
)

// Options are how a scope is used. The zero value keeps everything in memory.
type Options struct {
	// Dir is the folder for the scope file and the state file. Without one, all is
	// forgotten at the end of the program.
	Dir string
	// Forget goes on where the state file is lost: what was received within the
	// window before could then be repeated, and an older list of members that has not
	// expired be believed.
	Forget bool
	// Window is how far clocks may differ, and how long a message may be under
	// way. Default DefaultWindow.
	Window time.Duration
	// Wait is how long a message of an unknown epoch is held, once in 10 s, for a
	// bundle that may be under way: for who accepts bundles all the time. Default 0.
	Wait time.Duration
	// Contacts name the senders; nil for none.
	Contacts *Contacts
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Scope is one member's view of a scope: the epochs that it has accepted, and
// what it has received. It may be used concurrently.
type Scope struct {
	self          *Identity
	owner         ed25519.PublicKey
	realm, prefix wamp.URI
	id            ID
	options       Options
	signer        signer
	verified      verified
	files         *files // nil without Dir

	mu       sync.Mutex
	epochs   []*epoch // newest first
	highest  uint64   // of all epochs ever accepted
	changed  chan struct{}
	waited   time.Time
	removed  bool
	received windows
	sent     ownStreams
}

// epoch is a manifest that was accepted.
type epoch struct {
	*Manifest
	id      [32]byte
	keyID   string
	self    int // index of the member that this is
	ciphers map[stream]cipher.AEAD
}

// New returns the view of a member that has accepted nothing yet, or, with
// Options.Dir, what is in its files.
func New(self *Identity, owner ed25519.PublicKey, realm, prefix wamp.URI, o Options) (*Scope, error) {
	switch {
	case !realm.Valid(wamp.MatchExact):
		return nil, ErrValue.because("the realm is not a URI")
	case prefix != "" && !prefix.Valid(wamp.MatchPrefix) || prefix.Reserved():
		return nil, ErrValue.because("the prefix cannot begin a URI")
	}
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Scope{self: self, owner: owner, realm: realm, prefix: prefix, id: scopeID(owner, realm, prefix), options: o,
		signer: signer{identity: self}, changed: make(chan struct{}), received: newWindows(o.Now()),
		sent: newOwnStreams()}
	if o.Dir != "" {
		if err := s.load(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Format prints the scope's id, whatever the verb.
func (s *Scope) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "scope ", s.id) }

// ID returns the scope's id.
func (s *Scope) ID() ID { return s.id }

// Topic returns the topic on which the scope's bundles are retained.
func (s *Scope) Topic() wamp.URI { return s.id.Topic() }

// Realm and Prefix say which URIs are the scope's.
func (s *Scope) Realm() wamp.URI  { return s.realm }
func (s *Scope) Prefix() wamp.URI { return s.prefix }

// Owner returns the owner's key.
func (s *Scope) Owner() ed25519.PublicKey { return s.owner }

// Manifest returns the newest manifest, or nil if none was accepted. It must not
// be changed.
func (s *Scope) Manifest() *Manifest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.epochs) == 0 {
		return nil
	}
	return s.epochs[0].Manifest
}

// Accept checks a bundle ("Accepting a bundle") and makes its manifest the
// newest. fresh is false for the one that is the newest already.
func (s *Scope) Accept(data []byte) (fresh bool, err error) {
	b, err := parseBundle(data)
	if err != nil {
		return false, err
	}
	now := s.options.Now()
	if b.scope != s.id {
		return false, ErrWrongScope
	}
	if !b.genuine(s.owner) {
		return false, ErrBadSignature
	}
	s.mu.Lock()
	old := b.epoch < s.highest
	s.mu.Unlock()
	if old {
		return false, ErrOldEpoch.because("the bundle is older than one that was accepted before")
	}
	m, err := b.open(s.self)
	if err != nil {
		s.leftOut(b, err)
		return false, err
	}
	if !bytes.Equal(m.Owner, s.owner) || m.Realm != s.realm || m.Prefix != s.prefix || m.Epoch != b.epoch {
		return false, ErrWrongScope
	}
	return s.enter(m, now)
}

// leftOut notes that the owner has made a later epoch without this member, so that nothing
// more is sealed for those who would not take it.
func (s *Scope) leftOut(b *bundle, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = s.removed || errors.Is(err, ErrNotMember) && len(s.epochs) > 0 && b.epoch > s.epochs[0].Epoch
}

// enter makes a manifest the newest, if it continues what is known and is in
// force.
func (s *Scope) enter(m *Manifest, now time.Time) (fresh bool, err error) {
	e := newEpoch(m, s.self)
	s.mu.Lock()
	defer s.mu.Unlock()
	known := len(s.epochs) > 0 && s.epochs[0].Epoch == m.Epoch
	switch {
	case m.Epoch < s.highest:
		return false, ErrOldEpoch.because("the bundle is older than one that was accepted before")
	case known && s.epochs[0].id != e.id,
		len(s.epochs) > 0 && s.epochs[0].Epoch+1 == m.Epoch && !bytes.Equal(m.Previous, s.epochs[0].id[:]),
		(m.Epoch == 1) != (len(m.Previous) == 0):
		return false, ErrForked
	case e.self < 0:
		return false, ErrNotMember
	case now.Before(m.NotBefore.Add(-s.options.Window)):
		return false, ErrNotYet
	case now.After(m.NotAfter):
		return false, ErrExpired
	case known:
		return false, nil
	}
	epochs := append([]*epoch{e}, s.epochs...)
	epochs = epochs[:min(len(epochs), maxEpochs)]
	highest := m.Epoch
	if s.files != nil {
		if err := s.files.saveScope(s, epochs); err != nil {
			return false, err
		}
		if err := s.files.saveState(s, highest, false); err != nil {
			return false, err
		}
	}
	s.epochs, s.highest, s.removed = epochs, highest, false
	close(s.changed)
	s.changed = make(chan struct{})
	return true, nil
}

func newEpoch(m *Manifest, self *Identity) *epoch {
	e := &epoch{Manifest: m, id: m.id(), self: m.index(self.Key), ciphers: make(map[stream]cipher.AEAD)}
	e.keyID = keyID(&e.id)
	return e
}

// cipher returns the cipher of a stream, and whether it was known. Scope.mu is
// held.
func (e *epoch) cipher(of stream) (cipher.AEAD, bool) {
	if a := e.ciphers[of]; a != nil {
		return a, true
	}
	return newAEAD(&e.inner().secret, &e.id, of), false
}

// remember keeps a cipher. Scope.mu is held.
func (e *epoch) remember(of stream, a cipher.AEAD) {
	if len(e.ciphers) >= maxCiphers {
		clear(e.ciphers)
	}
	e.ciphers[of] = a
}

// await waits for another manifest than the ones that were tried, if it may.
func (s *Scope) await(ctx context.Context) bool {
	s.mu.Lock()
	changed, now := s.changed, time.Now()
	if s.options.Wait <= 0 || now.Sub(s.waited) < betweenWaits {
		s.mu.Unlock()
		return false
	}
	s.waited = now
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.options.Wait)
	defer cancel()
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

// named returns the sender's name, and whether it is a contact's.
func (s *Scope) named(m *Member) (name string, known bool) {
	if s.options.Contacts != nil {
		for _, c := range s.options.Contacts.list {
			if c.Key.Equal(m.Key) {
				return c.Name, true
			}
		}
	}
	if m.Key.Equal(s.self.Key) {
		return s.self.Name, true
	}
	return m.Name, false
}

func keyText(key ed25519.PublicKey) string { return base64.RawURLEncoding.EncodeToString(key) }

// Export derives a secret from that of the newest epoch, for another protocol
// ("Export"). Every member gets the same one for a label.
func (s *Scope) Export(label string) (out [32]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.epochs) == 0 {
		return out, ErrUnknownEpoch.because("nothing was fetched yet")
	}
	e := s.epochs[0]
	key, err := hkdf.Key(sha256.New, e.inner().secret[:], nil, "blindfold export 1\n"+label+"\n"+string(e.id[:]), 32)
	if err != nil {
		return out, err
	}
	return [32]byte(key), nil
}
