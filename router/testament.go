package router

import (
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// TestamentLimits bound what one session may leave behind (WAMP, "Session
// Testament"). A zero field stands for its default.
type TestamentLimits struct {
	// Count of testaments. Default 16.
	Count int
	// Bytes that they take, with their topics, options and lists of receivers. Default
	// 64 KiB.
	Bytes int
}

// testamentProcedures are those of WAMP, "Session Testament".
var testamentProcedures = map[wamp.URI]metaProcedure{
	"wamp.session.add_testament":    {answer: addTestament},
	"wamp.session.flush_testaments": {answer: flushTestaments},
}

// testaments are what a session leaves behind, by scope. Only the goroutine that
// reads from the session uses them.
type testaments struct {
	detached, destroyed []*wamp.Publish
}

func (w *testaments) scope(name string) *[]*wamp.Publish {
	switch name {
	case "", "destroyed":
		return &w.destroyed
	case "detached":
		return &w.detached
	}
	return nil
}

// total returns how many there are, and the bytes that they take.
func (w *testaments) total() (count, bytes int) {
	for _, m := range slices.Concat(w.detached, w.destroyed) {
		count++
		bytes += testamentSize(m)
	}
	return count, bytes
}

// testamentSize returns about how many bytes of memory a testament takes, but for
// what every one takes.
func testamentSize(m *wamp.Publish) int {
	return len(m.Topic) + m.Payload.WireSize() + m.Options.Size()
}

// addTestament keeps a PUBLISH for the session's end. It must be one that the
// session may send now; it is checked again, by what is configured then, when it
// is sent.
//
// An opaque payload is handed over as its binary: in the list of arguments,
// alone, or in place of the list; publish_options has the enc_* or ppt_* to go
// with it, which say in which form it is published.
func addTestament(c *metaCall) *wamp.Refusal {
	m, refusal := c.testament()
	if refusal != nil {
		return refusal
	}
	list, refusal := c.testaments()
	if refusal != nil {
		return refusal
	}
	limits := c.realm.testaments
	count, bytes := c.from.testaments.total()
	if count >= limits.Count || bytes+testamentSize(m) > limits.Bytes {
		return tooManyTestaments
	}
	now := *m // what interceptors permit is permitted now
	c.batch.begin(c.from, m.Topic, &now)
	if _, refusal := c.realm.broker.admit(c.batch, c.from, &now); refusal != nil {
		told := *refusal
		told.Fatal = false // the CALL around it broke no rule
		return &told
	}
	*list = append(*list, m)
	return nil
}

// testaments returns the caller's of the scope that is asked for.
func (c *metaCall) testaments() (*[]*wamp.Publish, *wamp.Refusal) {
	scope, refusal := c.option("scope")
	if refusal != nil {
		return nil, refusal
	}
	if c.from.testaments == nil {
		c.from.testaments = new(testaments)
	}
	if list := c.from.testaments.scope(scope); list != nil {
		return list, nil
	}
	return nil, unknownScope
}

// testament makes the PUBLISH that the arguments are about.
func (c *metaCall) testament() (*wamp.Publish, *wamp.Refusal) {
	topic, refusal := c.text(0)
	if refusal != nil {
		return nil, refusal
	}
	m := &wamp.Publish{Request: 1, Topic: wamp.URI(topic)}
	if options := c.kwargs["publish_options"]; options != nil {
		dict, ok := options.(map[string]any)
		if !ok || !setOptions(&m.Options, dict) {
			return nil, wrongOptions
		}
	}
	m.Options.Acknowledge = wamp.Unset
	var args any
	var kwargs map[string]any
	if len(c.args) > 1 {
		args = c.args[1]
	}
	if len(c.args) > 2 && c.args[2] != nil {
		var ok bool
		if kwargs, ok = c.args[2].(map[string]any); !ok {
			return nil, needDict
		}
	}
	list, isList := args.([]any)
	data, isBinary := args.([]byte)
	form := m.Options.Declared()
	if isBinary {
		form = wamp.FormTransparency
	} else if form != wamp.FormNone && len(list) == 1 {
		data, isBinary = list[0].([]byte)
	}
	switch s := c.from.peer.Serializer; {
	case form != wamp.FormNone && isBinary && len(kwargs) == 0:
		m.Payload = codec.BinaryPayload(s, form, data)
	case form != wamp.FormNone && (len(list) > 0 || len(kwargs) > 0):
		return nil, wantBinary
	case form != wamp.FormNone:
		m.Payload = wamp.NewPayload(nil, nil, wamp.PayloadFacts{Opaque: true})
	case args != nil && !isList:
		return nil, invalidArgument("a testament's arguments are a list, or one binary")
	default:
		var err error
		if m.Payload, err = codec.EncodePayload(s, list, kwargs); err != nil {
			return nil, asRefusal(err)
		}
	}
	return m, nil
}

// setOptions sets the fields of options from values, and reports whether they are of
// the right types. What is unknown is skipped, as in a message.
func setOptions(options wamp.Dict, from map[string]any) bool {
	for key, v := range from {
		if v == nil {
			continue
		}
		ok := true
		switch field := options.Field(key).(type) {
		case *wamp.Flag:
			var b bool
			if b, ok = v.(bool); ok {
				*field = wamp.False
				if b {
					*field = wamp.True
				}
			}
		case *string:
			*field, ok = v.(string)
			ok = ok && *field != "" // an attribute that is there is not empty
		case *[]wamp.ID:
			*field, ok = listOf(v, func(v any) (wamp.ID, bool) {
				n, ok := number(v)
				return wamp.ID(n), ok && wamp.ID(n).Valid()
			})
		case *[]string:
			*field, ok = listOf(v, func(v any) (string, bool) {
				s, ok := v.(string)
				return s, ok
			})
		}
		if !ok {
			return false
		}
	}
	return true
}

// listOf returns v as a list, of which is makes the elements.
func listOf[T any](v any, is func(any) (T, bool)) ([]T, bool) {
	in, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]T, len(in))
	for i := range in {
		if out[i], ok = is(in[i]); !ok {
			return nil, false
		}
	}
	return out, true
}

func flushTestaments(c *metaCall) *wamp.Refusal {
	list, refusal := c.testaments()
	if refusal == nil {
		*list = nil
	}
	return refusal
}

// publishTestaments publishes a session's testaments. Without session resumption both
// scopes end together, "detached" first.
func (s *session) publishTestaments(b *batch) {
	w := s.testaments
	if w == nil {
		return
	}
	s.testaments = nil
	for _, m := range slices.Concat(w.detached, w.destroyed) {
		_ = s.realm.broker.publish(b, s, m) // a refusal is counted; nobody is left to tell
	}
}

var (
	tooManyTestaments = limitReached(wamp.LimitTestaments, "this session leaves as many testaments, or bytes of them, as it may")

	unknownScope = invalidArgument("scope must be detached or destroyed")
	wrongOptions = invalidArgument("publish_options must be options of PUBLISH, of their right types")
	wantBinary   = invalidArgument("with enc_* or ppt_* in publish_options, a testament's only argument is one binary")
)
