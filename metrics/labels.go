package metrics

import "github.com/blindfold-wamp/blindfold/wamp"

// Label values as indices into arrays of counters. Unknown values have an index too.

const (
	carriers     = 4        // types that carry payloads: the first of typeNames
	skippedEvent = carriers // in opaqueRefused
	types        = len(typeNames)
	forms        = len(wamp.Forms)
)

// typeNames are the types of inbound messages. deliveredNames are the outbound types of
// those that carry payloads.
var (
	typeNames      = [...]string{"PUBLISH", "CALL", "YIELD", "ERROR", "SUBSCRIBE", "REGISTER", "other"}
	deliveredNames = [carriers]string{"EVENT", "INVOCATION", "RESULT", "ERROR"}
)

// typeIndex returns the index of the inbound type; an outbound message counts as its
// inbound type.
func typeIndex(t *wamp.RoutedMessage) int {
	if t != nil {
		switch t.Message.(type) {
		case *wamp.Publish, *wamp.Event:
			return 0
		case *wamp.Call, *wamp.Invocation:
			return 1
		case *wamp.Yield, *wamp.Result:
			return 2
		case *wamp.Error:
			return 3
		case *wamp.Subscribe:
			return 4
		case *wamp.Register:
			return 5
		}
	}
	return types - 1
}

const schemeCount = len(schemes)

var schemes = [...]string{"cryptobox", "mqtt", "xbr", "wamp", "none", "other"}

func schemeIndex(s string) int {
	switch s {
	case "cryptobox":
		return 0
	case "mqtt":
		return 1
	case "xbr":
		return 2
	case "wamp":
		return 3
	case "":
		return 4
	}
	return 5
}

var transports = [...]string{"websocket", "rawsocket", "memory", "other"}

func transportIndex(s string) int {
	switch s {
	case "websocket":
		return 0
	case "rawsocket":
		return 1
	case "memory":
		return 2
	}
	return 3
}

// serializers are indexed by their numbers.
var serializers = [...]string{"other", wamp.JSON: "json", wamp.MsgPack: "msgpack", wamp.CBOR: "cbor"}

func serializerIndex(s wamp.Serializer) int {
	if s.Valid() {
		return int(s)
	}
	return 0
}

var reasonIndices = func() map[wamp.Reason]int {
	indices := map[wamp.Reason]int{}
	for n, reason := range wamp.Reasons {
		indices[reason] = n
	}
	return indices
}()

var limitIndices = func() map[wamp.Limit]int {
	indices := map[wamp.Limit]int{}
	for n, limit := range wamp.Limits {
		indices[limit] = n
	}
	return indices
}()

func reasonIndex(r *wamp.Refusal) int {
	if r != nil {
		if n, ok := reasonIndices[r.Reason]; ok {
			return n
		}
	}
	return reasonIndices[wamp.ReasonInterceptor]
}
