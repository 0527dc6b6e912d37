package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const keygenUsage = `usage: seal keygen --out FILE [OPTIONS]
       seal keygen --originator FILE --responder FILE [OPTIONS]

Makes a key and writes it to keyring files with mode 0600. With --out, one file
serves both sides: copy it to the other side over a way that you trust. With
--originator and --responder each side gets a file with its own private key:
the originator publishes and calls, the responder subscribes and registers.
Prints the public keys, never the private ones.

With --scramble it makes a scramble key as well. All who have it replace topics,
procedures and error URIs below the prefix, component by component, by names
that tell the router nothing, and so meet each other and nobody else. There is
one for a prefix, and it stays: two would make two topics of one.

examples:
  seal keygen --out k.json
  seal keygen --out k.json --prefix com.app.secret.
  seal keygen --out k.json --prefix com.app. --scramble
  seal keygen --out k.json --rotate      # a new key to seal with; the old one still opens
  seal keygen --originator publisher.json --responder subscriber.json
`

func keygen(_ context.Context, e *env, args []string) error {
	var out, originator, responder, prefix string
	var rotate, scramble bool
	f := e.flags(func(f *flag.FlagSet) {
		f.StringVar(&out, "out", "", "keyring `FILE` to write, for both sides; - prints it")
		f.StringVar(&originator, "originator", "", "keyring `FILE` to write, for publisher and caller")
		f.StringVar(&responder, "responder", "", "keyring `FILE` to write, for subscriber and callee")
		f.StringVar(&prefix, "prefix", "", "`URI` prefix that the key is for; default: all URIs")
		f.BoolVar(&scramble, "scramble", false, "make a scramble key, too, which hides URIs")
		f.BoolVar(&rotate, "rotate", false, "add to files that exist, as the newest key of the prefix")
	})
	rest, err := e.parse(f, args)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return wrong("keygen takes options only")
	case out == "" && (originator == "" || responder == ""):
		return wrong("where to? give --out, or --originator and --responder")
	}
	a, b := cryptobox.GenerateKey(), cryptobox.GenerateKey()
	halves := []struct {
		file                  string
		originator, responder cryptobox.Half
	}{
		{out, cryptobox.Half{Private: a}, cryptobox.Half{Private: b}},
		{originator, cryptobox.Half{Private: a}, cryptobox.Half{Public: b.Public()}},
		{responder, cryptobox.Half{Public: a.Public()}, cryptobox.Half{Private: b}},
	}
	var hiding cryptobox.ScrambleKey
	if scramble {
		hiding = cryptobox.GenerateScrambleKey()
	}
	// All is read and checked before anything is written.
	rings := make([]*cryptobox.KeyRing, len(halves))
	for i, h := range halves {
		if h.file == "" {
			continue
		}
		if rings[i], err = existing(h.file, rotate); err != nil {
			return keyError(err)
		}
		key, err := cryptobox.NewKey(h.originator, h.responder)
		if err != nil {
			return err
		}
		if err := rings[i].Add(wamp.URI(prefix), key); err != nil {
			return wrong("--prefix cannot begin a URI")
		}
		if !scramble {
			continue
		}
		if rings[i].Scrambles(wamp.URI(prefix)) {
			return keyError(fmt.Errorf("%s has a scramble key for this prefix: with another, its peers would not meet any more", h.file))
		}
		if err := rings[i].SetScramble(wamp.URI(prefix), hiding); err != nil {
			return err
		}
	}
	for i, h := range halves {
		switch h.file {
		case "":
		case "-":
			if _, err := e.stdout.Write(rings[i].Encode()); err != nil {
				return err
			}
		default:
			if err := rings[i].Save(h.file); err != nil {
				return err
			}
			fmt.Fprintf(e.stderr, "wrote %s\n", h.file)
		}
	}
	fmt.Fprintf(e.stderr, "public keys: originator %s, responder %s\n", a.Public(), b.Public())
	return nil
}

// existing returns the keyring that is in the file already: none, unless it is
// to be added to. A key that is overwritten is lost for ever.
func existing(file string, rotate bool) (*cryptobox.KeyRing, error) {
	if file == "-" {
		return new(cryptobox.KeyRing), nil
	}
	_, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && rotate:
		return nil, fmt.Errorf("there is no %s to rotate", file)
	case errors.Is(err, fs.ErrNotExist):
		return new(cryptobox.KeyRing), nil
	case err != nil:
		return nil, err
	case !rotate:
		return nil, fmt.Errorf("%s exists: its keys would be lost (--rotate adds to it)", file)
	}
	return cryptobox.LoadKeyRing(file)
}
