package scope

import "slices"

// Secret is a secret of a member, and what it is.
type Secret struct {
	Name string
	// Bytes are the raw bytes, or those of a text, if Text is set.
	Bytes []byte
	Text  bool
}

// Secrets returns what nobody but its holder may have, for those who search for it
// where it must not be: that is how seal verify looks through a router. It is a copy.
func (s *Scope) Secrets() []Secret {
	out := []Secret{
		{"the signing key of " + s.self.Name, slices.Clone(s.self.keys().private.Seed()), false},
		{"the age identity of " + s.self.Name, []byte(s.self.keys().age), true},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.epochs {
		out = append(out, Secret{"the secret of an epoch", slices.Clone(e.inner().secret[:]), false})
	}
	return out
}
