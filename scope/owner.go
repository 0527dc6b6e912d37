package scope

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/ownfile"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const (
	// DefaultLifetime is how long an epoch lasts if no other follows.
	DefaultLifetime = 30 * 24 * time.Hour
	// DefaultGrace is how long the epoch before is accepted.
	DefaultGrace = 5 * time.Minute
)

// Owner is what a scope's owner stores: its members, and for how long its
// epochs last. Changes take effect with the next Rotate.
type Owner struct {
	Realm, Prefix   wamp.URI
	Lifetime, Grace time.Duration

	members []owned
}

// owned is a member in the owner's list.
type owned struct {
	name   string
	public *Public
	rights Rights
}

// NewOwner returns the list of a new scope, with its owner in it.
func NewOwner(self *Identity, realm, prefix wamp.URI) *Owner {
	return &Owner{Realm: realm, Prefix: prefix, Lifetime: DefaultLifetime, Grace: DefaultGrace,
		members: []owned{{self.Name, &self.Public, AllRights}}}
}

// Add adds a member, or changes its rights. name is unique in the scope.
func (o *Owner) Add(name string, p *Public, r Rights) error {
	if !validName(name) || r == 0 || r > AllRights {
		return ErrValue.because("a member needs a name and rights")
	}
	if _, _, err := parseRecipient(p.Recipient); err != nil {
		return err
	}
	for i, m := range o.members {
		switch same := m.public.Key.Equal(p.Key); {
		case same:
			o.members[i] = owned{m.name, p, r}
			return nil
		case m.name == name:
			return fmt.Errorf("scope: there is another member with the name %s", name)
		}
	}
	if len(o.members) == maxMembers {
		return fmt.Errorf("scope: a scope has at most %d members", maxMembers)
	}
	o.members = append(o.members, owned{name, p, r})
	return nil
}

// Remove removes a member by its name.
func (o *Owner) Remove(name string) error {
	i := slices.IndexFunc(o.members, func(m owned) bool { return m.name == name })
	switch {
	case i < 0:
		return fmt.Errorf("scope: there is no member %s", name)
	case i == 0:
		return errors.New("scope: the owner can't be removed")
	}
	o.members = slices.Delete(o.members, i, i+1)
	return nil
}

// Rotate makes a new epoch for the members, which the owner's own view accepts, and returns its bundle.
// keep is called with the bundle before that: it must not be lost then.
func (o *Owner) Rotate(s *Scope, keep func(bundle []byte) error) error {
	if !s.owner.Equal(s.self.Key) || s.realm != o.Realm || s.prefix != o.Prefix {
		return errors.New("scope: only its owner makes epochs of a scope")
	}
	now := s.options.Now()
	m := &Manifest{Realm: o.Realm, Prefix: o.Prefix, Owner: s.owner, Epoch: 1, inner: hide(new(manifestSecret)),
		NotBefore: fromMillis(millis(now)), NotAfter: fromMillis(millis(now.Add(o.Lifetime))), Grace: o.Grace}
	rand.Read(m.inner().secret[:])
	s.mu.Lock()
	highest := s.highest
	if len(s.epochs) > 0 {
		newest := s.epochs[0]
		m.Epoch, m.Previous = newest.Epoch+1, newest.id[:]
	}
	s.mu.Unlock()
	if m.Epoch <= highest {
		return errors.New("scope: the scope file of the owner is older than its state: restore the newest one")
	}
	recipients := make([]string, len(o.members))
	for i, k := range o.members {
		m.Members = append(m.Members, Member{k.name, k.public.Key, k.rights})
		recipients[i] = k.public.Recipient
	}
	bundle, err := sealBundle(m, s.self, recipients)
	if err != nil {
		return err
	}
	if err := keep(bundle); err != nil {
		return err
	}
	_, err = s.enter(m, now)
	return err
}

type fileOwner struct {
	Format   string       `json:"format"`
	Version  int          `json:"version"`
	Realm    wamp.URI     `json:"realm"`
	Prefix   wamp.URI     `json:"prefix"`
	Lifetime string       `json:"lifetime"`
	Grace    string       `json:"grace"`
	Members  []fileMember `json:"members"`
}

type fileMember struct {
	Name   string `json:"name"`
	Rights string `json:"rights"`
	Public string `json:"public"`
}

const ownerFormat = "blindfold-scope-owner"

// ParseOwner returns the list in an owner file's content.
func ParseOwner(content []byte) (*Owner, error) {
	var f fileOwner
	if err := strictJSON(content, &f); err != nil || f.Format != ownerFormat || f.Version != 1 || len(f.Members) == 0 {
		return nil, errors.New("scope: not an owner file of version 1")
	}
	lifetime, err1 := time.ParseDuration(f.Lifetime)
	grace, err2 := time.ParseDuration(f.Grace)
	if err1 != nil || err2 != nil || lifetime <= 0 || grace < 0 {
		return nil, errors.New("scope: owner file: lifetime and grace are times such as 720h")
	}
	o := &Owner{Realm: f.Realm, Prefix: f.Prefix, Lifetime: lifetime, Grace: grace}
	for i, k := range f.Members {
		p, err := ParsePublic(k.Public)
		if err != nil {
			return nil, fmt.Errorf("scope: owner file: members[%d]: %w", i, err)
		}
		r, err := ParseRights(k.Rights)
		if err == nil {
			err = o.Add(k.Name, p, r)
		}
		if err != nil {
			return nil, fmt.Errorf("scope: owner file: members[%d]: %w", i, err)
		}
	}
	return o, nil
}

// Encode returns the content of an owner file.
func (o *Owner) Encode() []byte {
	f := fileOwner{ownerFormat, 1, o.Realm, o.Prefix, o.Lifetime.String(), o.Grace.String(), nil}
	for _, k := range o.members {
		f.Members = append(f.Members, fileMember{k.name, k.rights.String(), k.public.String()})
	}
	return encodeJSON(f)
}

// LoadOwner reads an owner file, which must be its owner's alone.
func LoadOwner(path string) (*Owner, error) {
	content, err := ownfile.Read("owner file", path, 64<<20)
	if err != nil {
		return nil, err
	}
	return ParseOwner(content)
}

// Save writes the owner file with mode 0600.
func (o *Owner) Save(path string) error { return ownfile.Write(path, o.Encode()) }
