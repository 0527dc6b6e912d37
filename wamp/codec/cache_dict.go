package codec

import (
	"bytes"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Successive messages of a session mostly have equal options, details and URIs. So the
// last dict of each frequent type, and the last URI, are cached with their encoding. In
// reading, a frame that continues with these bytes has this dict or URI: an encoding is
// self-delimiting, so none is the beginning of another. In writing, an equal dict has
// these bytes. Messages share the lists in a cached dict, so none of them may change
// these.

// maxCachedDict is the longest encoding of a dict, in bytes, that is cached.
const maxCachedDict = 512

// cachedDict is one dict and its encoding in one serializer.
type cachedDict[T any] struct {
	s     wamp.Serializer
	bytes []byte
	dict  T
}

// lookup copies the cached dict into dst if frame continues with its encoding, and
// returns the length of that, or 0.
func (m *cachedDict[T]) lookup(s wamp.Serializer, frame []byte, dst *T) int {
	if m.s != s || !bytes.HasPrefix(frame, m.bytes) {
		return 0
	}
	*dst = m.dict
	return len(m.bytes)
}

func (m *cachedDict[T]) store(s wamp.Serializer, encoded []byte, dict *T) {
	if len(encoded) <= maxCachedDict {
		m.s, m.dict = s, *dict
		m.bytes = append(m.bytes[:0], encoded...)
	}
}

// readDicts is a decoder's cache of dicts.
type readDicts struct {
	uri     cachedDict[wamp.URI]
	publish cachedDict[wamp.PublishOptions]
	call    cachedDict[wamp.CallOptions]
	yield   cachedDict[wamp.ResultDetails]
	failure cachedDict[wamp.ErrorDetails]
}

// lookup reads the dict that frame continues with, if it is cached, and returns the
// length of its encoding, or 0.
func (r *readDicts) lookup(s wamp.Serializer, frame []byte, dict wamp.Dict) int {
	switch d := dict.(type) {
	case *wamp.PublishOptions:
		return r.publish.lookup(s, frame, d)
	case *wamp.CallOptions:
		return r.call.lookup(s, frame, d)
	case *wamp.ResultDetails:
		return r.yield.lookup(s, frame, d)
	case *wamp.ErrorDetails:
		return r.failure.lookup(s, frame, d)
	}
	return 0
}

func (r *readDicts) store(s wamp.Serializer, encoded []byte, dict wamp.Dict) {
	switch d := dict.(type) {
	case *wamp.PublishOptions:
		r.publish.store(s, encoded, d)
	case *wamp.CallOptions:
		r.call.store(s, encoded, d)
	case *wamp.ResultDetails:
		r.yield.store(s, encoded, d)
	case *wamp.ErrorDetails:
		r.failure.store(s, encoded, d)
	}
}

// writeDicts is an encoder's cache of dicts in one serializer.
type writeDicts struct {
	event      cachedDict[wamp.EventDetails]
	invocation cachedDict[wamp.InvocationDetails]
	result     cachedDict[wamp.ResultDetails]
	messages   writeCache
}

// lookup returns the encoding of an equal cached dict, or nil.
func (w *writeDicts) lookup(dict wamp.Dict) []byte {
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

func (w *writeDicts) store(s wamp.Serializer, encoded []byte, dict wamp.Dict) {
	switch d := dict.(type) {
	case *wamp.EventDetails:
		w.event.store(s, encoded, d)
	case *wamp.InvocationDetails:
		w.invocation.store(s, encoded, d)
	case *wamp.ResultDetails:
		w.result.store(s, encoded, d)
	}
}
