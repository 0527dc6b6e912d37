// Command sealed sends one secret through a router that can't read it. In real
// life each peer has a program, and loads its keys with cryptobox.LoadKeyRing.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
)

func main() {
	url := "ws://127.0.0.1:8080/ws"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	ctx := context.Background()

	// One key for everything below com.app, which only the two peers have. On a URI
	// that has no key, a client with a sealer sends and accepts nothing, unless
	// Config.AllowClear lists a prefix of it, like []wamp.URI{"com.public."}.
	ring := new(cryptobox.KeyRing)
	check(ring.Add("com.app.", must(cryptobox.NewSharedKey(cryptobox.GenerateKey()))))
	config := client.Config{URL: url, Realm: "realm1", Sealer: &cryptobox.Box{Keys: ring}}

	bob := must(client.Dial(ctx, config))
	read := make(chan *client.Event)
	must(bob.Subscribe(ctx, "com.app.chat", func(_ context.Context, e *client.Event) { read <- e }, client.SubscribeOptions{}))

	alice := must(client.Dial(ctx, config))
	must(alice.Publish(ctx, "com.app.chat", []any{"for Bob's eyes only"}, nil, client.PublishOptions{Acknowledge: true}))

	event := <-read
	fmt.Printf("Bob reads %q, sealed: %v\n", event.Args[0], event.Sealed)
	check(alice.Close())
	check(bob.Close())
}

func must[T any](v T, err error) T { check(err); return v }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
