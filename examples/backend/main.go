// Command backend listens to sealed readings and answers sealed calls about them. The
// sensor of examples/sensor publishes the readings, the page of examples/chat calls.
//
//	seal keygen --out keyring.json --prefix com.lab.
//	go run ./examples/backend --keyring keyring.json
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"sync"
	"syscall"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func main() {
	url := flag.String("url", "ws://127.0.0.1:8080/ws", "the router's `URL`")
	keyring := flag.String("keyring", "keyring.json", "the `file` with the keys")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	keys, err := cryptobox.LoadKeyRing(*keyring)
	check(err)
	session, err := client.Dial(ctx, client.Config{
		URL: *url, Realm: "realm1",
		Sealer:    &cryptobox.Box{Keys: keys},
		Reconnect: &client.Reconnect{},
	})
	check(err)

	var latest readings
	_, err = session.Subscribe(ctx, "com.lab.reading", func(_ context.Context, e *client.Event) { latest.add(e.Args) }, client.SubscribeOptions{})
	check(err)
	_, err = session.Register(ctx, "com.lab.latest", func(context.Context, *client.Invocation) (*client.Result, error) {
		return latest.answer()
	}, client.RegisterOptions{})
	check(err)
	fmt.Println("answering com.lab.latest")
	<-ctx.Done()
	check(session.Close())
}

// readings are what the sensor has published. Handlers of a session may run at the same
// time.
type readings struct {
	mu    sync.Mutex
	last  any
	count int
}

func (r *readings) add(args []any) {
	if len(args) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = args[0]
	r.count++
}

func (r *readings) answer() (*client.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 {
		return nil, &client.Error{URI: wamp.URI("com.lab.error.none"), Message: "no reading has come yet"}
	}
	return &client.Result{Args: []any{r.last}, Kwargs: map[string]any{"count": r.count}}, nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
