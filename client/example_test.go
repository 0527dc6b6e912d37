package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A router in the same process; programs that talk to one elsewhere set
// Config.URL.
func inProcess() (connect func(context.Context) (transport.Conn, error), stop func()) {
	interceptor, err := passthrough.New(passthrough.Config{})
	if err != nil {
		log.Fatal(err)
	}
	r, err := router.New(router.Config{Realms: []router.RealmConfig{{
		Name:           "realm1",
		Authenticators: []router.Authenticator{router.Anonymous("anonymous")},
		Interceptors:   []router.Interceptor{interceptor},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	connect = func(context.Context) (transport.Conn, error) {
		near, far := transport.Pipe(wamp.JSON)
		go r.Accept(far)
		return near, nil
	}
	return connect, func() { _ = r.Close(context.Background()) }
}

func ExampleSession_Subscribe() {
	connect, stop := inProcess()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	s, err := client.Dial(ctx, client.Config{Connect: connect, Realm: "realm1"})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	got := make(chan *client.Event)
	_, err = s.Subscribe(ctx, "com.app.", func(_ context.Context, e *client.Event) { got <- e },
		client.SubscribeOptions{Match: wamp.MatchPrefix})
	if err != nil {
		log.Fatal(err)
	}
	_, err = s.Publish(ctx, "com.app.greeting", []any{"hello", 42}, nil, client.PublishOptions{ExcludeMe: wamp.False})
	if err != nil {
		log.Fatal(err)
	}
	e := <-got
	fmt.Println(e.Topic, e.Args)
	// Output: com.app.greeting [hello 42]
}

func ExampleSession_Call() {
	connect, stop := inProcess()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	s, err := client.Dial(ctx, client.Config{Connect: connect, Realm: "realm1"})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	_, err = s.Register(ctx, "com.app.countdown", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		n, ok := inv.Args[0].(int64)
		if !ok {
			return nil, &client.Error{URI: "com.app.error.not_a_number", Message: "a number is needed"}
		}
		for ; n > 0; n-- {
			if err := inv.Progress([]any{n}, nil); err != nil {
				return nil, err
			}
		}
		return &client.Result{Args: []any{"done"}}, nil
	}, client.RegisterOptions{})
	if err != nil {
		log.Fatal(err)
	}

	result, err := s.Call(ctx, "com.app.countdown", []any{3}, nil, client.CallOptions{
		OnProgress: func(r *client.Result) { fmt.Println(r.Args...) },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Args...)

	_, err = s.Call(ctx, "com.app.countdown", []any{"three"}, nil, client.CallOptions{})
	fmt.Println(err)
	fmt.Println(errors.Is(err, client.ErrURI("com.app.error.not_a_number")))
	// Output:
	// 3
	// 2
	// 1
	// done
	// com.app.error.not_a_number: a number is needed
	// true
}

// With a key for a prefix of URIs, nothing under it crosses the router in the
// clear, and nothing in the clear is believed.
func ExampleConfig_sealed() {
	connect, stop := inProcess()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	key, err := cryptobox.NewSharedKey(cryptobox.GenerateKey())
	if err != nil {
		log.Fatal(err)
	}
	ring := new(cryptobox.KeyRing)
	if err := ring.Set("com.app.secret.", key); err != nil {
		log.Fatal(err)
	}
	s, err := client.Dial(ctx, client.Config{Connect: connect, Realm: "realm1", Sealer: &cryptobox.Box{Keys: ring}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	_, err = s.Register(ctx, "com.app.secret.add", func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		fmt.Println("sealed call:", inv.Sealed)
		return &client.Result{Args: []any{inv.Args[0].(int64) + inv.Args[1].(int64)}}, nil
	}, client.RegisterOptions{})
	if err != nil {
		log.Fatal(err)
	}
	result, err := s.Call(ctx, "com.app.secret.add", []any{2, 3}, nil, client.CallOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Args[0], "sealed result:", result.Sealed)
	// Output:
	// sealed call: true
	// 5 sealed result: true
}
