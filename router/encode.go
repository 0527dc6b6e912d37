package router

import (
	"errors"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// encoding is an outbound message for receivers of one serializer and framing.
type encoding struct {
	frame   []byte
	body    int              // the message's length without framing
	chunk   *sendqueue.Chunk // that holds frame; nil: the batch's buffer does
	refusal *wamp.Refusal    // why there is no frame
}

const (
	// Frames for manyReceivers or more, and frames with a payload of at least
	// largeFrame, are shared between the queues of their receivers; copying a
	// smaller one costs less than handling one more buffer in each write.
	manyReceivers = 8
	largeFrame    = 16 << 10
	// typicalEnvelope is the usual size of an envelope, in bytes.
	typicalEnvelope = 64
	// sharedChunk is the size that chunks of shared frames grow to in a long batch.
	sharedChunk = 64 << 10
)

// resetEncodings discards the encodings of the previous outbound message.
func (b *batch) resetEncodings() {
	for _, slot := range b.used {
		b.encoded[slot] = encoding{}
	}
	b.used = b.used[:0]
	b.sentBytes, b.largest = b.sentBytes+b.largest, 0
	b.buffer = b.buffer[:0]
	b.maxReceivers = 1
}

// slotOf numbers the combinations of serializer and framing.
func slotOf(s wamp.Serializer, f transport.Framing) int {
	return int(s)*int(transport.Framings) + int(f)
}

// encode returns m as a frame for receivers like to. It encodes once for each
// serializer and framing until resetEncodings is called. payload is m's, or nil.
func (b *batch) encode(m wamp.Message, payload *wamp.Payload, to *session) *encoding {
	framing := to.out.Conn.Framing()
	slot := slotOf(to.peer.Serializer, framing)
	e := &b.encoded[slot]
	if e.frame != nil || e.refusal != nil {
		return e
	}
	b.used = append(b.used, uint8(slot))
	s, size := to.peer.Serializer, 0
	if payload != nil {
		if from := payload.Serializer(); from != s && from != 0 {
			b.convert(e, m, payload, framing, s)
			return e
		}
		size = payload.WireSize()
	}
	b.frame(e, m, framing, s, size)
	return e
}

// convert is frame for a payload of m that has to be converted to another serializer.
func (b *batch) convert(e *encoding, m wamp.Message, payload *wamp.Payload, framing transport.Framing, s wamp.Serializer) {
	converted, err := codec.Convert(payload, s)
	if err != nil {
		e.refusal = asRefusal(err)
		return
	}
	original := *payload
	*payload = converted
	b.frame(e, m, framing, s, converted.WireSize())
	*payload = original
}

// frame encodes m, whose payload takes size bytes, as a frame into e.
func (b *batch) frame(e *encoding, m wamp.Message, framing transport.Framing, s wamp.Serializer, size int) {
	buffer := b.buffer
	slot := slotOf(s, framing)
	if size >= largeFrame || b.maxReceivers >= manyReceivers {
		e.chunk = b.sharedChunkFor(slot, size+512)
		buffer = e.chunk.Buf
	}
	start := len(buffer)
	buffer = framing.Begin(buffer, size+typicalEnvelope)
	body := len(buffer)
	buffer, err := b.encoder.Append(buffer, s, m)
	if err != nil {
		e.refusal = asRefusal(err)
		return
	}
	e.body = len(buffer) - body
	if e.body > framing.MaxMessage() {
		e.refusal = tooLarge
		return
	}
	buffer = framing.Finish(buffer, start, body, transport.OpMessage)
	e.frame = buffer[start:]
	b.largest = max(b.largest, len(e.frame))
	switch {
	case e.chunk == nil:
		b.buffer = buffer
	case cap(buffer) == cap(e.chunk.Buf):
		e.chunk.Buf = buffer
	default:
		// A long envelope: the encoder has moved to a larger array.
		moved := new(sendqueue.Chunk)
		moved.Adopt(buffer, true)
		e.chunk.Release()
		e.chunk, b.shared[slot] = moved, moved
	}
}

// sharedChunkFor returns a chunk with room for size bytes for the next shared frame of
// a slot. The first chunk after a flush is no larger than needed, as its frame may be
// the only one before the next flush.
func (b *batch) sharedChunkFor(slot, size int) *sendqueue.Chunk {
	before := b.shared[slot]
	room := size
	switch {
	case before == nil:
		b.sharedSlots = append(b.sharedSlots, uint8(slot))
	case cap(before.Buf)-len(before.Buf) >= size:
		return before
	default:
		room = max(size, min(4*cap(before.Buf), sharedChunk))
		before.Release()
	}
	c := sendqueue.NewChunk(room, true)
	b.shared[slot] = c
	return c
}

var tooLarge = &wamp.Refusal{Reason: wamp.ReasonSize, URI: wamp.ErrPayloadSizeExceeded,
	Text: "the message is larger than its receiver accepts"}

// asRefusal returns the refusal in err, or one that says that the payload can't be
// converted.
func asRefusal(err error) *wamp.Refusal {
	var refusal *wamp.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &wamp.Refusal{Reason: wamp.ReasonInconvertible, URI: wamp.ErrInvalidArgument,
		Text: "the payload can't be converted to the receiver's serializer"}
}
