package scope

import (
	"crypto/ed25519"
	"sync"
)

// signer signs leaves. What comes while it is busy is signed together with
// what else came: a signature covers up to maxBatch messages, and nobody waits for a
// batch to fill.
type signer struct {
	identity *Identity

	mu      sync.Mutex
	busy    bool
	waiting []*signing
}

// signing is one leaf to sign.
type signing struct {
	leaf      [32]byte
	signature []byte
	proof     proof
	// turn gets nil when the leaf is signed, or the leaves that this one's goroutine
	// has to sign, with its own.
	turn chan []*signing
}

func (g *signer) sign(leaf [32]byte) ([]byte, proof) {
	me := &signing{leaf: leaf}
	g.mu.Lock()
	batch := []*signing{me}
	if g.busy {
		me.turn = make(chan []*signing, 1)
		g.waiting = append(g.waiting, me)
		g.mu.Unlock()
		if batch = <-me.turn; batch == nil {
			return me.signature, me.proof
		}
	} else {
		g.busy = true
		g.mu.Unlock()
	}
	signTogether(g.identity.keys().private, batch)
	for _, other := range batch {
		if other != me {
			other.turn <- nil
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.busy = false
		return me.signature, me.proof
	}
	n := min(len(g.waiting), maxBatch)
	next := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	next[0].turn <- next
	return me.signature, me.proof
}

// signTogether signs 1 to maxBatch leaves.
func signTogether(private ed25519.PrivateKey, batch []*signing) {
	leaves := make([][32]byte, len(batch))
	for i, s := range batch {
		leaves[i] = s.leaf
	}
	root, proofs := tree(leaves)
	signature := ed25519.Sign(private, signedRoot(&root))
	for i, s := range batch {
		s.signature, s.proof = signature, proofs[i]
	}
}

// verified remembers roots of batches: each is verified once.
type verified struct {
	mu    sync.Mutex
	roots map[verifiedRoot]struct{}
}

type verifiedRoot struct {
	key       [ed25519.PublicKeySize]byte
	root      [32]byte
	signature [ed25519.SignatureSize]byte
}

const maxVerified = 1024

func (v *verified) verify(key ed25519.PublicKey, leaf [32]byte, p *plaintext) bool {
	root := p.proof.root(leaf)
	if len(p.proof.siblings) == 0 {
		return ed25519.Verify(key, signedRoot(&root), p.signature)
	}
	k := verifiedRoot{[32]byte(key), root, [64]byte(p.signature)}
	v.mu.Lock()
	_, known := v.roots[k]
	v.mu.Unlock()
	if known {
		return true
	}
	if !ed25519.Verify(key, signedRoot(&root), p.signature) {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.roots == nil || len(v.roots) >= maxVerified {
		v.roots = make(map[verifiedRoot]struct{})
	}
	v.roots[k] = struct{}{}
	return true
}
