package scope

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Rights are what a member may do in a scope.
type Rights uint8

// The rights. Subscribe is a rule for honest members: every holder of the secret can
// read.
const (
	Publish Rights = 1 << iota
	Subscribe
	Call
	Register
	AllRights = Publish | Subscribe | Call | Register
)

var rightNames = []string{"publish", "subscribe", "call", "register"}

// String returns the names of the rights, with commas.
func (r Rights) String() string {
	var names []string
	for i, name := range rightNames {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// ParseRights reads what String writes, in any order.
func ParseRights(s string) (Rights, error) {
	var r Rights
	for _, word := range strings.Split(s, ",") {
		before := r
		for i, name := range rightNames {
			if name == strings.TrimSpace(word) {
				r |= 1 << i
			}
		}
		if r == before {
			return 0, ErrValue.because("rights are publish, subscribe, call and register, once each, with commas")
		}
	}
	return r, nil
}

// ID is the id of a scope.
type ID [16]byte

// scopeID returns the id of the scope of that owner, realm and prefix.
func scopeID(owner ed25519.PublicKey, realm, prefix wamp.URI) (id ID) {
	b := append([]byte("blindfold scope 1\n"), owner...)
	b = append(append(append(b, realm...), '\n'), prefix...)
	sum := sha256.Sum256(b)
	return ID(sum[:])
}

// String returns the id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// topicPrefix begins the topics of bundles.
const topicPrefix = "blindfold.scope."

// Topic returns the topic on which the scope's bundles are retained.
func (id ID) Topic() wamp.URI { return topicPrefix + wamp.URI(id.String()) }

// Member is somebody in a scope.
type Member struct {
	Name   string
	Key    ed25519.PublicKey
	Rights Rights
}

const (
	maxMembers = 4096
	maxMillis  = math.MaxInt64 / 4 // so that sums of two don't overflow
)

// Manifest is what the owner says about one epoch. It holds the epoch's secret.
type Manifest struct {
	Realm, Prefix       wamp.URI
	Owner               ed25519.PublicKey
	Epoch               uint64
	Previous            []byte // epoch id of the epoch before, or empty
	NotBefore, NotAfter time.Time
	Grace               time.Duration // how long the epoch before is accepted
	Members             []Member

	inner hidden[manifestSecret]
}

type manifestSecret struct {
	secret [32]byte
	raw    []byte // the manifest as it came; nil for one that was made here
}

func millis(t time.Time) uint64     { return uint64(max(t.UnixMilli(), 0)) }
func fromMillis(n uint64) time.Time { return time.UnixMilli(int64(min(n, maxMillis))).UTC() }
func keyID(epoch *[32]byte) string  { return base64.RawURLEncoding.EncodeToString(epoch[:4]) }
func (m *Manifest) scope() ID       { return scopeID(m.Owner, m.Realm, m.Prefix) }

// Format prints what the manifest is of, whatever the verb, and never its secret.
func (m Manifest) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "epoch %d of scope %s", m.Epoch, m.scope())
}

func (m *Manifest) index(key []byte) int {
	for i := range m.Members {
		if bytes.Equal(m.Members[i].Key, key) {
			return i
		}
	}
	return -1
}

// id returns the epoch id.
func (m *Manifest) id() [32]byte {
	return sha256.Sum256(append([]byte("blindfold epoch 1\n"), m.encode()...))
}

// encode returns the bytes of the manifest: as they came, if they did.
func (m *Manifest) encode() []byte {
	if m.inner().raw != nil {
		return m.inner().raw
	}
	b := appendHead(nil, majorArray, 11)
	b = appendUint(b, 1)
	b = appendText(b, string(m.Realm))
	b = appendText(b, string(m.Prefix))
	b = appendBytes(b, m.Owner)
	b = appendUint(b, m.Epoch)
	b = appendBytes(b, m.Previous)
	b = appendUint(b, millis(m.NotBefore))
	b = appendUint(b, millis(m.NotAfter))
	b = appendUint(b, uint64(m.Grace.Milliseconds()))
	b = appendBytes(b, m.inner().secret[:])
	b = appendHead(b, majorArray, uint64(len(m.Members)))
	for _, k := range m.Members {
		b = appendHead(b, majorArray, 3)
		b = appendText(b, k.Name)
		b = appendBytes(b, k.Key)
		b = appendUint(b, uint64(k.Rights))
	}
	return b
}

// parseManifest reads a manifest and makes sure that it keeps the rules.
func parseManifest(data []byte) (*Manifest, error) {
	r := &reader{rest: data}
	m := &Manifest{inner: hide(&manifestSecret{raw: bytes.Clone(data)})}
	r.array(11)
	r.version()
	m.Realm, m.Prefix = wamp.URI(r.text()), wamp.URI(r.text())
	m.Owner = bytes.Clone(r.fixed(ed25519.PublicKeySize))
	m.Epoch = r.uint()
	m.Previous = bytes.Clone(r.bytes())
	notBefore, notAfter, grace := r.uint(), r.uint(), r.uint()
	copy(m.inner().secret[:], r.fixed(32))
	n := r.list()
	if r.broken || n < 1 || n > maxMembers {
		return nil, ErrMalformed.because("the manifest does not parse")
	}
	names, keys := make(map[string]bool, n), make(map[string]bool, n)
	for range n {
		r.array(3)
		k := Member{Name: r.text(), Key: bytes.Clone(r.fixed(ed25519.PublicKeySize))}
		rights := r.uint()
		if r.broken || !validName(k.Name) || rights > uint64(AllRights) || names[k.Name] || keys[string(k.Key)] {
			return nil, ErrMalformed.because("a member of the manifest")
		}
		k.Rights = Rights(rights)
		names[k.Name], keys[string(k.Key)] = true, true
		m.Members = append(m.Members, k)
	}
	if !r.done() || m.Epoch == 0 || len(m.Previous) != 0 && len(m.Previous) != 32 ||
		notBefore > maxMillis || notAfter > maxMillis || grace > maxMillis/1_000_000 || notAfter < notBefore {
		return nil, ErrMalformed.because("the manifest breaks a rule")
	}
	m.NotBefore, m.NotAfter, m.Grace = fromMillis(notBefore), fromMillis(notAfter), time.Duration(grace)*time.Millisecond
	return m, nil
}
