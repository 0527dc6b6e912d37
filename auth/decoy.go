package auth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/blindfold-wamp/blindfold/auth/proof"
)

// decoys generates principals for authids that do not exist. A decoy looks like a real
// principal, is the same each time, and has secrets that nobody knows. It depends on
// decoyKey, which a reload must not change: an authid whose salt changes would be
// recognized as a decoy.
//
// For each method it keeps a sample of the real principals: the sampleSize principals
// whose authids have the lowest hashes. The sample depends neither on their order nor on
// how often they log in, so a client cannot shift it by logging in again and again. A
// new principal changes few decoys. It may be used concurrently.
type decoys struct {
	provider string // while no real principal is known
	mu       sync.Mutex
	samples  map[string][]sample // by method, ordered by hash
}

// sample is a real principal without its secrets.
type sample struct {
	hash uint64 // of its authid
	like *Principal
}

const sampleSize = 64

// decoyKey is different in each process: the salt of a decoy changes when the router is
// restarted, that of a real principal does not.
var decoyKey = func() (key [32]byte) {
	_, _ = rand.Read(key[:])
	return key
}()

// guarded are the methods whose challenges depend on the principal.
var guarded = [...]string{"ticket", "wampcra", proof.SCRAMMethod, proof.AutobahnSCRAMMethod}

// unsampled are the parameters of decoys while no principal is known.
var unsampled = map[string]*Principal{
	"ticket":  {Ticket: NewSecret("-")},
	"wampcra": {CRA: &CRACredential{}},
	proof.SCRAMMethod: {SCRAM: &SCRAMCredential{
		SCRAMParameters: proof.SCRAMParameters{KDF: proof.Argon2id, Salt: make([]byte, 16), Iterations: 3, Memory: 64 << 10}}},
	proof.AutobahnSCRAMMethod: {SCRAM: &SCRAMCredential{
		SCRAMParameters: proof.SCRAMParameters{KDF: proof.Argon2idText, Salt: make([]byte, 16), Iterations: 4096, Memory: 512}}},
}

func newDecoys(provider string) *decoys {
	return &decoys{provider: provider, samples: make(map[string][]sample)}
}

// learn adds a real principal, which has credentials for the method, to the sample.
func (d *decoys) learn(method string, p *Principal) {
	if !slices.Contains(guarded[:], method) || len(p.Roles) == 0 {
		return
	}
	s := sample{binary.LittleEndian.Uint64(decoyHash(p.AuthID)), p.example(method)}
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.samples[method]
	at, again := slices.BinarySearchFunc(known, s.hash, func(s sample, hash uint64) int { return cmp.Compare(s.hash, hash) })
	switch {
	case again:
		known[at] = s
	case at < sampleSize:
		known = slices.Insert(known, at, s)
		d.samples[method] = known[:min(len(known), sampleSize)]
	}
}

// example returns the parameters of p that a decoy of the method needs, without secrets.
func (p *Principal) example(method string) *Principal {
	like := &Principal{Roles: p.Roles[:1], Provider: p.Provider}
	switch method {
	case "ticket":
		like.TicketHash = p.TicketHash
	case "wampcra":
		like.CRA = &CRACredential{Salt: p.CRA.Salt, Iterations: p.CRA.Iterations, KeyLength: p.CRA.KeyLength}
	case proof.SCRAMMethod, proof.AutobahnSCRAMMethod:
		like.SCRAM = &SCRAMCredential{SCRAMParameters: p.SCRAM.SCRAMParameters}
	}
	return like
}

// like returns the sample that the decoy of that seed imitates. Each seed orders the
// samples differently, and takes the first.
func (d *decoys) like(method string, seed uint64) *Principal {
	d.mu.Lock()
	defer d.mu.Unlock()
	var best *Principal
	var most uint64
	for _, s := range d.samples[method] {
		if score := mixed(s.hash ^ seed); best == nil || score > most {
			best, most = s.like, score
		}
	}
	if best == nil && unsampled[method] != nil {
		p := *unsampled[method]
		p.Roles, p.Provider = []string{"user"}, d.provider
		return &p
	}
	return best
}

// mixed is the finalizer of SplitMix64: every bit of x changes half of the result's.
func mixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func decoyHash(text string) []byte {
	mac := hmac.New(sha256.New, decoyKey[:])
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// decoy returns the decoy for a claim.
func (d *decoys) decoy(claim *Claim) *Principal {
	// With the realm: otherwise an unknown authid would have the same salt in all realms.
	bytes := mathrand.NewChaCha8([32]byte(decoyHash(claim.Method + "\x00" + string(claim.Handshake.Hello.Realm) + "\x00" + claim.AuthID)))
	t := d.like(claim.Method, bytes.Uint64())
	if t == nil {
		return &Principal{AuthID: claim.AuthID}
	}
	p := &Principal{AuthID: claim.AuthID, Roles: t.Roles, Provider: t.Provider}
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

// learning are Principals whose decoys imitate the principals that they have returned.
type learning struct {
	Principals
	*decoys
}

func (l *learning) Principal(ctx context.Context, claim *Claim) (*Principal, error) {
	p, err := l.Principals.Principal(ctx, claim)
	if err == nil && p != nil && p.credentials(claim.Method) {
		l.learn(claim.Method, p)
	}
	return p, err
}

func unknown(bytes *mathrand.ChaCha8) Secret {
	var b [32]byte
	_, _ = bytes.Read(b[:])
	return NewSecret(hex.EncodeToString(b[:]))
}

// resembling returns a salt of the same length and character set as salt: hexadecimal, or
// the whole alphabet.
func resembling(salt string, bytes *mathrand.ChaCha8) string {
	var alphabet string
	add := func(kind string) {
		if strings.ContainsAny(salt, kind) {
			alphabet += kind
		}
	}
	add("0123456789")
	for _, letters := range []string{"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
		if strings.ContainsAny(salt, letters[6:]) {
			add(letters)
		} else {
			add(letters[:6])
		}
	}
	out := []byte(salt)
	for i, c := range out {
		if strings.IndexByte(alphabet, c) >= 0 {
			out[i] = alphabet[bytes.Uint64()%uint64(len(alphabet))]
		}
	}
	return string(out)
}
