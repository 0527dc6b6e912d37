package scope

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Sealer seals and opens what belongs to some scopes of one realm, and lets their bundles
// pass: what is published to the topic of a scope is one argument of bytes, a
// bundle that its owner has signed, for Scope.Accept. It is a client.Sealer and may be
// used concurrently. For what belongs to no scope it has no key:
// client.Config.AllowClear decides about that.
type Sealer struct {
	realm  wamp.URI
	mu     sync.RWMutex
	scopes []*Scope
}

// NewSealer returns a Sealer for scopes of a realm.
func NewSealer(realm wamp.URI, scopes ...*Scope) (*Sealer, error) {
	s := &Sealer{realm: realm}
	for _, one := range scopes {
		if err := s.Add(one); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Add adds a scope. Of two with the same prefix there must be one only: nobody
// could tell which is meant.
func (s *Sealer) Add(one *Scope) error {
	if one.realm != s.realm {
		return fmt.Errorf("scope: the scope is of realm %s, not %s", one.realm, s.realm)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.scopes {
		if other.prefix == one.prefix {
			return fmt.Errorf("scope: there is another scope for %q", one.prefix)
		}
	}
	s.scopes = append(s.scopes, one)
	return nil
}

// find returns the scope of the longest prefix of the subject's URI; that of the
// procedure for an error.
func (s *Sealer) find(on *wamp.Subject) (found *Scope) {
	uri := on.URI
	if on.Type == wamp.TypeError && on.Call != nil {
		uri = on.Call.Procedure
	}
	if uri.Reserved() {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, one := range s.scopes {
		if strings.HasPrefix(string(uri), string(one.prefix)) && (found == nil || len(one.prefix) > len(found.prefix)) {
			found = one
		}
	}
	return found
}

// bundles reports whether the subject is a topic of bundles.
func bundles(on *wamp.Subject) bool {
	return on.Type == wamp.TypePublish && strings.HasPrefix(string(on.URI), topicPrefix)
}

// checkBundle reports whether a bundle is what the owner of the topic's scope has signed:
// what is handed over as sealed is not just anybody's.
func (s *Sealer) checkBundle(topic wamp.URI, data []byte) error {
	s.mu.RLock()
	i := slices.IndexFunc(s.scopes, func(one *Scope) bool { return one.Topic() == topic })
	if i < 0 {
		s.mu.RUnlock()
		return ErrNoScope
	}
	one := s.scopes[i]
	s.mu.RUnlock()
	b, err := parseBundle(data)
	switch {
	case err != nil:
		return err
	case b.scope != one.id:
		return ErrWrongScope
	case !b.genuine(one.owner):
		return ErrBadSignature
	}
	return nil
}

// Keyed reports whether the subject is in a scope, or a scope's own topic.
func (s *Sealer) Keyed(on *wamp.Subject) bool {
	return bundles(on) || s.find(on) != nil
}

// Seal is that of client.Sealer. sealed is false without an error for what belongs to
// no scope.
func (s *Sealer) Seal(on *wamp.Subject, args []any, kwargs map[string]any) (attrs wamp.Attributes, payload []byte, sealed bool, err error) {
	if bundles(on) {
		data, ok := onlyBytes(args, kwargs)
		if !ok {
			return attrs, nil, false, ErrValue.because("a scope's topic takes a bundle")
		}
		if err := s.checkBundle(on.URI, data); err != nil {
			return attrs, nil, false, err
		}
		return bundleAttributes, data, true, nil
	}
	one := s.find(on)
	if one == nil {
		return attrs, nil, false, nil
	}
	attrs, payload, err = one.seal(on, args, kwargs)
	return attrs, payload, err == nil, err
}

var bundleAttributes = wamp.Attributes{PPTScheme: scheme, PPTSerializer: serializer}

func onlyBytes(args []any, kwargs map[string]any) ([]byte, bool) {
	if len(args) != 1 || len(kwargs) > 0 {
		return nil, false
	}
	data, ok := args[0].([]byte)
	return data, ok
}

// Open is that of client.Sealer.
func (s *Sealer) Open(on *wamp.Subject, attrs *wamp.Attributes, payload []byte) (args []any, kwargs map[string]any, err error) {
	if bundles(on) {
		if *attrs != bundleAttributes {
			return nil, nil, ErrMalformed.because("not a bundle")
		}
		if err := s.checkBundle(on.URI, payload); err != nil {
			return nil, nil, err
		}
		return []any{append([]byte{}, payload...)}, nil, nil
	}
	one := s.find(on)
	if one == nil {
		return nil, nil, ErrNoScope
	}
	return one.open(on, attrs, payload)
}

// Message is one of several to seal together.
type Message struct {
	On     *wamp.Subject
	Args   []any
	Kwargs map[string]any
	// Attributes and Payload are what SealAll makes.
	Attributes wamp.Attributes
	Payload    []byte
}

// SealAll seals several messages of one scope, with one signature for each 64 of them. Each
// can be opened without the others. On an error none may be sent.
func (s *Sealer) SealAll(messages []Message) error {
	for len(messages) > 0 {
		n := min(len(messages), maxBatch)
		if err := s.sealTogether(messages[:n]); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

func (s *Sealer) sealTogether(messages []Message) error {
	one := s.find(messages[0].On)
	if one == nil {
		return ErrNoScope
	}
	drafts, batch := make([]*draft, len(messages)), make([]*signing, len(messages))
	for i := range messages {
		m := &messages[i]
		if s.find(m.On) != one {
			return ErrWrongScope
		}
		d, err := one.draft(m.On, m.Args, m.Kwargs)
		if err != nil {
			return err
		}
		drafts[i], batch[i] = d, &signing{leaf: d.leaf}
	}
	signTogether(one.self.keys().private, batch)
	for i, d := range drafts {
		messages[i].Attributes, messages[i].Payload = d.attributes(), d.payload(batch[i].signature, batch[i].proof)
	}
	return nil
}
