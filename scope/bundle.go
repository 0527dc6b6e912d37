package scope

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/plugin"
)

const (
	// MaxBundle is the size of the largest bundle, in bytes.
	MaxBundle = 256 << 10
	maxFiles  = 8
)

// bundle is a manifest, encrypted to its members and signed by the owner.
type bundle struct {
	scope     ID
	epoch     uint64
	files     [][]byte
	signature []byte
}

// signed is what the owner's signature covers, behind its context.
func (b *bundle) signed() []byte {
	out := appendHead(nil, majorArray, 4)
	return b.appendBody(out)
}

func (b *bundle) appendBody(out []byte) []byte {
	out = appendUint(out, 1)
	out = appendBytes(out, b.scope[:])
	out = appendUint(out, b.epoch)
	out = appendHead(out, majorArray, uint64(len(b.files)))
	for _, f := range b.files {
		out = appendBytes(out, f)
	}
	return out
}

const bundleContext = "blindfold bundle 1\n"

func (b *bundle) encode() []byte {
	return appendBytes(b.appendBody(appendHead(nil, majorArray, 5)), b.signature)
}

func parseBundle(data []byte) (*bundle, error) {
	if len(data) > MaxBundle {
		return nil, ErrMalformed.because("the bundle is too large")
	}
	r := &reader{rest: data}
	b := new(bundle)
	r.array(5)
	r.version()
	copy(b.scope[:], r.fixed(len(b.scope)))
	b.epoch = r.uint()
	n := r.list()
	if n < 1 || n > maxFiles {
		r.fail()
		n = 0
	}
	for range n {
		b.files = append(b.files, bytes.Clone(r.bytes()))
	}
	b.signature = bytes.Clone(r.fixed(ed25519.SignatureSize))
	if !r.done() {
		return nil, ErrMalformed.because("the bundle does not parse")
	}
	return b, nil
}

func (b *bundle) genuine(owner ed25519.PublicKey) bool {
	return ed25519.Verify(owner, append([]byte(bundleContext), b.signed()...), b.signature)
}

// open returns the manifest in the first file that opens with the identity.
func (b *bundle) open(id *Identity) (*Manifest, error) {
	for _, f := range b.files {
		plain, err := age.Decrypt(bytes.NewReader(f), id.keys().opens)
		if err != nil {
			continue
		}
		data, err := io.ReadAll(io.LimitReader(plain, MaxBundle+1))
		if err != nil || len(data) > MaxBundle {
			return nil, ErrMalformed.because("a file of the bundle is damaged")
		}
		return parseManifest(data)
	}
	return nil, ErrNotMember
}

// sealBundle encrypts a manifest to recipients and signs it.
func sealBundle(m *Manifest, owner *Identity, recipients []string) ([]byte, error) {
	kinds := make(map[string][]age.Recipient)
	for _, text := range recipients {
		kind, r, err := parseRecipient(text)
		if err != nil {
			return nil, err
		}
		kinds[kind] = append(kinds[kind], r)
	}
	if len(kinds) > maxFiles {
		return nil, fmt.Errorf("scope: the members have age recipients of %d kinds; a bundle holds %d", len(kinds), maxFiles)
	}
	b := &bundle{scope: m.scope(), epoch: m.Epoch}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		var file bytes.Buffer
		w, err := age.Encrypt(&file, kinds[kind]...)
		if err == nil {
			_, err = w.Write(m.encode())
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("scope: age could not encrypt to the members: %w", err)
		}
		b.files = append(b.files, file.Bytes())
	}
	b.signature = owner.sign(bundleContext, b.signed())
	out := b.encode()
	if len(out) > MaxBundle {
		return nil, fmt.Errorf("scope: the bundle for %d members would take %d bytes, and at most %d may be sent: divide the group among several scopes", len(m.Members), len(out), MaxBundle)
	}
	return out, nil
}

// parseRecipient reads an age recipient. Those of one kind fit into one file.
func parseRecipient(s string) (kind string, r age.Recipient, err error) {
	switch {
	case strings.HasPrefix(s, "ssh-"):
		kind = "ssh"
		r, err = agessh.ParseRecipient(s)
	case strings.HasPrefix(s, "age1pq1"):
		kind = "age1pq"
		r, err = age.ParseHybridRecipient(s)
	case strings.HasPrefix(s, "age1") && strings.Count(s, "1") > 1 && len(s) > len("age1") && strings.LastIndex(s, "1") > len("age1"):
		kind = s[:strings.LastIndex(s, "1")]
		r, err = plugin.NewRecipient(s, terminal)
	default:
		kind = "age"
		r, err = age.ParseX25519Recipient(s)
	}
	if err != nil {
		return "", nil, fmt.Errorf("scope: an age recipient that this program can't use: %w", err)
	}
	return kind, r, nil
}
