package scope

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/ownfile"
)

// Contact is somebody else's identity, under the name that this side has for it.
type Contact struct {
	Name string
	*Public
	// Verified is when the digits were compared; zero if never.
	Verified time.Time
}

// Contacts are the identities that somebody knows, by name.
type Contacts struct{ list []Contact }

// Add adds an identity, under its own name if name is empty. One name is one
// identity for ever: to give it to another, remove the first.
func (c *Contacts) Add(name string, p *Public) error {
	if name == "" {
		name = p.Name
	}
	if !validName(name) {
		return errors.New("scope: a name is 1 to 64 of A-Z a-z 0-9 . _ @ - and begins with a letter or digit")
	}
	for _, known := range c.list {
		same := known.Key.Equal(p.Key)
		switch {
		case known.Name == name && same && known.Recipient == p.Recipient:
			return nil
		case known.Name == name:
			return fmt.Errorf("scope: there is another identity with the name %s: remove it first, or give this one another name", name)
		case same:
			return fmt.Errorf("scope: this identity is known already, as %s", known.Name)
		}
	}
	c.list = append(c.list, Contact{Name: name, Public: p})
	slices.SortFunc(c.list, func(a, b Contact) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// Verify notes that the digits of a contact were compared.
func (c *Contacts) Verify(name string, at time.Time) error {
	for i := range c.list {
		if c.list[i].Name == name {
			c.list[i].Verified = at.UTC().Truncate(time.Second)
			return nil
		}
	}
	return fmt.Errorf("scope: there is no contact %s", name)
}

// Remove removes a contact, and reports whether it was there.
func (c *Contacts) Remove(name string) bool {
	n := len(c.list)
	c.list = slices.DeleteFunc(c.list, func(k Contact) bool { return k.Name == name })
	return len(c.list) < n
}

// All returns the contacts, by name.
func (c *Contacts) All() []Contact { return slices.Clone(c.list) }

// Named returns the contact of that name.
func (c *Contacts) Named(name string) (Contact, bool) {
	for _, k := range c.list {
		if k.Name == name {
			return k, true
		}
	}
	return Contact{}, false
}

type fileContacts struct {
	Format   string        `json:"format"`
	Version  int           `json:"version"`
	Contacts []fileContact `json:"contacts"`
}

type fileContact struct {
	Name     string `json:"name"`
	Public   string `json:"public"`
	Verified string `json:"verified,omitempty"`
}

const contactsFormat = "blindfold-contacts"

// ParseContacts returns the contacts of a file's content.
func ParseContacts(content []byte) (*Contacts, error) {
	var f fileContacts
	if err := strictJSON(content, &f); err != nil || f.Format != contactsFormat || f.Version != 1 {
		return nil, errors.New("scope: not a contacts file of version 1")
	}
	c := new(Contacts)
	for i, k := range f.Contacts {
		p, err := ParsePublic(k.Public)
		if err == nil {
			err = c.Add(k.Name, p)
		}
		if err == nil && k.Verified != "" {
			var at time.Time
			if at, err = time.Parse(time.RFC3339, k.Verified); err == nil {
				err = c.Verify(k.Name, at)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("scope: contacts[%d]: %w", i, err)
		}
	}
	return c, nil
}

// Encode returns the content of a contacts file.
func (c *Contacts) Encode() []byte {
	f := fileContacts{contactsFormat, 1, []fileContact{}}
	for _, k := range c.list {
		line := fileContact{Name: k.Name, Public: k.Public.String()}
		if !k.Verified.IsZero() {
			line.Verified = k.Verified.Format(time.RFC3339)
		}
		f.Contacts = append(f.Contacts, line)
	}
	return encodeJSON(f)
}

// LoadContacts reads a contacts file: none if it does not exist. It refuses one
// that others than its owner may read or write: who changes it changes whom one
// trusts.
func LoadContacts(path string) (*Contacts, error) {
	content, err := ownfile.Read("contacts", path, 16<<20)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return new(Contacts), nil
	case err != nil:
		return nil, err
	}
	c, err := ParseContacts(content)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	return c, nil
}

// Save writes the contacts file with mode 0600.
func (c *Contacts) Save(path string) error { return ownfile.Write(path, c.Encode()) }
