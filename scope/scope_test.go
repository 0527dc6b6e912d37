package scope

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func good[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// club is a scope of alice with bob in it, whose files are in a folder.
type club struct {
	t          *testing.T
	alice, bob *Identity
	owner      *Owner
	hers       *Scope
	dir        string
	clock      clock
	bundles    [][]byte
}

func newClub(t *testing.T) *club {
	c := &club{t: t, dir: t.TempDir(), clock: clock{t0}}
	c.alice = good[*Identity](t)(NewIdentity("alice", false))
	c.bob = good[*Identity](t)(NewIdentity("bob", false))
	c.owner = NewOwner(c.alice, realm, prefix)
	c.check(c.owner.Add("bob", &c.bob.Public, AllRights))
	c.hers = good[*Scope](t)(New(c.alice, c.alice.Key, realm, prefix, Options{Now: c.clock.now}))
	c.rotate()
	c.clock.ms++
	return c
}

func (c *club) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *club) rotate() {
	c.t.Helper()
	c.check(c.owner.Rotate(c.hers, func(b []byte) error {
		c.bundles = append(c.bundles, b)
		return nil
	}))
}

// his opens bob's view, from the files in the folder.
func (c *club) his() (*Scope, error) {
	s, err := New(c.bob, c.alice.Key, realm, prefix, Options{Now: c.clock.now, Dir: c.dir})
	if err == nil && s.Manifest() == nil {
		_, err = s.Accept(c.bundles[len(c.bundles)-1])
	}
	return s, err
}

type sealed struct {
	attrs   wamp.Attributes
	payload []byte
}

func (c *club) event(from *Scope, text string) sealed {
	c.t.Helper()
	a, p, err := from.seal(&wamp.Subject{Type: wamp.TypePublish, URI: topic, Originator: true}, []any{text}, nil)
	c.check(err)
	return sealed{a, p}
}

func (m sealed) open(s *Scope) (*wamp.Origin, error) {
	on := &wamp.Subject{Type: wamp.TypePublish, URI: topic}
	_, _, err := s.open(on, &m.attrs, m.payload)
	return on.Origin, err
}

// What was accepted before a restart is a repetition after it; after a crash, too.
func TestStateOutlivesTheProgram(t *testing.T) {
	for name, end := range map[string]func(c *club, s *Scope){
		"closed": func(c *club, s *Scope) { c.check(s.Close()) },
		"crashed": func(c *club, s *Scope) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.files.closed = true // nothing is written any more
			if s.files.timer != nil {
				s.files.timer.Stop()
			}
			s.files.unlock()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClub(t)
			s := good[*Scope](t)(c.his())
			c.clock.ms += 1000
			one, two := c.event(c.hers, "one"), c.event(c.hers, "two")
			if _, err := one.open(s); err != nil {
				t.Fatal(err)
			}
			end(c, s)
			c.clock.ms += 1000
			s = good[*Scope](t)(c.his())
			defer s.Close()
			want := map[string]*Error{"closed": ErrRepeated, "crashed": ErrTooOld}[name]
			if _, err := one.open(s); !errors.Is(err, want) {
				t.Errorf("again: %v", err)
			}
			o, err := two.open(s)
			if name == "crashed" {
				if !errors.Is(err, ErrTooOld) {
					t.Errorf("of before the crash: %v", err)
				}
				return
			}
			if err != nil || o.Missing != 0 || o.First {
				t.Errorf("the next one: %+v %v", o, err)
			}
		})
	}
}

// The state is written while messages come, without being asked to.
func TestStateIsWrittenWhileMessagesCome(t *testing.T) {
	c := newClub(t)
	s := good[*Scope](t)(c.his())
	defer s.Close()
	c.clock.ms += 10
	if _, err := c.event(c.hers, "one").open(s); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		data, err := os.ReadFile(filepath.Join(c.dir, s.id.String()+".state"))
		c.check(err)
		st, err := parseState(data)
		c.check(err)
		if len(st.streams) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is not written")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestStateLost(t *testing.T) {
	c := newClub(t)
	s := good[*Scope](t)(c.his())
	c.check(s.Close())
	path := filepath.Join(c.dir, s.id.String()+".state")
	for name, spoil := range map[string]func() error{
		"removed": func() error { return os.Remove(path) },
		"damaged": func() error { return os.WriteFile(path, []byte{1, 2, 3}, 0o600) },
	} {
		c.check(spoil())
		if _, err := c.his(); !errors.Is(err, ErrStateLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := New(c.bob, c.alice.Key, realm, prefix, Options{Now: c.clock.now, Dir: c.dir, Forget: true})
	c.check(err)
	c.check(s.Close())
}

// The scope file is lost, and the router has an old bundle: the state knows better.
func TestOldEpochAfterTheScopeFileIsLost(t *testing.T) {
	c := newClub(t)
	s := good[*Scope](t)(c.his())
	c.clock.ms += 1000
	c.rotate()
	_, err := s.Accept(c.bundles[1])
	c.check(err)
	c.check(s.Close())
	c.check(os.Remove(filepath.Join(c.dir, s.id.String()+".scope")))
	s, err = New(c.bob, c.alice.Key, realm, prefix, Options{Now: c.clock.now, Dir: c.dir})
	c.check(err)
	defer s.Close()
	if _, err := s.Accept(c.bundles[0]); !errors.Is(err, ErrOldEpoch) {
		t.Error(err)
	}
	if _, err := s.Accept(c.bundles[1]); err != nil {
		t.Error(err)
	}
}

// A second program does not spoil the first one's state, and takes nothing of before
// its start.
func TestTwoPrograms(t *testing.T) {
	c := newClub(t)
	first := good[*Scope](t)(c.his())
	defer first.Close()
	c.clock.ms += 1000
	before := c.event(c.hers, "before")
	second := good[*Scope](t)(c.his())
	if second.files.lock != nil {
		t.Fatal("both have the lock")
	}
	if _, err := before.open(second); !errors.Is(err, ErrTooOld) {
		t.Error(err)
	}
	c.clock.ms++
	after := c.event(c.hers, "after")
	for _, s := range []*Scope{first, second} {
		if _, err := after.open(s); err != nil {
			t.Error(err)
		}
	}
	c.check(second.Close())
	if err := second.Leave(); err != nil {
		t.Error(err) // closed: nothing is left to do
	}
}

func TestFilesOfOthersAreRefused(t *testing.T) {
	c := newClub(t)
	path := filepath.Join(c.dir, "identity.json")
	c.check(c.alice.Save(path))
	if id, err := LoadIdentity(path); err != nil || id.String() != c.alice.String() {
		t.Fatal(err)
	}
	c.check(os.Chmod(path, 0o640))
	if _, err := LoadIdentity(path); err == nil || !strings.Contains(err.Error(), "accessible by other users") {
		t.Error(err)
	}
	s := good[*Scope](t)(c.his())
	c.check(s.Close())
	for _, end := range []string{".scope", ".state"} {
		path := filepath.Join(c.dir, s.id.String()+end)
		info, err := os.Stat(path)
		c.check(err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", end, info.Mode().Perm())
		}
		c.check(os.Chmod(path, 0o644))
		if _, err := c.his(); err == nil || !strings.Contains(err.Error(), "accessible by other users") {
			t.Errorf("%s: %v", end, err)
		}
		c.check(os.Chmod(path, 0o600))
	}
}

// A message that came before its epoch's bundle waits for it, but not each time.
func TestWaitsForABundle(t *testing.T) {
	c := newClub(t)
	s, err := New(c.bob, c.alice.Key, realm, prefix, Options{Now: c.clock.now, Wait: time.Minute})
	c.check(err)
	_, err = s.Accept(c.bundles[0])
	c.check(err)
	c.clock.ms += 1000
	c.rotate()
	m := c.event(c.hers, "early")
	done := make(chan error)
	go func() {
		_, err := m.open(s)
		done <- err
	}()
	for waits := false; !waits; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		waits = !s.waited.IsZero()
		s.mu.Unlock()
	}
	_, err = s.Accept(c.bundles[1])
	c.check(err)
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.rotate()
	if _, err := c.event(c.hers, "again").open(s); !errors.Is(err, ErrUnknownEpoch) {
		t.Error(err)
	}
}

// Many who seal at once share signatures; each message opens by itself.
func TestConcurrentSealing(t *testing.T) {
	alice, bob := pair(t)
	const each, workers = 40, 16
	payloads := make(chan sealed, each*workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				a, p, _, err := alice.Seal(&wamp.Subject{Type: wamp.TypePublish, URI: topic}, []any{fmt.Sprint(w, i)}, nil)
				if err != nil {
					t.Error(err)
				}
				payloads <- sealed{a, p}
			}
		})
	}
	all.Wait()
	close(payloads)
	seen := make(map[any]bool)
	for m := range payloads {
		args, _, err := bob.Open(&wamp.Subject{Type: wamp.TypePublish, URI: topic}, &m.attrs, m.payload)
		if err != nil {
			t.Fatal(err)
		}
		seen[args[0]] = true
	}
	if len(seen) != each*workers {
		t.Errorf("%d messages", len(seen))
	}
}

func TestPostQuantumMembers(t *testing.T) {
	c := newClub(t)
	carol := good[*Identity](t)(NewIdentity("carol", true))
	c.check(c.owner.Add("carol", &carol.Public, AllRights))
	c.clock.ms++
	c.rotate()
	for _, id := range []*Identity{c.bob, carol} {
		s, err := New(id, c.alice.Key, realm, prefix, Options{Now: c.clock.now})
		c.check(err)
		if _, err := s.Accept(c.bundles[1]); err != nil {
			t.Errorf("%s: %v", id.Name, err)
		}
	}
	if id, err := ParseIdentity(carol.Encode()); err != nil || id.String() != carol.String() {
		t.Error(err)
	}
}

// Who has an SSH key needs no other.
func TestSSHMember(t *testing.T) {
	c := newClub(t)
	public, private, err := ed25519.GenerateKey(nil)
	c.check(err)
	block, err := ssh.MarshalPrivateKey(private, "")
	c.check(err)
	key, err := ssh.NewPublicKey(public)
	c.check(err)
	secret, recipient := string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	dave := good[*Identity](t)(NewIdentityWith("dave", secret, recipient))
	if again, err := ParsePublic(dave.Public.String()); err != nil || again.Recipient != recipient {
		t.Fatal(err)
	}
	if again, err := ParseIdentity(dave.Encode()); err != nil || again.String() != dave.String() {
		t.Fatal(err)
	}
	c.check(c.owner.Add("dave", &dave.Public, Subscribe))
	c.clock.ms++
	c.rotate()
	for _, id := range []*Identity{c.bob, dave} {
		s, err := New(id, c.alice.Key, realm, prefix, Options{Now: c.clock.now})
		c.check(err)
		if _, err := s.Accept(c.bundles[1]); err != nil {
			t.Errorf("%s: %v", id.Name, err)
		}
	}
	if _, err := NewIdentityWith("dave", secret, c.bob.Recipient); err == nil {
		t.Error("another's recipient was taken")
	}
}

// A bundle for 1,000 members fits; a group that does not is refused with the reason.
func TestLargeGroups(t *testing.T) {
	o, s := group(t, 1000)
	if err := o.Rotate(s, func(b []byte) error {
		if len(b) > MaxBundle {
			t.Errorf("%d bytes", len(b))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	carol := good[*Identity](t)(NewIdentity("carol", true))
	many := NewOwner(carol, realm, prefix)
	for i := range 200 {
		id := good[*Identity](t)(NewIdentity(fmt.Sprint("m", i), true))
		if err := many.Add(id.Name, &id.Public, AllRights); err != nil {
			t.Fatal(err)
		}
	}
	s = good[*Scope](t)(New(carol, carol.Key, realm, prefix, Options{}))
	if err := many.Rotate(s, func([]byte) error { return nil }); err == nil || !strings.Contains(err.Error(), "divide the group") {
		t.Error(err)
	}
	if s.Manifest() != nil {
		t.Error("a refused epoch is in force")
	}
}

// More streams than are remembered: the oldest is forgotten, and what could repeat it is
// refused.
func TestForgottenStreams(t *testing.T) {
	ws := newWindows(fromMillis(0))
	key := func(i int) streamKey { return streamKey{stream: streamOf(fmt.Sprint(i))} }
	for i := range maxStreams + 1 {
		if _, err := ws.accept(key(i), 0, uint64(1000+i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(ws.streams) != maxStreams {
		t.Errorf("%d streams", len(ws.streams))
	}
	if _, err := ws.accept(key(0), 0, 1000); !errors.Is(err, ErrTooOld) {
		t.Errorf("the forgotten one again: %v", err)
	}
	if _, err := ws.accept(key(1), 0, 1001); !errors.Is(err, ErrRepeated) {
		t.Errorf("one that is remembered: %v", err)
	}
}

// What a sealed event costs on the wire, in MessagePack, against a clear one.
func TestOverhead(t *testing.T) {
	c := newClub(t)
	c.clock.ms += 3_600_000
	args := payload256()
	a, p, err := c.hers.seal(&wamp.Subject{Type: wamp.TypePublish, URI: topic, Originator: true}, args, nil)
	c.check(err)
	plain := 64 + 1 + 1 // signature, proof, end of padding
	content, err := encodeContent(args, nil)
	c.check(err)
	b := body{time: 3_600_000}
	plain += len(b.encode(content))
	unpadded := len(p) - (padded(plain) - plain)
	attributes := 0
	for key, value := range map[string]string{"ppt_scheme": a.PPTScheme, "ppt_serializer": a.PPTSerializer, "ppt_cipher": a.PPTCipher, "ppt_keyid": a.PPTKeyID} {
		attributes += 1 + len(key) + 1 + len(value)
	}
	if got := unpadded + attributes - 256; got > 200 {
		t.Errorf("overhead %d bytes: %d of the payload, %d of the attributes", got, unpadded-256, attributes)
	} else {
		t.Logf("overhead %d bytes: %d of the payload, %d of the attributes; padding %d", got, unpadded-256, attributes, padded(plain)-plain)
	}
}

// Nothing that is printed shows a secret.
func TestPrintingShowsNoSecret(t *testing.T) {
	c := newClub(t)
	sealer := good[*Sealer](t)(NewSealer(realm, c.hers))
	inside := struct {
		identity *Identity
		scope    *Scope
		manifest *Manifest
		sealer   *Sealer
	}{c.alice, c.hers, c.hers.Manifest(), sealer}
	for _, v := range []any{c.alice, *c.alice, c.hers.Manifest(), *c.hers.Manifest(), c.hers, sealer, inside, &inside} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
			text := fmt.Sprintf(format, v)
			m := c.hers.Manifest()
			for _, secret := range []string{c.alice.keys().age, fmt.Sprint(m.inner().secret[:]), fmt.Sprintf("%x", m.inner().secret), fmt.Sprint(c.alice.keys().private.Seed()), fmt.Sprintf("%x", c.alice.keys().private.Seed())} {
				if strings.Contains(text, secret) || strings.Contains(text, strings.Trim(secret, "[]")) {
					t.Errorf("%s of %T shows a secret", format, v)
				}
			}
		}
	}
}

// A sealer has a key for its scopes and for their topics of bundles, and for nothing
// else: what to do about the rest is the client's decision, not an error of the sealer.
func TestSealerOutsideItsScopes(t *testing.T) {
	c := newClub(t)
	sealer := good[*Sealer](t)(NewSealer(realm, c.hers))
	for _, at := range []struct {
		on   wamp.Subject
		args []any
		want bool
	}{
		{wamp.Subject{Type: wamp.TypePublish, URI: topic}, []any{"hush"}, true},
		{wamp.Subject{Type: wamp.TypePublish, URI: c.hers.Topic()}, []any{c.bundles[0]}, true},
		{wamp.Subject{Type: wamp.TypePublish, URI: "com.other"}, []any{"hello"}, false},
		{wamp.Subject{Type: wamp.TypeCall, URI: "com.other"}, nil, false},
		{wamp.Subject{Type: wamp.TypeError, URI: topic, Call: &wamp.SealedCall{Procedure: "com.other"}}, nil, false},
	} {
		at.on.Originator = true
		_, _, sealed, err := sealer.Seal(&at.on, at.args, nil)
		if keyed := sealer.Keyed(&at.on); keyed != at.want || sealed != at.want || err != nil {
			t.Errorf("%v %s: keyed %v, sealed %v, %v", at.on.Type, at.on.URI, keyed, sealed, err)
		}
	}
}
