package scope

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/plugin"

	"github.com/blindfold-wamp/blindfold/internal/ownfile"
)

// The public form of an identity ("Identities").
const (
	publicMark   = "blindfold-id-1"
	maxName      = 64
	maxRecipient = 4096
)

// Public is the public half of an identity. It must not be changed.
type Public struct {
	// Name is what its holder calls itself.
	Name string
	// Key verifies what the identity signs.
	Key ed25519.PublicKey
	// Recipient is the age recipient to which secrets are encrypted.
	Recipient string

	signature []byte
}

var errPublic = errors.New("scope: not the public line of an identity (blindfold-id-1 …)")

// ParsePublic reads the one line of an identity's public form, which may have
// space around it, and verifies it.
func ParsePublic(line string) (*Public, error) {
	f := strings.SplitN(strings.TrimSpace(line), " ", 5)
	if len(f) != 5 || f[0] != publicMark || !validName(f[1]) {
		return nil, errPublic
	}
	key, err1 := base64.RawURLEncoding.Strict().DecodeString(f[2])
	signature, err2 := base64.RawURLEncoding.Strict().DecodeString(f[3])
	p := &Public{Name: f[1], Key: key, Recipient: f[4], signature: signature}
	if err1 != nil || err2 != nil || len(key) != ed25519.PublicKeySize || !validRecipient(p.Recipient) {
		return nil, errPublic
	}
	if !ed25519.Verify(p.Key, p.signed(), signature) {
		return nil, errors.New("scope: the public line of this identity was changed: its signature does not fit")
	}
	return p, nil
}

func validName(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._@-", rune(c))) {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxName
}

// validRecipient reports whether s can stand in a line; whether age takes it
// shows when something is encrypted to it.
func validRecipient(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxRecipient && strings.TrimSpace(s) == s
}

// signed is what the signature of the line covers.
func (p *Public) signed() []byte {
	b := append([]byte("blindfold identity 1\n"), p.Name...)
	b = append(append(b, '\n'), p.Key...)
	return append(b, p.Recipient...)
}

// String returns the line.
func (p *Public) String() string {
	return strings.Join([]string{publicMark, p.Name, p.ID(), base64.RawURLEncoding.EncodeToString(p.signature), p.Recipient}, " ")
}

// ID returns the key as base64url.
func (p *Public) ID() string { return base64.RawURLEncoding.EncodeToString(p.Key) }

// Digits returns the 30 digits that two people compare, in groups of five.
func (p *Public) Digits() string {
	sum := sha256.Sum256(append(append([]byte("blindfold digits 1\n"), p.Key...), p.Recipient...))
	groups := make([]string, 6)
	for i := range groups {
		var n uint64
		for _, c := range sum[5*i : 5*i+5] {
			n = n<<8 | uint64(c)
		}
		groups[i] = fmt.Sprintf("%05d", n%100000)
	}
	return strings.Join(groups, " ")
}

// Identity is an identity with its private keys. Printing one shows no key.
type Identity struct {
	Public
	keys hidden[identityKeys]
}

type identityKeys struct {
	private ed25519.PrivateKey
	age     string // the age identity, and what opens with it
	opens   age.Identity
}

// NewIdentity makes an identity with an X25519 age identity, or, if postQuantum
// is set, with age's hybrid of X25519 and ML-KEM-768.
func NewIdentity(name string, postQuantum bool) (*Identity, error) {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails: the program crashes first
	if postQuantum {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, err
		}
		return assemble(name, seed, id.String(), id.Recipient().String())
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	return assemble(name, seed, id.String(), id.Recipient().String())
}

// NewIdentityWith makes an identity whose age identity exists already: an SSH key
// (the text of the private one, not encrypted), one of an age plugin (AGE-PLUGIN-…) or another of age's. It
// makes sure that what is encrypted to the recipient can be opened, for which a
// plugin may ask its user.
func NewIdentityWith(name, secret, recipient string) (*Identity, error) {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	id, err := assemble(name, seed, secret, recipient)
	if err != nil {
		return nil, err
	}
	_, to, err := parseRecipient(recipient)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	w, err := age.Encrypt(&file, to)
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		_, err = age.Decrypt(&file, id.keys().opens)
	}
	if err != nil {
		return nil, errors.New("scope: what is encrypted to this recipient can't be opened by this age identity")
	}
	return id, nil
}

// assemble makes an identity of its parts.
func assemble(name string, seed []byte, secret, recipient string) (*Identity, error) {
	if !validName(name) {
		return nil, errors.New("scope: a name is 1 to 64 of A-Z a-z 0-9 . _ @ - and begins with a letter or digit")
	}
	if len(seed) != ed25519.SeedSize || !validRecipient(recipient) {
		return nil, errors.New("scope: not the parts of an identity")
	}
	opens, err := parseAgeIdentity(secret, recipient)
	if err != nil {
		return nil, err
	}
	id := &Identity{keys: hide(&identityKeys{private: ed25519.NewKeyFromSeed(seed), age: secret, opens: opens})}
	id.Public = Public{Name: name, Key: id.keys().private.Public().(ed25519.PublicKey), Recipient: recipient}
	id.signature = ed25519.Sign(id.keys().private, id.signed())
	return id, nil
}

// parseAgeIdentity reads an age identity and makes sure that it goes with the recipient,
// where age can tell.
func parseAgeIdentity(secret, recipient string) (age.Identity, error) {
	var opens age.Identity
	var err error
	own := recipient
	switch {
	case strings.HasPrefix(secret, "AGE-PLUGIN-"):
		opens, err = plugin.NewIdentity(secret, terminal)
	case strings.HasPrefix(secret, "-----BEGIN"):
		opens, err = agessh.ParseIdentity([]byte(secret))
	case strings.HasPrefix(secret, "AGE-SECRET-KEY-PQ-"):
		var id *age.HybridIdentity
		if id, err = age.ParseHybridIdentity(secret); err == nil {
			opens, own = id, id.Recipient().String()
		}
	default:
		var id *age.X25519Identity
		if id, err = age.ParseX25519Identity(secret); err == nil {
			opens, own = id, id.Recipient().String()
		}
	}
	if err != nil {
		// age's text could repeat the secret.
		return nil, errors.New("scope: \"age\" is not an age identity that this program can use")
	}
	if own != recipient {
		return nil, errors.New("scope: \"age\" and \"recipient\" don't belong together")
	}
	return opens, nil
}

// terminal is how age plugins ask for what they need.
var terminal = plugin.NewTerminalUI(func(string, ...any) {}, func(string, ...any) {})

type fileIdentity struct {
	Format    string `json:"format"`
	Version   int    `json:"version"`
	Name      string `json:"name"`
	Seed      []byte `json:"seed"`
	Age       string `json:"age"`
	Recipient string `json:"recipient"`
}

const identityFormat = "blindfold-identity"

// ParseIdentity returns the identity of an identity file's content. Its errors
// repeat nothing of it.
func ParseIdentity(content []byte) (*Identity, error) {
	var f fileIdentity
	if err := strictJSON(content, &f); err != nil || f.Format != identityFormat || f.Version != 1 {
		return nil, errors.New("scope: not an identity file of version 1")
	}
	return assemble(f.Name, f.Seed, f.Age, f.Recipient)
}

// strictJSON reads one JSON value without unknown members.
func strictJSON(content []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one value")
	}
	return nil
}

// Encode returns the content of an identity file: it holds the private keys.
func (id *Identity) Encode() []byte {
	return encodeJSON(fileIdentity{identityFormat, 1, id.Name, id.keys().private.Seed(), id.keys().age, id.Recipient})
}

func encodeJSON(v any) []byte {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("scope: " + err.Error()) // plain structs of strings
	}
	return append(content, '\n')
}

// LoadIdentity reads an identity file. It refuses one that others than its owner
// may read or write.
func LoadIdentity(path string) (*Identity, error) {
	content, err := ownfile.Read("identity", path, 64<<10)
	if err != nil {
		return nil, err
	}
	id, err := ParseIdentity(content)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	return id, nil
}

// Save writes the identity file with mode 0600.
func (id *Identity) Save(path string) error { return ownfile.Write(path, id.Encode()) }

// String returns the public line.
func (id *Identity) String() string { return id.Public.String() }

// Format prints the public line, whatever the verb: no way of printing shows a key.
func (id Identity) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, id.Public.String()) }

func (id *Identity) sign(context string, parts ...[]byte) []byte {
	return ed25519.Sign(id.keys().private, bytes.Join(append([][]byte{[]byte(context)}, parts...), nil))
}
