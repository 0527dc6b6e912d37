package router

import (
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// TestamentLimits bound the testaments of one session (WAMP, "Session Testament"). A
// zero field stands for its default.
type TestamentLimits struct {
	// Count is the number of testaments. Default 16.
	Count int
	// Bytes is their size, with topics, options and lists of receivers. Default
	// 64 KiB.
	Bytes int
}

// testamentProcedures are those of WAMP, "Session Testament".
var testamentProcedures = map[wamp.URI]metaProcedure{
	"wamp.session.add_testament":    {answer: addTestament},
	"wamp.session.flush_testaments": {answer: flushTestaments},
}

// testaments are a session's testaments, by scope. Only the goroutine that reads from
// the session uses them.
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

// total returns their number and size.
func (w *testaments) total() (count, bytes int) {
	for _, m := range slices.Concat(w.detached, w.destroyed) {
		count++
		bytes += testamentSize(m)
	}
	return count, bytes
}

// testamentSize returns about how many bytes a testament takes, without the constant
// part.
func testamentSize(m *wamp.Publish) int {
	return len(m.Topic) + m.Payload.WireSize() + m.Options.Size()
}

// addTestament stores a PUBLISH for the session's end. The session must be allowed to
// send it now; it is checked again when it is published, by the configuration of that
// time.
//
// An opaque payload is passed as its binary: in the list of arguments, alone, or
// instead of the list. publish_options has its enc_* or ppt_* attributes, which select
// the form that it is published in.
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
	now := *m // a copy, as interceptors may permit reframing
	c.batch.begin(c.from, m.Topic, &now)
	if _, refusal := c.realm.broker.admit(c.batch, c.from, &now); refusal != nil {
		answer := *refusal
		answer.Fatal = false // the CALL itself violates no rule
		return &answer
	}
	*list = append(*list, m)
	return nil
}

// testaments returns the caller's testaments of the requested scope.
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

// testament makes the PUBLISH that the arguments describe.
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
		return nil, invalidArgument("a testament's arguments must be a list, or one binary")
	default:
		var err error
		if m.Payload, err = codec.EncodePayload(s, list, kwargs); err != nil {
			return nil, asRefusal(err)
		}
	}
	return m, nil
}

// setOptions sets the fields of options from a dict, and reports whether all values
// have the right types. Unknown keys are skipped, as in a message.
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
			ok = ok && *field != "" // an attribute must not be empty
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

// listOf converts each element of v, which must be a list.
func listOf[T any](v any, convert func(any) (T, bool)) ([]T, bool) {
	in, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]T, len(in))
	for i := range in {
		if out[i], ok = convert(in[i]); !ok {
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
// scopes end at the same time, "detached" first.
func (s *session) publishTestaments(b *batch) {
	w := s.testaments
	if w == nil {
		return
	}
	s.testaments = nil
	for _, m := range slices.Concat(w.detached, w.destroyed) {
		_ = s.realm.broker.publish(b, s, m) // a refusal is counted; there is no client left to answer
	}
}

var (
	tooManyTestaments = limitReached(wamp.LimitTestaments, "the session's limit of testaments is reached, in number or bytes (testaments): flush some first")

	unknownScope = invalidArgument("scope must be \"detached\" or \"destroyed\"")
	wrongOptions = invalidArgument("publish_options must be a dict of PUBLISH options of the right types")
	wantBinary   = invalidArgument("with enc_* or ppt_* in publish_options, a testament's only argument is one binary")
)
