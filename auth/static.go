package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/auth/proof"
)

// Static is a fixed set of principals.
type Static struct {
	byAuthID      map[string]*Principal
	byKey         map[string]*Principal
	byCertificate map[string]*Principal
	byName        map[string]*Principal
	byCookie      map[[sha256.Size]byte]*Principal
	*decoys
}

// NewStatic returns the set of list, which it keeps. It returns an error for a principal
// without authid or role, for credentials that are incomplete or too weak, and for
// credentials that would identify two principals.
func NewStatic(list []Principal) (*Static, error) {
	s := &Static{
		byAuthID:      map[string]*Principal{},
		byKey:         map[string]*Principal{},
		byCertificate: map[string]*Principal{},
		byName:        map[string]*Principal{},
		byCookie:      map[[sha256.Size]byte]*Principal{},
	}
	list = slices.Clone(list)
	for i := range list {
		if err := s.add(&list[i]); err != nil {
			return nil, fmt.Errorf("auth: principal %q: %w", list[i].AuthID, err)
		}
	}
	s.decoys = newDecoys("static")
	for i := range list {
		for _, method := range guarded {
			if list[i].credentials(method) {
				s.learn(method, &list[i])
			}
		}
	}
	return s, nil
}

func (s *Static) add(p *Principal) error {
	if p.AuthID == "" || len(p.Roles) == 0 || slices.Contains(p.Roles, "") {
		return fmt.Errorf("it needs an authid and at least one role")
	}
	if !p.Ticket.IsZero() && p.TicketHash != "" {
		return fmt.Errorf("it has both a ticket and the hash of a ticket")
	}
	if p.TicketHash != "" {
		if _, err := parseTicketHash(p.TicketHash); err != nil {
			return err
		}
	}
	if c := p.CRA; c != nil && (c.Secret.IsZero() || c.Salt != "" && (c.Iterations < proof.MinCRAIterations || c.KeyLength <= 0)) {
		return fmt.Errorf("wampcra needs a secret and, with a salt, iterations and keylen")
	}
	if c := p.SCRAM; c != nil {
		if err := c.Check(); err != nil {
			return err
		}
		if len(c.StoredKey) != sha256.Size || len(c.ServerKey) != sha256.Size {
			return fmt.Errorf("SCRAM's stored key and server key have %d bytes", sha256.Size)
		}
		// Clients are compared in the prepared form: another form would match nobody.
		if prepared, err := proof.PrepareAuthID(p.AuthID); err != nil || prepared != p.AuthID {
			return fmt.Errorf("SCRAM needs the authid in the form that SASLprep gives it, %q", prepared)
		}
	}
	if !enter(s.byAuthID, p.AuthID, p) {
		return fmt.Errorf("there are two principals with this authid")
	}
	for _, key := range p.Keys {
		if len(key) != ed25519.PublicKeySize || !enter(s.byKey, string(key), p) {
			return fmt.Errorf("a public key is not valid, or belongs to another principal too")
		}
	}
	for _, fingerprint := range p.Certificates {
		sum, err := hex.DecodeString(strings.ReplaceAll(fingerprint, ":", ""))
		if err != nil || len(sum) != sha256.Size || !enter(s.byCertificate, string(sum), p) {
			return fmt.Errorf("a certificate is not a SHA-256 in hex, or belongs to another principal too")
		}
	}
	for _, name := range p.Names {
		if name == "" || !enter(s.byName, name, p) {
			return fmt.Errorf("the name of a certificate is empty, or belongs to another principal too")
		}
	}
	for _, cookie := range p.Cookies {
		if len(cookie.Reveal()) < 16 || !enter(s.byCookie, sha256.Sum256([]byte(cookie.Reveal())), p) {
			return fmt.Errorf("a cookie is shorter than 16 bytes, or belongs to another principal too")
		}
	}
	return nil
}

func enter[K comparable](m map[K]*Principal, key K, p *Principal) bool {
	if _, taken := m[key]; taken {
		return false
	}
	m[key] = p
	return true
}

// Principal implements Principals.
func (s *Static) Principal(_ context.Context, claim *Claim) (*Principal, error) {
	var p *Principal
	switch {
	case claim.Key != nil:
		p = s.byKey[string(claim.Key)]
	case claim.Certificate != nil:
		p = s.certified(claim.Certificate, claim.Verified)
	case !claim.Cookie.IsZero():
		p = s.byCookie[sha256.Sum256([]byte(claim.Cookie.Reveal()))]
	default:
		p = s.byAuthID[claim.AuthID]
	}
	if p != nil && claim.AuthID != "" && claim.AuthID != p.AuthID {
		return nil, nil
	}
	return p, nil
}

// certified returns the principal of the certificate c, or nil if there are several.
func (s *Static) certified(c *x509.Certificate, verified bool) *Principal {
	sum := sha256.Sum256(c.Raw)
	if p := s.byCertificate[string(sum[:])]; p != nil || !verified {
		return p
	}
	names := slices.Concat(c.DNSNames, c.EmailAddresses)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	// The common name counts only if there are no alternative names (RFC 6125,
	// section 6.4.4).
	if len(names) == 0 {
		names = []string{c.Subject.CommonName}
	}
	var found *Principal
	for _, name := range names {
		p := s.byName[name]
		if p != nil && found != nil && p != found {
			return nil
		}
		if p != nil {
			found = p
		}
	}
	return found
}
