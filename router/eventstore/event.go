package eventstore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Event is an event that outlives its delivery: its envelope, and its payload as the
// bytes that came. It must not be changed once made.
type Event struct {
	At   time.Time // to the millisecond
	From wamp.ID   // the session that published it
	// Event has the topic in Details.Topic. Its Subscription is to be set in a copy.
	Event wamp.Event
	// Receivers has the lists of receivers and exclude_me of the PUBLISH, and nothing
	// else. The lists are sorted: see Admits.
	Receivers wamp.PublishOptions
	size      int // about the bytes that it takes in memory
}

// New makes a stored event of an event and the PUBLISH that it came from. It copies
// the payload and the lists of receivers.
func New(event *wamp.Event, m *wamp.Publish, from wamp.ID) *Event {
	e := &Event{At: time.Now().UTC().Truncate(time.Millisecond), From: from, Event: *event, Receivers: receiversOf(&m.Options)}
	e.Event.Details.Topic = m.Topic
	e.Event.Payload = event.Payload.Clone()
	e.size = e.measure()
	return e
}

// Size returns about how many bytes the event takes.
func (e *Event) Size() int { return e.size }

// receiversOf returns only the options that select receivers.
func receiversOf(o *wamp.PublishOptions) wamp.PublishOptions {
	return wamp.PublishOptions{
		ExcludeMe: o.ExcludeMe, Exclude: sorted(o.Exclude), Eligible: sorted(o.Eligible),
		ExcludeAuthID: sorted(o.ExcludeAuthID), ExcludeAuthRole: sorted(o.ExcludeAuthRole),
		EligibleAuthID: sorted(o.EligibleAuthID), EligibleAuthRole: sorted(o.EligibleAuthRole),
	}
}

// sorted returns a copy in order; nil stays nil.
func sorted[T cmp.Ordered](list []T) []T {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// Admits reports whether the lists of receivers let a session have the event (WAMP,
// "Subscriber Black- and Whitelisting"). It takes the logarithm of their lengths: an
// event is checked for every session that asks for retained events, however long the
// lists are that it came with.
func (e *Event) Admits(to *wamp.Peer) bool {
	o := &e.Receivers
	switch {
	case in(o.Exclude, to.Session), in(o.ExcludeAuthID, to.AuthID), in(o.ExcludeAuthRole, to.AuthRole),
		o.Eligible != nil && !in(o.Eligible, to.Session),
		o.EligibleAuthID != nil && !in(o.EligibleAuthID, to.AuthID),
		o.EligibleAuthRole != nil && !in(o.EligibleAuthRole, to.AuthRole):
		return false
	}
	return true
}

func in[T cmp.Ordered](list []T, v T) bool {
	_, found := slices.BinarySearch(list, v)
	return found
}

func (e *Event) measure() int {
	const overhead = 1000 // the structs, the bookkeeping around them: measured
	d := &e.Event.Details
	return overhead + e.Event.Payload.WireSize() + len(d.Topic) + len(d.TransactionHash) + d.Attributes.Size() + e.Receivers.Size()
}

// A record: a version, the serializer, the time (Unix milliseconds), the publishing
// session, and two messages of that serializer, the first after its length: a PUBLISH
// with the lists of receivers, and the EVENT. So the payload is stored as the bytes
// that came off the wire, behind an envelope that only package codec reads.
const recordVersion = 1

// Append appends the event to dst as a record that Reader reads.
func (e *Event) Append(dst []byte) ([]byte, error) {
	s := e.Event.Payload.Serializer()
	if s == 0 {
		s = wamp.CBOR
	}
	dst = append(dst, recordVersion, byte(s))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.At.UnixMilli()))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.From))
	lists, err := codec.Append(nil, s, &wamp.Publish{Request: 1, Options: e.Receivers, Topic: e.Event.Details.Topic})
	if err != nil {
		return nil, err
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(lists)))
	event := e.Event
	event.Subscription = 1
	return codec.Append(append(dst, lists...), s, &event)
}

const recordHeader = 2 + 8 + 8 + 4

// Reader reads records. One that reads many costs each of them less than a new one would.
// It is not for concurrent use.
type Reader struct {
	decoder *codec.Decoder
}

// Read reads a record that Append wrote. The event's payload refers to b. Anything
// else is an error, ErrRecord if it is not of a known version.
func (r *Reader) Read(b []byte) (*Event, error) {
	if r.decoder == nil {
		r.decoder = codec.NewDecoder()
	}
	d := r.decoder
	if len(b) < recordHeader || b[0] != recordVersion || !wamp.Serializer(b[1]).Valid() {
		return nil, ErrRecord
	}
	s := wamp.Serializer(b[1])
	e := &Event{
		At:   time.UnixMilli(int64(binary.BigEndian.Uint64(b[2:]))).UTC(),
		From: wamp.ID(binary.BigEndian.Uint64(b[10:])),
		size: len(b),
	}
	n := binary.BigEndian.Uint32(b[18:])
	if uint64(n) > uint64(len(b)-recordHeader) {
		return nil, ErrRecord
	}
	m, err := d.Decode(s, b[recordHeader:recordHeader+n])
	if err != nil {
		return nil, err
	}
	lists, ok := m.(*wamp.Publish)
	if !ok {
		return nil, ErrRecord
	}
	e.Receivers = receiversOf(&lists.Options) // files have had them in any order
	if m, err = d.Decode(s, b[recordHeader+n:]); err != nil {
		return nil, err
	}
	event, ok := m.(*wamp.Event)
	if !ok {
		return nil, ErrRecord
	}
	e.Event = *event
	return e, nil
}

// ErrRecord says that a record is damaged or of a version that this program does not know.
var ErrRecord = errors.New("eventstore: not a record of a version that this program knows")
