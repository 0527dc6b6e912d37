package cryptobox

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/blindfold-wamp/blindfold/internal/ownfile"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// The keyring file. See "The keyring file" in the package documentation.
const (
	fileFormat  = "blindfold-keyring"
	fileVersion = 1
	maxFileSize = 16 << 20
)

type fileRing struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Keys    []fileKey `json:"keys"`
	// Scramble is omitted if empty.
	Scramble []fileScramble `json:"scramble,omitzero"`
}

type fileScramble struct {
	Prefix *string `json:"prefix"`
	Key    string  `json:"key"`
}

type fileKey struct {
	Prefix     *string  `json:"prefix"`
	Originator fileHalf `json:"originator"`
	Responder  fileHalf `json:"responder"`
}

type fileHalf struct {
	Private string `json:"private,omitzero"`
	Public  string `json:"public,omitzero"`
}

// ParseKeyRing returns the keyring in the content of a keyring file. Its errors name the
// wrong entry, but nothing of its content.
func ParseKeyRing(content []byte) (*KeyRing, error) {
	var f fileRing
	if err := json.Unmarshal(content, &f, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("cryptobox: keyring: %w", locate(content, err))
	}
	if f.Format != fileFormat {
		return nil, fmt.Errorf("cryptobox: keyring: \"format\" is not %q", fileFormat)
	}
	if f.Version != fileVersion {
		return nil, fmt.Errorf("cryptobox: keyring: \"version\" is %d; this program knows version %d", f.Version, fileVersion)
	}
	ring := new(KeyRing)
	var err error
	ring.keys.update(func(m map[wamp.URI][]*Key) {
		for i, entry := range f.Keys {
			var key *Key
			if key, err = entry.key(); err != nil {
				err = fmt.Errorf("cryptobox: keyring: keys[%d]: %w", i, err)
				return
			}
			prefix := wamp.URI(*entry.Prefix)
			m[prefix] = append(m[prefix], key)
		}
	})
	if err != nil {
		return nil, err
	}
	for i, entry := range f.Scramble {
		if err := entry.into(ring); err != nil {
			return nil, fmt.Errorf("cryptobox: keyring: scramble[%d]: %w", i, err)
		}
	}
	return ring, nil
}

func (e *fileScramble) into(ring *KeyRing) error {
	prefix, err := readPrefix(e.Prefix)
	if err != nil {
		return err
	}
	key, err := ParseScrambleKey(e.Key)
	if err != nil {
		return err
	}
	if ring.Scrambles(prefix) {
		return errors.New("\"prefix\" has two scramble keys")
	}
	return ring.SetScramble(prefix, key)
}

func readPrefix(text *string) (wamp.URI, error) {
	switch {
	case text == nil:
		return "", errors.New("\"prefix\" is missing")
	case !validPrefix(wamp.URI(*text)):
		return "", errors.New("\"prefix\": no valid URI begins so")
	}
	return wamp.URI(*text), nil
}

func (e *fileKey) key() (*Key, error) {
	if _, err := readPrefix(e.Prefix); err != nil {
		return nil, err
	}
	originator, err := e.Originator.half()
	if err != nil {
		return nil, fmt.Errorf("originator: %w", err)
	}
	responder, err := e.Responder.half()
	if err != nil {
		return nil, fmt.Errorf("responder: %w", err)
	}
	return NewKey(originator, responder)
}

func (h *fileHalf) half() (half Half, err error) {
	if h.Private != "" {
		if half.Private, err = ParsePrivateKey(h.Private); err != nil {
			return half, err
		}
	}
	if h.Public != "" {
		half.Public, err = ParsePublicKey(h.Public)
	}
	return half, err
}

// locate returns err with its line in content, and without the text that the library
// quotes: that could be a key.
func locate(content []byte, err error) error {
	offset, what := int64(-1), "not a keyring file of this format"
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntactic):
		offset, what = syntactic.ByteOffset, "not JSON"
	case errors.As(err, &semantic):
		offset, what = semantic.ByteOffset, "unknown member or wrong type"
	}
	if offset < 0 || offset > int64(len(content)) {
		return errors.New(what)
	}
	line := 1 + bytes.Count(content[:offset], []byte("\n"))
	return fmt.Errorf("line %d: %s", line, what)
}

// Encode returns the content of a keyring file, with the private keys. The same keys
// always give the same bytes.
func (r *KeyRing) Encode() []byte {
	f := fileRing{Format: fileFormat, Version: fileVersion, Keys: []fileKey{}}
	t := r.keys.load()
	for _, prefix := range t.sorted() {
		for _, k := range t.values[prefix] {
			text := string(prefix)
			f.Keys = append(f.Keys, fileKey{Prefix: &text, Originator: k.originator.file(), Responder: k.responder.file()})
		}
	}
	scramble := r.scramble.load()
	for _, prefix := range scramble.sorted() {
		text := string(prefix)
		f.Scramble = append(f.Scramble, fileScramble{Prefix: &text, Key: scramble.values[prefix].Encode()})
	}
	content, err := json.Marshal(f, jsontext.WithIndent("  "))
	if err != nil {
		// ParseKeyRing and check accept only valid UTF-8.
		panic("cryptobox: " + err.Error())
	}
	return append(content, '\n')
}

func (h Half) file() fileHalf {
	return fileHalf{Private: h.Private.Encode(), Public: h.Public.String()}
}

// LoadKeyRing reads a keyring file. It refuses a file that its group or others may read
// or write. (On Windows, these bits have no meaning, and it cannot check.)
func LoadKeyRing(path string) (*KeyRing, error) {
	content, err := readOwn("keyring", path)
	if err != nil {
		return nil, err
	}
	ring, err := ParseKeyRing(content)
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, path)
	}
	return ring, nil
}

// LoadPrivateKey reads a file with the base64 text of one private key; surrounding white
// space is ignored. Like LoadKeyRing it refuses files that others may read or write.
func LoadPrivateKey(path string) (PrivateKey, error) {
	content, err := readOwn("key", path)
	if err != nil {
		return PrivateKey{}, err
	}
	key, err := ParsePrivateKey(strings.TrimSpace(string(content)))
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w (in %s)", err, path)
	}
	return key, nil
}

// readOwn reads a file that only its owner may access.
func readOwn(what, path string) ([]byte, error) {
	content, err := ownfile.Read(what, path, maxFileSize)
	if err != nil {
		return nil, fmt.Errorf("cryptobox: %w", err)
	}
	return content, nil
}

// Save writes the keyring file with mode 0600. An existing file, of any mode, is replaced
// atomically.
func (r *KeyRing) Save(path string) error {
	if err := ownfile.Write(path, r.Encode()); err != nil {
		return fmt.Errorf("cryptobox: %w", err)
	}
	return nil
}
