package scope

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// ownKey is what a sender has one stream for: a kind with its URI, or, with the
// zero URI, all that belongs to calls.
type ownKey struct {
	kind kind
	uri  wamp.URI
}

// ownStream is a stream of this sender.
type ownStream struct {
	id   stream
	next uint64
	// toSelf tells that the router may bring its events back.
	toSelf bool
	used   time.Time
}

// ownStreams are the streams of this sender. mine has those, too, that were given
// up no longer ago than the window.
type ownStreams struct {
	by   map[ownKey]*ownStream
	mine map[stream]*ownStream
}

func newOwnStreams() ownStreams {
	return ownStreams{make(map[ownKey]*ownStream), make(map[stream]*ownStream)}
}

// next returns the stream of that key, and the next number in it.
func (o *ownStreams) next(key ownKey, now time.Time, window time.Duration) (*ownStream, uint32) {
	s := o.by[key]
	if s == nil || s.next > 1<<32-1 {
		if s == nil && len(o.by) >= maxStreams {
			o.forget(now, window)
		}
		s = new(ownStream)
		rand.Read(s.id[:])
		o.by[key], o.mine[s.id] = s, s
	}
	n := uint32(s.next)
	s.next++
	s.used = now
	return s, n
}

// forget gives up all streams; new ones follow. What was sealed in those before
// the window is refused anyway.
func (o *ownStreams) forget(now time.Time, window time.Duration) {
	clear(o.by)
	for id, s := range o.mine {
		if now.Sub(s.used) > 2*window {
			delete(o.mine, id)
		}
	}
}

// exchange is one call on one side: what its messages are bound to.
type exchange struct {
	scope *Scope
	leaf  [32]byte // of its first message

	mu sync.Mutex
	// peer is who called, at the callee; who answered, at the caller.
	peer    []byte
	inputs  uint64 // sealed or accepted, with the first
	answers uint64 // progressive ones, sealed or accepted
}

// draft is a message that is to be signed.
type draft struct {
	epoch  *epoch
	stream stream
	number uint32
	cipher cipher.AEAD
	body   []byte
	leaf   [32]byte
}

// draft makes all of a message but its signature.
func (s *Scope) draft(on *wamp.Subject, args []any, kwargs map[string]any) (*draft, error) {
	content, err := encodeContent(args, kwargs)
	if err != nil {
		return nil, err
	}
	x, err := s.exchangeOf(on)
	if err != nil {
		return nil, err
	}
	b := &body{}
	switch on.Type {
	case wamp.TypePublish:
		b.kind = kindEvent
		if on.Listed {
			b.kind = kindEventToSome
		}
	case wamp.TypeCall:
		b.kind = callKind(on.Progress, x != nil)
	case wamp.TypeYield:
		b.kind = resultKind(on.Progress)
	default:
		b.kind = kindError
	}
	uri := sha256.Sum256([]byte(on.URI))
	copy(b.hint[:], uri[:])
	var call [32]byte
	if x != nil {
		call = x.leaf
		copy(b.callHint[:], call[:])
		b.index = x.next(b.kind)
	}
	d, err := s.place(on, b)
	if err != nil {
		return nil, err
	}
	d.body = b.encode(content)
	d.leaf = leaf(&d.epoch.id, d.stream, d.number, &call, &uri, d.body)
	if on.Type == wamp.TypeCall && x == nil {
		on.Call.State = &exchange{scope: s, leaf: d.leaf, inputs: 1}
	}
	return d, nil
}

// exchangeOf returns the call that the subject belongs to, or nil for events and
// first messages of calls.
func (s *Scope) exchangeOf(on *wamp.Subject) (*exchange, error) {
	if on.Type == wamp.TypePublish {
		return nil, nil
	}
	if on.Call == nil {
		return nil, ErrWrongCall.because("there is no call")
	}
	x, _ := on.Call.State.(*exchange)
	if x == nil && on.Type != wamp.TypeCall {
		return nil, ErrWrongCall.because("the call was not sealed")
	}
	if x != nil && x.scope != s {
		return nil, ErrWrongScope
	}
	return x, nil
}

// next returns the index of a message to seal.
func (x *exchange) next(k kind) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch k {
	case kindInput, kindLastInput:
		x.inputs++
		return x.inputs - 1
	case kindProgress:
		x.answers++
		return x.answers - 1
	}
	return x.answers
}

// place gives a message its epoch, its place in a stream, and its time.
func (s *Scope) place(on *wamp.Subject, b *body) (*draft, error) {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.epochs) == 0 {
		return nil, ErrUnknownEpoch.because("nothing was fetched yet")
	}
	e := s.epochs[0]
	switch {
	case s.removed:
		return nil, ErrNotMember
	case now.Before(e.NotBefore.Add(-s.options.Window)):
		return nil, ErrNotYet
	case now.After(e.NotAfter):
		return nil, ErrExpired
	case e.Members[e.self].Rights&b.kind.right() == 0:
		return nil, ErrNoRight
	}
	b.sender = uint64(e.self)
	b.time = uint64(max(now.UnixMilli()-e.NotBefore.UnixMilli(), 0))
	key := ownKey{b.kind, on.URI}
	switch {
	case b.kind.bound():
		key = ownKey{kind: kinds}
	case b.kind == kindCallInputsFollow:
		key.kind = kindCall
	}
	own, number := s.sent.next(key, now, s.options.Window)
	own.toSelf = own.toSelf || on.ToSelf
	a, known := e.cipher(own.id)
	if !known {
		e.remember(own.id, a)
	}
	return &draft{epoch: e, stream: own.id, number: number, cipher: a}, nil
}

func (d *draft) payload(signature []byte, p proof) []byte {
	var space [2 + 32*maxLevels]byte
	return sealPlain(d.cipher, &d.epoch.id, d.stream, d.number, signature, p.append(space[:0]), d.body)
}

func (d *draft) attributes() wamp.Attributes {
	return wamp.Attributes{PPTScheme: scheme, PPTSerializer: serializer, PPTCipher: cipherName, PPTKeyID: d.epoch.keyID}
}

// seal seals one message.
func (s *Scope) seal(on *wamp.Subject, args []any, kwargs map[string]any) (wamp.Attributes, []byte, error) {
	d, err := s.draft(on, args, kwargs)
	if err != nil {
		return wamp.Attributes{}, nil, err
	}
	return d.attributes(), d.payload(s.signer.sign(d.leaf)), nil
}
