package cryptobox_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A publisher and a subscriber, each with its own private key and the other's
// public one.
func Example() {
	publisher, subscriber := cryptobox.GenerateKey(), cryptobox.GenerateKey()

	sealing, err := cryptobox.NewKey(
		cryptobox.Half{Private: publisher},
		cryptobox.Half{Public: subscriber.Public()})
	if err != nil {
		log.Fatal(err)
	}
	opening, err := cryptobox.NewKey(
		cryptobox.Half{Public: publisher.Public()},
		cryptobox.Half{Private: subscriber})
	if err != nil {
		log.Fatal(err)
	}

	var sent, received cryptobox.KeyRing
	if err := errors.Join(sent.Set("com.app.", sealing), received.Set("com.app.", opening)); err != nil {
		log.Fatal(err)
	}

	// What a client does on PUBLISH and on EVENT.
	attrs, payload, _, err := (&cryptobox.Box{Keys: &sent}).Seal(&wamp.Subject{URI: "com.app.topic", Originator: true}, []any{"hello", 42}, nil)
	if err != nil {
		log.Fatal(err)
	}
	args, _, err := (&cryptobox.Box{Keys: &received}).Open(&wamp.Subject{URI: "com.app.topic", Originator: false}, &attrs, payload)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(attrs.EncAlgo, attrs.EncSerializer, args)

	// The payload opens under its own URI alone.
	_, _, err = (&cryptobox.Box{Keys: &received}).Open(&wamp.Subject{URI: "com.app.other", Originator: false}, &attrs, payload)
	fmt.Println(err)
	// Output:
	// cryptobox json [hello 42]
	// wamp.error.encryption.trusted_uri_mismatch: payload was sealed for another URI
}

// The longest prefix has the say. Nothing is sealed for a URI without a key, and nothing
// is there to send: package client then sends only what Config.AllowClear lists.
func ExampleBox_Seal() {
	key, err := cryptobox.NewSharedKey(cryptobox.GenerateKey())
	if err != nil {
		log.Fatal(err)
	}
	var ring cryptobox.KeyRing
	if err := ring.Set("com.app.secret.", key); err != nil {
		log.Fatal(err)
	}
	box := &cryptobox.Box{Keys: &ring}
	for _, uri := range []wamp.URI{"com.app.secret.x", "com.app.open.x"} {
		_, _, sealed, err := box.Seal(&wamp.Subject{URI: uri, Originator: true}, []any{"hello"}, nil)
		fmt.Println(uri, sealed, err)
	}
	// Output:
	// com.app.secret.x true <nil>
	// com.app.open.x false <nil>
}

func ExampleKeyRing_Save() {
	dir, err := os.MkdirTemp("", "keyring")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "keys.json")

	key, err := cryptobox.NewSharedKey(cryptobox.GenerateKey())
	if err != nil {
		log.Fatal(err)
	}
	var ring cryptobox.KeyRing
	if err := errors.Join(ring.Set("com.app.", key), ring.Save(path)); err != nil {
		log.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		log.Fatal(err)
	}
	_, err = cryptobox.LoadKeyRing(path)
	fmt.Println("open to others, refused:", err != nil)
	// Output:
	// open to others, refused: true
}

func ExampleScrambler() {
	key, err := cryptobox.ParseScrambleKey("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		log.Fatal(err)
	}
	var s cryptobox.Scrambler
	if err := s.Set("", key); err != nil {
		log.Fatal(err)
	}
	topic, err := s.Scramble("com.app.order", wamp.MatchExact)
	if err != nil {
		log.Fatal(err)
	}
	pattern, err := s.Scramble("com.app.", wamp.MatchPrefix)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(topic)
	fmt.Println(pattern)
	fmt.Println(pattern.Matches(wamp.MatchPrefix, topic))
	fmt.Println(s.Restore(topic))
	// Output:
	// fqiounhb3s5nwyifzxae.xqshwlevoxwjxudsm63i.cqaucgzrv4ifge2obqed
	// fqiounhb3s5nwyifzxae.xqshwlevoxwjxudsm63i.
	// true
	// com.app.order true
}
