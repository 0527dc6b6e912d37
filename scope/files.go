package scope

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/ownfile"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// saveEvery is how often the state is written while messages are accepted.
const saveEvery = time.Second

// files are the scope file and the state file of a Scope ("State").
type files struct {
	scope, state string
	lock         *os.File // nil where another program has the state
	timer        *time.Timer
	closed       bool
	err          error // of the last save
}

// scopeFile is the content of a scope file.
type scopeFile struct {
	owner         ed25519.PublicKey
	realm, prefix wamp.URI
	self          []byte
	manifests     []*Manifest
}

func (f *scopeFile) encode() []byte {
	b := appendHead(nil, majorArray, 6)
	b = appendUint(b, 1)
	b = appendBytes(b, f.owner)
	b = appendText(b, string(f.realm))
	b = appendText(b, string(f.prefix))
	b = appendBytes(b, f.self)
	b = appendHead(b, majorArray, uint64(len(f.manifests)))
	for _, m := range f.manifests {
		b = appendBytes(b, m.encode())
	}
	return b
}

func parseScopeFile(data []byte) (*scopeFile, error) {
	r := &reader{rest: data}
	f := new(scopeFile)
	r.array(6)
	r.version()
	f.owner = bytes.Clone(r.fixed(ed25519.PublicKeySize))
	f.realm, f.prefix = wamp.URI(r.text()), wamp.URI(r.text())
	f.self = bytes.Clone(r.fixed(ed25519.PublicKeySize))
	n := r.list()
	if n > maxEpochs {
		r.fail()
		n = 0
	}
	for range n {
		m, err := parseManifest(r.bytes())
		if err != nil || !bytes.Equal(m.Owner, f.owner) || m.Realm != f.realm || m.Prefix != f.prefix ||
			len(f.manifests) > 0 && f.manifests[len(f.manifests)-1].Epoch <= m.Epoch {
			r.fail()
			break
		}
		f.manifests = append(f.manifests, m)
	}
	if !r.done() {
		return nil, ErrMalformed.because("the scope file does not parse")
	}
	return f, nil
}

const maxFile = 16 << 20

// Known is a scope whose file is in a folder.
type Known struct {
	ID            ID
	Owner         ed25519.PublicKey
	Realm, Prefix wamp.URI
}

// List returns the scopes whose files are in dir.
func List(dir string) ([]Known, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.scope"))
	if err != nil {
		return nil, err
	}
	var out []Known
	for _, path := range paths {
		content, err := ownfile.Read("scope", path, maxFile)
		if err != nil {
			return nil, err
		}
		f, err := parseScopeFile(content)
		if err != nil {
			return nil, fmt.Errorf("%w (%s)", err, path)
		}
		k := Known{scopeID(f.owner, f.realm, f.prefix), f.owner, f.realm, f.prefix}
		if strings.TrimSuffix(filepath.Base(path), ".scope") == k.ID.String() {
			out = append(out, k)
		}
	}
	return out, nil
}

// load reads the files of s, as far as there are any, and begins to keep them.
func (s *Scope) load() error {
	if err := os.MkdirAll(s.options.Dir, 0o700); err != nil {
		return err
	}
	base := filepath.Join(s.options.Dir, s.id.String())
	f := &files{scope: base + ".scope", state: base + ".state"}
	content, err := ownfile.Read("scope", f.scope, maxFile)
	joined := err == nil
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := s.restore(content); err != nil {
			return fmt.Errorf("%w (%s)", err, f.scope)
		}
	}
	if f.lock, err = ownfile.Lock(base + ".lock"); err != nil {
		return err
	}
	if err := s.loadState(f, joined); err != nil {
		f.unlock()
		return err
	}
	s.files = f
	return nil
}

func (s *Scope) restore(content []byte) error {
	f, err := parseScopeFile(content)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(f.self, s.self.Key):
		return errors.New("scope: the scope file is another identity's")
	case !bytes.Equal(f.owner, s.owner) || f.realm != s.realm || f.prefix != s.prefix:
		return ErrWrongScope
	}
	for _, m := range f.manifests {
		e := newEpoch(m, s.self)
		if e.self < 0 {
			return ErrMalformed.because("the scope file")
		}
		s.epochs = append(s.epochs, e)
		s.highest = max(s.highest, m.Epoch)
	}
	return nil
}

// loadState reads the state file. joined tells that there has to be one.
func (s *Scope) loadState(f *files, joined bool) error {
	content, err := ownfile.Read("state", f.state, maxFile)
	var st *state
	switch {
	case errors.Is(err, fs.ErrNotExist) && !joined:
		return nil // the first time
	case errors.Is(err, fs.ErrNotExist):
		err = ErrStateLost
	case err != nil:
		return err
	default:
		if st, err = parseState(content); err == nil && st.scope != s.id {
			err = ErrStateLost
		}
	}
	switch {
	case err != nil && !s.options.Forget:
		return fmt.Errorf("%w (%s)", err, f.state)
	case err != nil:
		return nil
	}
	s.highest = max(s.highest, st.epoch)
	if f.lock == nil {
		return nil
	}
	start := s.received.floor
	s.received = st.windows
	if !st.clean {
		s.received.floor = start
	}
	return f.saveState(s, s.highest, false)
}

// saveScope writes the scope file. Scope.mu is held, as for all that follows.
func (f *files) saveScope(s *Scope, epochs []*epoch) error {
	c := scopeFile{owner: s.owner, realm: s.realm, prefix: s.prefix, self: s.self.Key}
	for _, e := range epochs {
		c.manifests = append(c.manifests, e.Manifest)
	}
	return ownfile.Write(f.scope, c.encode())
}

// saveState writes the state file, if it is this program's.
func (f *files) saveState(s *Scope, highest uint64, clean bool) error {
	if f.lock == nil {
		return nil
	}
	st := state{scope: s.id, epoch: highest, clean: clean, windows: s.received}
	return ownfile.Write(f.state, st.encode())
}

// touch has the state written before long.
func (f *files) touch(s *Scope) {
	if f.timer != nil || f.lock == nil || f.closed {
		return
	}
	f.timer = time.AfterFunc(saveEvery, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		f.timer = nil
		if !f.closed {
			f.err = f.saveState(s, s.highest, false)
		}
	})
}

func (f *files) unlock() {
	if f.lock != nil {
		_ = f.lock.Close()
	}
}

// Close writes the state, so that the next start goes on from it. The Scope must
// not be used after it.
func (s *Scope) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files
	if f == nil || f.closed {
		return nil
	}
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
	}
	defer f.unlock()
	if len(s.epochs) == 0 {
		return nil
	}
	return errors.Join(f.err, f.saveState(s, s.highest, true))
}

// Leave removes the files of a scope: its secrets, and what was received.
func (s *Scope) Leave() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files
	if f == nil || f.closed {
		return nil
	}
	if f.lock == nil {
		return errors.New("scope: another program is using it")
	}
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
	}
	defer f.unlock()
	for _, path := range []string{f.scope, f.state} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
