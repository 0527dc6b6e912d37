package cluster

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// A message between nodes is an envelope and, behind it, one WAMP message in the
// serializer of its payload, whose bytes are those that came off the wire. The envelope:
//
//	version   1 byte
//	kind      1 byte
//	origin    text: the node that sent it
//	sequence  number: it goes up with each message of the origin
//	session   number, authid text, authrole text, serializer 1 byte,
//	          and of publisher, subscriber, caller, callee: 1 + its features, or 0
//	an event: publication number, disclose 1 byte, trust number, retain 1 byte, stamp number
//	a call:   realm text, procedure text, callee number, more 1 byte
//	serializer of the message  1 byte
//
// A number is a varint (encoding/binary), a text its length and its bytes.

const (
	// version is written. Nodes of the version before are understood, and those of
	// the next understand this one; anything else is refused.
	version = 1

	kindEvent byte = 1
	kindCall  byte = 2
)

var (
	errVersion  = errors.New("cluster: an envelope of a version that this node does not know")
	errEnvelope = errors.New("cluster: a damaged envelope")
)

// envelope is what stands in front of the message.
type envelope struct {
	kind     byte
	origin   string
	sequence uint64
	peer     wamp.Peer
	// of an event
	publication wamp.ID
	disclose    bool
	trust       wamp.Trust
	retain      router.Retention
	stamp       uint64
	// of a message of a call
	realm     string
	procedure wamp.URI
	callee    wamp.ID
	more      bool
}

// encoders are reused: an Encoder remembers what it has written before.
var encoders = sync.Pool{New: func() any { return codec.NewEncoder() }}

func (e *envelope) append(dst []byte, m wamp.Message) ([]byte, error) {
	dst = append(dst, version, e.kind)
	dst = appendText(dst, e.origin)
	dst = binary.AppendUvarint(dst, e.sequence)
	dst = appendPeer(dst, &e.peer)
	switch e.kind {
	case kindEvent:
		dst = binary.AppendUvarint(dst, uint64(e.publication))
		dst = appendBool(dst, e.disclose)
		dst = binary.AppendUvarint(dst, uint64(e.trust))
		dst = append(dst, byte(e.retain))
		dst = binary.AppendUvarint(dst, e.stamp)
	case kindCall:
		dst = appendText(dst, e.realm)
		dst = appendText(dst, string(e.procedure))
		dst = binary.AppendUvarint(dst, uint64(e.callee))
		dst = appendBool(dst, e.more)
	}
	s := wamp.CBOR
	if c, ok := m.(wamp.Carrier); ok {
		if p, _ := c.Carried(); p.Serializer().Valid() {
			s = p.Serializer()
		}
	}
	encoder := encoders.Get().(*codec.Encoder)
	defer encoders.Put(encoder)
	return encoder.Append(append(dst, byte(s)), s, m)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendPeer(dst []byte, p *wamp.Peer) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.Session))
	dst = appendText(dst, p.AuthID)
	dst = appendText(dst, p.AuthRole)
	dst = append(dst, byte(p.Serializer))
	for _, role := range rolesOf(p) {
		n := uint64(0)
		if role.Present {
			n = 1 + uint64(role.Features)
		}
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

func rolesOf(p *wamp.Peer) [4]*wamp.Role {
	return [...]*wamp.Role{&p.Roles.Publisher, &p.Roles.Subscriber, &p.Roles.Caller, &p.Roles.Callee}
}

// decoder decodes what one inbox gets. It belongs to one goroutine. What it returns is
// valid until the next message, but for the payload, which refers to the bytes it was
// given.
type decoder struct {
	messages *codec.Decoder
	envelope envelope
}

// decode reads one message.
func (d *decoder) decode(b []byte) (*envelope, wamp.Message, error) {
	r := reader{rest: b}
	if v := r.byte(); v != version {
		return nil, nil, errVersion
	}
	e := &d.envelope
	*e = envelope{kind: r.byte(), origin: r.text(), sequence: r.number()}
	r.peer(&e.peer)
	switch e.kind {
	case kindEvent:
		e.publication, e.disclose, e.trust = wamp.ID(r.number()), r.byte() == 1, wamp.Trust(r.number())
		e.retain, e.stamp = router.Retention(r.byte()), r.number()
		if e.retain > router.RetainNoMore {
			return nil, nil, errEnvelope
		}
	case kindCall:
		e.realm = r.text()
		e.procedure, e.callee, e.more = wamp.URI(r.text()), wamp.ID(r.number()), r.byte() == 1
	default:
		return nil, nil, errEnvelope
	}
	s := wamp.Serializer(r.byte())
	if r.failed || !s.Valid() {
		return nil, nil, errEnvelope
	}
	m, err := d.messages.Decode(s, r.rest)
	return e, m, err
}

// reader reads an envelope.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.failed = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.failed = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.failed = true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *reader) peer(p *wamp.Peer) {
	p.Session, p.AuthID, p.AuthRole, p.Serializer = wamp.ID(r.number()), r.text(), r.text(), wamp.Serializer(r.byte())
	for _, role := range rolesOf(p) {
		if n := r.number(); n > 0 {
			*role = wamp.Role{Present: true, Features: wamp.Features(n - 1)}
		}
	}
}

// publicationOf is the part of an envelope that the router is told of an event.
func (e *envelope) publicationOf(m *wamp.Publish) *router.Publication {
	return &router.Publication{Publisher: e.peer, ID: e.publication, Disclose: e.disclose, Trust: e.trust,
		Retain: e.retain, Stamp: e.stamp, Message: m}
}

// remoteMessage is the part of an envelope that the router is told of a call.
func (e *envelope) remoteMessage(m wamp.Message) *router.RemoteMessage {
	return &router.RemoteMessage{From: e.peer, Procedure: e.procedure, Callee: e.callee, More: e.more, Message: m}
}
