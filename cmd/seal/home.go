package main

import (
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/scope"
)

// home is the folder with the identity, the contacts and the scopes of a user.
type home struct {
	dir      string
	identity string // where the identity comes from, if not from the folder
}

func (h *home) add(f *flag.FlagSet) {
	f.StringVar(&h.dir, "home", os.Getenv("SEAL_HOME"), "")
	f.StringVar(&h.identity, "identity", "", "")
}

// path returns the path of a file in the folder, which it makes.
func (h *home) path(name string) (string, error) {
	dir := h.dir
	if dir == "" {
		base, err := os.UserConfigDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(base, "blindfold")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}

// load returns the user's identity.
func (h *home) load(stdin io.Reader) (*scope.Identity, error) {
	kind, name, _ := strings.Cut(h.identity, ":")
	var content []byte
	switch {
	case h.identity == "":
		path, err := h.path("identity.json")
		if err != nil {
			return nil, err
		}
		id, err := scope.LoadIdentity(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, keyError(errors.New("there is no identity yet; make one with: seal identity new NAME"))
		}
		return id, asKeyError(err)
	case h.identity == "-":
		var err error
		if content, err = io.ReadAll(io.LimitReader(stdin, 64<<10)); err != nil {
			return nil, err
		}
	case kind == "env":
		content = []byte(os.Getenv(name))
	case kind == "file":
		id, err := scope.LoadIdentity(name)
		return id, asKeyError(err)
	default:
		return nil, usageError("--identity must be env:NAME, file:PATH or -")
	}
	id, err := scope.ParseIdentity(content)
	return id, asKeyError(err)
}

func asKeyError(err error) error {
	if err == nil {
		return nil
	}
	return keyError(err)
}

// contacts returns the user's contacts, and where they are saved.
func (h *home) contacts() (*scope.Contacts, string, error) {
	path, err := h.path("contacts.json")
	if err != nil {
		return nil, "", err
	}
	c, err := scope.LoadContacts(path)
	return c, path, asKeyError(err)
}

// resolve returns the identity that a public line or the name of a contact stands
// for. A line of somebody new is added to the contacts.
func (h *home) resolve(text string) (scope.Contact, error) {
	text, err := lineFrom(text)
	if err != nil {
		return scope.Contact{}, err
	}
	c, path, err := h.contacts()
	if err != nil {
		return scope.Contact{}, err
	}
	if !strings.Contains(text, " ") {
		if k, ok := c.Named(text); ok {
			return k, nil
		}
		return scope.Contact{}, usageError("%s is neither a contact nor the public line of an identity", printable(text))
	}
	p, err := scope.ParsePublic(text)
	if err != nil {
		return scope.Contact{}, keyError(err)
	}
	for _, k := range c.All() {
		if k.Key.Equal(p.Key) {
			return k, nil
		}
	}
	if err := c.Add("", p); err != nil {
		return scope.Contact{}, keyError(err)
	}
	k, _ := c.Named(p.Name)
	return k, c.Save(path)
}

// lineFrom returns the content of a file, if text is "file:" and its path, or else text.
func lineFrom(text string) (string, error) {
	path, ok := strings.CutPrefix(text, "file:")
	if !ok {
		return text, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(content)), nil
}

// scopes returns the options of the scopes in the folder.
func (h *home) scopes(forget bool) (scope.Options, error) {
	c, _, err := h.contacts()
	if err != nil {
		return scope.Options{}, err
	}
	dir, err := h.path("scopes")
	return scope.Options{Dir: dir, Contacts: c, Wait: 2 * time.Second, Forget: forget}, err
}

const homeHelp = `  --home FOLDER      the folder with identity, contacts and scopes (default $SEAL_HOME,
                     or ` + "blindfold in the user's configuration folder" + `)
  --identity SOURCE  the identity, instead of the folder's: env:NAME, file:PATH, or -
                     for standard input
`
