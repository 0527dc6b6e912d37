package passthrough

import (
	"fmt"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// manyRules is a configuration with n rules of each match, none of which matches
// com.app.topic.of.a.kind.
func manyRules(t testing.TB, n int) Config {
	var c Config
	s := compileOrder(t)
	for k := range n {
		c.Require = append(c.Require,
			Rule{URI: wamp.URI(fmt.Sprintf("com.app.exact%d", k))},
			Rule{URI: wamp.URI(fmt.Sprintf("com.app.prefix%d.", k)), Match: wamp.MatchPrefix})
		c.Validation = append(c.Validation, Validation{URI: wamp.URI(fmt.Sprintf("com.app.order%d", k)), Schema: s})
	}
	for k := range min(n, 20) {
		c.Require = append(c.Require, Rule{URI: wamp.URI(fmt.Sprintf("com..wild%d.of.a.kind", k)), Match: wamp.MatchWildcard})
	}
	return c
}

const topic = wamp.URI("com.app.topic.of.a.kind")

// hotPaths is what is done for each message and receiver, refusals included.
func hotPaths(t *testing.T) map[string]func() error {
	bareRules, many := newInterceptor(t, Config{}), newInterceptor(t, manyRules(t, 1000))
	required := newInterceptor(t, Config{
		Conversion: Reframe,
		Require:    []Rule{{URI: "com.", Match: wamp.MatchPrefix}},
		Validation: []Validation{{URI: "com..topic.of.a.kind", Match: wamp.MatchWildcard, Schema: compileOrder(t), Opaque: Pass}},
	})
	from, deaf, other := everyForm(), peer(), everyForm()
	other.Serializer = wamp.JSON
	paths := map[string]func() error{}
	crypto := wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}
	for _, mt := range inbound {
		clear := &wamp.RoutedMessage{From: from, URI: topic, Message: message(t, mt, wamp.Attributes{}, argKwargs)}
		opaque := &wamp.RoutedMessage{From: from, URI: topic, Message: message(t, mt, crypto, bare)}
		broken := &wamp.RoutedMessage{From: from, URI: topic, Message: message(t, mt, crypto, oneArg)}
		unknown := &wamp.RoutedMessage{From: deaf, URI: topic, Message: message(t, mt, crypto, bare)}
		for name, f := range map[string]func() error{
			"clear":              func() error { return bareRules.Receive(clear) },
			"clear, many rules":  func() error { return many.Receive(clear) },
			"clear, refused":     func() error { return required.Receive(clear) },
			"opaque":             func() error { return bareRules.Receive(opaque) },
			"opaque, many rules": func() error { return many.Receive(opaque) },
			"opaque, required":   func() error { return required.Receive(opaque) },
			"broken":             func() error { return bareRules.Receive(broken) },
			"unannounced":        func() error { return bareRules.Receive(unknown) },
		} {
			paths["receive "+mt.String()+" "+name] = f
		}
	}
	for _, mt := range outbound {
		clear := &wamp.RoutedMessage{From: from, URI: topic, Message: message(t, mt, wamp.Attributes{}, argKwargs)}
		opaque := &wamp.RoutedMessage{From: from, URI: topic, Message: message(t, mt, crypto, bare)}
		for name, f := range map[string]func() error{
			"clear":       func() error { return bareRules.Deliver(clear, other) },
			"opaque":      func() error { return bareRules.Deliver(opaque, from) },
			"conversion":  func() error { return bareRules.Deliver(opaque, other) },
			"unsupported": func() error { return bareRules.Deliver(opaque, deaf) },
		} {
			paths["deliver "+mt.String()+" "+name] = f
		}
	}
	return paths
}

func TestNothingIsAllocatedPerMessage(t *testing.T) {
	for name, f := range hotPaths(t) {
		if n := testing.AllocsPerRun(100, func() { _ = f() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkReceive(b *testing.B) {
	clear := wamp.Publish{}
	clear.Payload = argKwargs.payload(&wamp.Attributes{})
	sealed := wamp.Publish{Options: wamp.PublishOptions{Attributes: wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}}}
	sealed.Payload = bare.payload(&sealed.Options.Attributes)
	for _, rules := range []int{0, 10, 5000} {
		i := newInterceptor(b, manyRules(b, rules))
		for name, m := range map[string]*wamp.Publish{"clear": &clear, "opaque": &sealed} {
			b.Run(fmt.Sprintf("%s/rules=%d", name, rules), func(b *testing.B) {
				tr := &wamp.RoutedMessage{From: everyForm(), URI: topic, Message: m}
				for b.Loop() {
					if err := i.Receive(tr); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	i := newInterceptor(b, Config{})
	clear := wamp.Event{}
	clear.Payload = argKwargs.payload(&wamp.Attributes{})
	sealed := wamp.Event{}
	sealed.Details.EncAlgo = "cryptobox"
	sealed.Payload = bare.payload(&sealed.Details.Attributes)
	other := everyForm()
	other.Serializer = wamp.CBOR
	for _, c := range []struct {
		name    string
		m       *wamp.Event
		to      *wamp.Peer
		refused bool
	}{{"clear", &clear, everyForm(), false}, {"opaque", &sealed, everyForm(), false}, {"refused", &sealed, other, true}} {
		b.Run(c.name, func(b *testing.B) {
			tr := &wamp.RoutedMessage{Message: c.m}
			for b.Loop() {
				if err := i.Deliver(tr, c.to); (err != nil) != c.refused {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	i := newInterceptor(b, Config{Validation: []Validation{{URI: topic, Schema: compileOrder(b)}}})
	m := &wamp.Publish{Payload: list([]any{"o-1"}, map[string]any{"amount": 2.5, "lines": []any{int64(1), int64(2)}}).payload(&wamp.Attributes{})}
	tr := &wamp.RoutedMessage{From: peer(), URI: topic, Message: m}
	b.ReportAllocs()
	for b.Loop() {
		if err := i.Receive(tr); err != nil {
			b.Fatal(err)
		}
	}
}
