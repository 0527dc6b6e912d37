package scope

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// received is a message under the checks of "Opening a message".
type received struct {
	epoch  *epoch
	newest *epoch
	stream stream
	number uint32
	plain  plaintext
	body   *body
	member *Member
	time   time.Time
}

// open opens one message. Nothing changes where it returns an error.
func (s *Scope) open(on *wamp.Subject, attrs *wamp.Attributes, payload []byte) (args []any, kwargs map[string]any, err error) {
	if attrs.PPTScheme != scheme || attrs.PPTSerializer != serializer || attrs.PPTCipher != cipherName || len(payload) < minPayload {
		return nil, nil, ErrMalformed.because("not a message of a scope")
	}
	x, err := s.exchangeOf(on)
	if err != nil {
		return nil, nil, err
	}
	now := s.options.Now()
	m := &received{stream: stream(payload), number: binary.BigEndian.Uint32(payload[streamSize:])}
	if err := s.decrypt(m, attrs.PPTKeyID, payload, live(on), now); err != nil {
		return nil, nil, err
	}
	uri := sha256.Sum256([]byte(on.URI))
	var call [32]byte
	if x != nil {
		call = x.leaf
	}
	leaf := leaf(&m.epoch.id, m.stream, m.number, &call, &uri, m.plain.body)
	if err := s.genuine(on, m, x, leaf, &call, &uri); err != nil {
		return nil, nil, err
	}
	if err := s.allowed(on, m, now); err != nil {
		return nil, nil, err
	}
	a, err := s.take(on, m, x)
	if err != nil {
		return nil, nil, err
	}
	if on.Type == wamp.TypeCall && x == nil {
		on.Call.State = &exchange{scope: s, leaf: leaf, peer: m.member.Key, inputs: 1}
	}
	name, known := s.named(m.member)
	on.Origin = &wamp.Origin{Sender: name, Key: keyText(m.member.Key), Known: known, Time: m.time,
		Missing: a.missing, First: a.first, Late: a.late, Stored: !live(on)}
	return m.body.args, m.body.kwargs, nil
}

// live reports whether a message is to be new.
func live(on *wamp.Subject) bool { return !on.Stored || on.Type != wamp.TypePublish }

// decrypt finds the epoch, and takes the message apart (checks 3 to 8).
func (s *Scope) decrypt(m *received, keyID string, payload []byte, live bool, now time.Time) error {
	candidates := s.candidates(keyID)
	if len(candidates) == 0 && s.await(context.Background()) {
		candidates = s.candidates(keyID)
	}
	err := error(ErrUnknownEpoch)
	for _, e := range candidates {
		m.epoch = e
		if live {
			if err = s.timely(m, now); err != nil {
				continue
			}
		}
		var plain []byte
		if plain, err = s.decryptIn(m, payload); err != nil {
			continue
		}
		if m.plain, err = parsePlain(plain); err != nil {
			return err
		}
		if m.body, err = parseBody(m.plain.body); err != nil {
			return err
		}
		if m.body.sender >= uint64(len(e.Members)) {
			return ErrUnknownSender
		}
		m.member = &e.Members[m.body.sender]
		m.time = e.NotBefore.Add(time.Duration(min(m.body.time, maxMillis/1_000_000)) * time.Millisecond)
		return nil
	}
	return err
}

func (s *Scope) candidates(keyID string) (out []*epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.epochs {
		if e.keyID == keyID {
			out = append(out, e)
		}
	}
	return out
}

// timely checks that an epoch is in force.
func (s *Scope) timely(m *received, now time.Time) error {
	s.mu.Lock()
	newest := s.epochs[0]
	second := len(s.epochs) > 1 && s.epochs[1] == m.epoch
	s.mu.Unlock()
	m.newest = newest
	switch {
	case m.epoch != newest && (!second || now.After(newest.NotBefore.Add(newest.Grace))):
		return ErrOldEpoch.because("the sender does not know of the newer list of members, or the message was held back")
	case now.After(m.epoch.NotAfter.Add(s.options.Window)):
		return ErrExpired
	}
	return nil
}

func (s *Scope) decryptIn(m *received, payload []byte) ([]byte, error) {
	s.mu.Lock()
	var a cipher.AEAD
	a, known := m.epoch.cipher(m.stream)
	s.mu.Unlock()
	_, nonce, aad := header(&m.epoch.id, m.stream, m.number)
	plain, err := a.Open(nil, nonce[:], payload[headSize:], aad[:])
	if err != nil {
		return nil, ErrDecrypt
	}
	if !known {
		s.mu.Lock()
		m.epoch.remember(m.stream, a)
		s.mu.Unlock()
	}
	return plain, nil
}

// genuine checks what the sender has signed (checks 9 to 13).
func (s *Scope) genuine(on *wamp.Subject, m *received, x *exchange, leaf [32]byte, call, uri *[32]byte) error {
	fits := m.body.kind.fits(on, x != nil)
	s.mu.Lock()
	own := s.sent.mine[m.stream]
	reflected := own != nil && (!fits || on.Type == wamp.TypePublish && !own.toSelf)
	s.mu.Unlock()
	switch {
	case reflected:
		return ErrReflected
	case !fits:
		return ErrWrongKind
	case !bytes.Equal(m.body.hint[:], uri[:4]):
		return ErrWrongURI
	case m.body.kind.bound() && !bytes.Equal(m.body.callHint[:], call[:4]):
		return ErrWrongCall
	case !s.verified.verify(m.member.Key, leaf, &m.plain):
		return ErrBadSignature
	}
	return nil
}

// allowed checks rights and time (checks 14 and 15).
func (s *Scope) allowed(on *wamp.Subject, m *received, now time.Time) error {
	rights := m.member.Rights
	if live(on) {
		i := m.newest.index(m.member.Key)
		if i < 0 {
			return ErrRemoved
		}
		rights = m.newest.Members[i].Rights
	}
	switch {
	case rights&m.body.kind.right() == 0:
		return ErrNoRight
	case !live(on):
		return nil
	case m.time.Before(now.Add(-s.options.Window)):
		return ErrTooOld
	case m.time.After(now.Add(s.options.Window)):
		return ErrTooNew
	}
	return nil
}

// take checks that the message is in its place, and takes it (checks 16 to 18).
func (s *Scope) take(on *wamp.Subject, m *received, x *exchange) (arrival, error) {
	switch {
	case m.body.kind.bound():
		return arrival{}, x.take(m)
	case !live(on):
		return arrival{}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.received.accept(streamKey{[32]byte(m.member.Key), m.stream}, m.number, millis(m.time))
	if err == nil && s.files != nil {
		s.files.touch(s)
	}
	return a, err
}

func (x *exchange) take(m *received) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	input := m.body.kind == kindInput || m.body.kind == kindLastInput
	expected := x.answers
	if input {
		expected = x.inputs
	}
	switch {
	case x.peer != nil && !bytes.Equal(x.peer, m.member.Key):
		return ErrWrongSender
	case m.body.index < expected:
		return ErrRepeated
	case m.body.index > expected:
		return ErrMissing
	}
	x.peer = slices.Clone(m.member.Key)
	switch {
	case input:
		x.inputs++
	case m.body.kind == kindProgress:
		x.answers++
	}
	return nil
}
