package passthrough_test

import (
	"fmt"

	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// An Interceptor goes into the interceptors of a realm. Here it is shown what a
// router would show it.
func Example() {
	order, err := passthrough.CompileSchema("order", []byte(`{"properties": {"kwargs": {"required": ["amount"]}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	interceptor, err := passthrough.New(passthrough.Config{
		Conversion: passthrough.Reframe,
		Require:    []passthrough.Rule{{URI: "com.app.secret.", Match: wamp.MatchPrefix}},
		Validation: []passthrough.Validation{{URI: "com.app.order", Schema: order}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	alice := &wamp.Peer{Serializer: wamp.MsgPack}
	for _, topic := range []wamp.URI{"com.app.news", "com.app.secret.diary", "com.app.order"} {
		err := interceptor.Receive(&wamp.RoutedMessage{From: alice, URI: topic, Message: &wamp.Publish{Topic: topic}})
		fmt.Println(topic, "->", err)
	}
	// Output:
	// com.app.news -> <nil>
	// com.app.secret.diary -> blindfold.error.cleartext_refused: this URI accepts only opaque payloads: encrypt the payload, and declare it with enc_algo or ppt_scheme
	// com.app.order -> blindfold.error.validation_failed: payload does not match this URI's schema: required at /kwargs
}
