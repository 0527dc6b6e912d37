package auth

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	mathrand "math/rand/v2"
	"slices"

	"github.com/blindfold-wamp/blindfold/auth/proof"
)

// decoys makes up principals for authids that don't exist. A decoy looks like
// one of the real ones, is the same each time it is asked for, and has secrets
// that nobody knows. What is made up depends on decoyKey, which a reload must
// leave as it is: salts that changed with it would be those of nobody.
type decoys struct {
	templates map[string][]*Principal // by method, each ordered by authid
}

// decoyKey is the process's own, so a decoy's salt changes when the router is
// started again, and a real one's doesn't.
var decoyKey = func() (key [32]byte) {
	_, _ = rand.Read(key[:])
	return key
}()

// guarded are the methods that have something to make up.
var guarded = [...]string{"ticket", "wampcra", proof.SCRAMMethod, proof.AutobahnSCRAMMethod}

// plainDecoys are for Principals that are nobody's list.
var plainDecoys = newDecoys([]Principal{{
	Roles:  []string{"user"},
	Ticket: NewSecret("-"),
	CRA:    &CRACredential{Secret: NewSecret("-")},
	SCRAM:  &SCRAMCredential{SCRAMParameters: proof.SCRAMParameters{KDF: proof.Argon2id, Salt: make([]byte, 16), Iterations: 3, Memory: 64 << 10}},
}, {
	Roles: []string{"user"},
	SCRAM: &SCRAMCredential{SCRAMParameters: proof.SCRAMParameters{KDF: proof.Argon2idText, Salt: make([]byte, 16), Iterations: 4096, Memory: 512}},
}}, nil)

// newDecoys makes decoys like those in list, or, for a method that none of them
// has credentials for, like those of fallback.
func newDecoys(list []Principal, fallback *decoys) *decoys {
	d := &decoys{templates: map[string][]*Principal{}}
	for _, method := range guarded {
		var like []*Principal
		for i := range list {
			if list[i].credentials(method) {
				like = append(like, &list[i])
			}
		}
		slices.SortFunc(like, func(a, b *Principal) int { return cmp.Compare(a.AuthID, b.AuthID) })
		if len(like) == 0 && fallback != nil {
			like = fallback.templates[method]
		}
		d.templates[method] = like
	}
	return d
}

// principal returns the decoy for a claim.
func (d *decoys) principal(claim *Claim) *Principal {
	mac := hmac.New(sha256.New, decoyKey[:])
	// The realm, or one that is nobody in all realms would have one salt in them.
	mac.Write([]byte(claim.Method + "\x00" + string(claim.Handshake.Hello.Realm) + "\x00" + claim.AuthID))
	bytes := mathrand.NewChaCha8([32]byte(mac.Sum(nil)))

	like := d.templates[claim.Method]
	if len(like) == 0 {
		return &Principal{AuthID: claim.AuthID}
	}
	t := like[bytes.Uint64()%uint64(len(like))]
	p := &Principal{AuthID: claim.AuthID, Roles: t.Roles[:1], Provider: t.Provider}
	switch claim.Method {
	case "ticket":
		p.Ticket, p.TicketHash = unknown(bytes), t.TicketHash
		if t.TicketHash != "" {
			p.Ticket = Secret{}
		}
	case "wampcra":
		p.CRA = &CRACredential{Secret: unknown(bytes), Salt: resembling(t.CRA.Salt, bytes),
			Iterations: t.CRA.Iterations, KeyLength: t.CRA.KeyLength}
	case proof.SCRAMMethod, proof.AutobahnSCRAMMethod:
		c := &SCRAMCredential{SCRAMParameters: t.SCRAM.SCRAMParameters,
			StoredKey: make([]byte, sha256.Size), ServerKey: make([]byte, sha256.Size)}
		c.Salt = make([]byte, len(c.Salt))
		for _, b := range [][]byte{c.Salt, c.StoredKey, c.ServerKey} {
			_, _ = bytes.Read(b)
		}
		p.SCRAM = c
	}
	return p
}

func unknown(bytes *mathrand.ChaCha8) Secret {
	var b [32]byte
	_, _ = bytes.Read(b[:])
	return NewSecret(hex.EncodeToString(b[:]))
}

// resembling returns a salt with letters and digits where salt has some.
func resembling(salt string, bytes *mathrand.ChaCha8) string {
	letters := byte(6) // as in hex
	for i := range len(salt) {
		if c := salt[i] | 0x20; c > 'f' && c <= 'z' {
			letters = 26
		}
	}
	out := []byte(salt)
	for i, c := range out {
		n := byte(bytes.Uint64() % 26)
		switch {
		case c >= '0' && c <= '9':
			out[i] = '0' + n%10
		case c >= 'a' && c <= 'z':
			out[i] = 'a' + n%letters
		case c >= 'A' && c <= 'Z':
			out[i] = 'A' + n%letters
		}
	}
	return string(out)
}
