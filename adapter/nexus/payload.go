package nexus

import (
	"errors"
	"fmt"
	"sync"
	"time"

	nexus "github.com/gammazero/nexus/v3/wamp"

	"github.com/blindfold-wamp/blindfold/adapter"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

var errClosed = errors.New("nexus: the router is closed")

// Payload is an opaque payload on its way through nexus: the one element of Arguments.
// A local client gets it so; it is an error, which says what it is, to whoever takes it
// for anything else. Binary is how to ask for the bytes.
//
// Only clients that came by Accept can be sent a Payload: nexus's own serializers get an
// error, where a placeholder would pass for data. It may be used concurrently.
type Payload struct {
	*item

	// Of a local client, for receivers of any serializer.
	form wamp.Form
	data []byte
}

// Seal makes Arguments of an encrypted payload, for a local client to publish, call or
// yield. The attributes say how it was made. data must not change afterwards.
func Seal(a wamp.Attributes, data []byte) nexus.List {
	return nexus.List{&Payload{item: &item{attributes: a}, form: a.Declared(), data: data}}
}

// PayloadOf returns the opaque payload that Arguments are, if they are one.
func PayloadOf(args nexus.List) (*Payload, bool) {
	if len(args) != 1 {
		return nil, false
	}
	p, ok := args[0].(*Payload)
	return p, ok
}

// Attributes returns the options that say how the payload was made.
func (p *Payload) Attributes() wamp.Attributes { return p.attributes }

// Binary returns the binary that the payload is, for a local client that can open it. It
// returns false if the payload is anything else.
func (p *Payload) Binary() ([]byte, bool) {
	if p.data != nil {
		return p.data, true
	}
	return codec.Binary(&p.payload)
}

// Error makes a Payload an error.
func (p *Payload) Error() string {
	return "opaque payload: nexus.PayloadOf of Blindfold's adapter gives its bytes"
}

// Format makes every verb of package fmt print a description, and never the content.
func (p *Payload) Format(f fmt.State, _ rune) {
	if p.data != nil {
		fmt.Fprintf(f, "payload(opaque, %d B)", len(p.data))
		return
	}
	fmt.Fprint(f, p.payload)
}

var errForeign = errors.New("opaque payload: its receiver did not come by Accept of Blindfold's adapter")

// Nexus's serializers ask for these. They ask for the counterparts too, or would write an
// empty dict.

func (*Payload) MarshalText() ([]byte, error)   { return nil, errForeign }
func (*Payload) MarshalJSON() ([]byte, error)   { return nil, errForeign }
func (*Payload) MarshalBinary() ([]byte, error) { return nil, errForeign }
func (*Payload) UnmarshalText([]byte) error     { return errForeign }
func (*Payload) UnmarshalJSON([]byte) error     { return errForeign }
func (*Payload) UnmarshalBinary([]byte) error   { return errForeign }

// item is what a client sent, and what nexus does not carry: an opaque payload is one
// in Arguments, within a Payload; beside a clear one it lies behind the end of
// Arguments, where nobody looks who does not know of it. So receivers get payloads,
// clear ones too, as the bytes that the sender sent. It does not change once nexus has it.
//
// It also stands in for EVENT.Details: that is one map for all receivers, which nexus's
// broker writes while the first of them has the event already, so reading it could end
// the process.
type item struct {
	payload    wamp.Payload
	values     bool // only Arguments have the payload, as values; what is in payload is to be counted
	attributes wamp.Attributes
	from       *wamp.Peer      // nil: nexus itself
	sender     *adapter.Client // nil: did not come by Accept
	uri        wamp.URI        // the topic or procedure
	disclose   bool            // who published it
	arrived    time.Time
	frames     sharedFrames
}

// beside puts an item beside Arguments.
func beside(args nexus.List, it *item) nexus.List {
	n := len(args)
	return append(append(make(nexus.List, 0, n+1), args...), it)[:n]
}

// itemOf returns the item in or beside Arguments, or nil.
func itemOf(args nexus.List) *item {
	if p, ok := PayloadOf(args); ok {
		return p.item
	}
	if n := len(args); cap(args) > n {
		it, _ := args[:n+1][n].(*item)
		return it
	}
	return nil
}

// carried returns the item of Arguments, with the payload as a receiver of serializer s
// gets it.
func carried(args nexus.List, s wamp.Serializer) (it *item, payload wamp.Payload) {
	if p, ok := PayloadOf(args); ok && p.data != nil {
		return p.item, codec.BinaryPayload(s, p.form, p.data)
	}
	if it = itemOf(args); it != nil {
		payload = it.payload
	}
	return it, payload
}

// sharedFrames are the frames of an event, each made once for all receivers alike.
type sharedFrames struct {
	mu   sync.Mutex
	made []sharedFrame
}

type sharedFrame struct {
	frameKey
	frame   []byte
	size    int
	chunk   *sendqueue.Chunk // nil: to be copied
	refusal *wamp.Refusal
}

type frameKey struct {
	subscription nexus.ID
	serializer   wamp.Serializer
	framing      transport.Framing
	disclosed    bool
}

// largeFrame is from which size on a frame is not copied to each receiver's queue.
const largeFrame = 4 << 10

func (s *sharedFrames) get(k frameKey, make func() ([]byte, int, *wamp.Refusal)) sharedFrame {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.made {
		if f.frameKey == k {
			return f
		}
	}
	f := sharedFrame{frameKey: k}
	if f.frame, f.size, f.refusal = make(); len(f.frame) >= largeFrame {
		f.chunk = new(sendqueue.Chunk)
		f.chunk.Adopt(f.frame, true)
	}
	s.made = append(s.made, f)
	return f
}
