package codec

import (
	"bytes"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// A session mostly says the same of one message as of the one before: the
// options and topics of its publications differ as little as the details of the
// events that they become. So the last dict of each hot type, and the last URI,
// are remembered with their bytes. Reading, a frame that goes on with these bytes holds this dict or URI: an
// encoding says itself where it ends, so one can't be the beginning of another.
// Writing, an equal dict has these bytes. Messages share what a remembered dict
// refers to, and so none of them may change it.

// maxMemo is the longest dict, in bytes, that is remembered.
const maxMemo = 512

// memo is one dict and its bytes in one serializer.
type memo[T any] struct {
	s     wamp.Serializer
	bytes []byte
	dict  T
}

// recall copies the remembered dict into dst if frame goes on with its bytes,
// and returns their number, or 0.
func (m *memo[T]) recall(s wamp.Serializer, frame []byte, dst *T) int {
	if m.s != s || !bytes.HasPrefix(frame, m.bytes) {
		return 0
	}
	*dst = m.dict
	return len(m.bytes)
}

func (m *memo[T]) remember(s wamp.Serializer, encoded []byte, dict *T) {
	if len(encoded) <= maxMemo {
		m.s, m.dict = s, *dict
		m.bytes = append(m.bytes[:0], encoded...)
	}
}

// readMemos is what a decoder remembers.
type readMemos struct {
	uri     memo[wamp.URI]
	publish memo[wamp.PublishOptions]
	call    memo[wamp.CallOptions]
	yield   memo[wamp.ResultDetails]
	failure memo[wamp.ErrorDetails]
}

// recall reads the dict that frame goes on with, if it is one remembered, and
// returns its length in bytes, or 0.
func (r *readMemos) recall(s wamp.Serializer, frame []byte, dict wamp.Dict) int {
	switch d := dict.(type) {
	case *wamp.PublishOptions:
		return r.publish.recall(s, frame, d)
	case *wamp.CallOptions:
		return r.call.recall(s, frame, d)
	case *wamp.ResultDetails:
		return r.yield.recall(s, frame, d)
	case *wamp.ErrorDetails:
		return r.failure.recall(s, frame, d)
	}
	return 0
}

func (r *readMemos) remember(s wamp.Serializer, encoded []byte, dict wamp.Dict) {
	switch d := dict.(type) {
	case *wamp.PublishOptions:
		r.publish.remember(s, encoded, d)
	case *wamp.CallOptions:
		r.call.remember(s, encoded, d)
	case *wamp.ResultDetails:
		r.yield.remember(s, encoded, d)
	case *wamp.ErrorDetails:
		r.failure.remember(s, encoded, d)
	}
}

// writeMemos is what an encoder remembers, of one serializer.
type writeMemos struct {
	event      memo[wamp.EventDetails]
	invocation memo[wamp.InvocationDetails]
	result     memo[wamp.ResultDetails]
	resends    resends
}

// recall returns the bytes of a dict equal to one remembered, or nil.
func (w *writeMemos) recall(dict wamp.Dict) []byte {
	switch d := dict.(type) {
	case *wamp.EventDetails:
		if len(w.event.bytes) > 0 && w.event.dict == *d {
			return w.event.bytes
		}
	case *wamp.InvocationDetails:
		if len(w.invocation.bytes) > 0 && w.invocation.dict == *d {
			return w.invocation.bytes
		}
	case *wamp.ResultDetails:
		if len(w.result.bytes) > 0 && w.result.dict == *d {
			return w.result.bytes
		}
	}
	return nil
}

func (w *writeMemos) remember(s wamp.Serializer, encoded []byte, dict wamp.Dict) {
	switch d := dict.(type) {
	case *wamp.EventDetails:
		w.event.remember(s, encoded, d)
	case *wamp.InvocationDetails:
		w.invocation.remember(s, encoded, d)
	case *wamp.ResultDetails:
		w.result.remember(s, encoded, d)
	}
}
