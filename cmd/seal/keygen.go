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

Generates a key and writes it to keyring files with mode 0600. With --out, one file
serves both sides: copy it to the other side over a channel that you trust. With
--originator and --responder each side gets a file with its own private key: the
originator publishes and calls, the responder subscribes and registers. Only the
public keys are printed.

With --scramble it also generates a scramble key. Clients that have it replace each
component of the topics, procedures and error URIs below the prefix by a name that
means nothing to the router. Only clients with the same scramble key reach each
other. A prefix has one scramble key, which is never rotated.

examples:
  seal keygen --out k.json
  seal keygen --out k.json --prefix com.app.secret.
  seal keygen --out k.json --prefix com.app. --scramble
  seal keygen --out k.json --rotate      # a new key to seal with; the old one still opens
  seal keygen --originator publisher.json --responder subscriber.json

options:
  --out FILE         keyring to write, for both sides (- prints it)
  --originator FILE  keyring to write, for the publisher or caller
  --responder FILE   keyring to write, for the subscriber or callee
  --prefix URI       prefix of the URIs that the key is for (default: all URIs)
  --rotate           add the key to existing files, as the newest key of its prefix
  --scramble         generate a scramble key, too, which hides URIs from the router
`

func keygen(_ context.Context, e *cli, args []string) error {
	var out, originator, responder, prefix string
	var rotate, scramble bool
	f := e.flags(func(f *flag.FlagSet) {
		f.StringVar(&out, "out", "", "")
		f.StringVar(&originator, "originator", "", "")
		f.StringVar(&responder, "responder", "", "")
		f.StringVar(&prefix, "prefix", "", "")
		f.BoolVar(&scramble, "scramble", false, "")
		f.BoolVar(&rotate, "rotate", false, "")
	})
	rest, err := e.parse(f, args)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError("unexpected argument %q", printable(rest[0]))
	case out == "" && (originator == "" || responder == ""):
		return usageError("missing --out, or --originator and --responder")
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
	var scrambleKey cryptobox.ScrambleKey
	if scramble {
		scrambleKey = cryptobox.GenerateScrambleKey()
	}
	// Everything is read and checked before anything is written.
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
			return usageError("--prefix: no valid URI begins so")
		}
		if !scramble {
			continue
		}
		if rings[i].Scrambles(wamp.URI(prefix)) {
			return keyError(fmt.Errorf("%s already has a scramble key for this prefix; with a second one its users would no longer reach each other", h.file))
		}
		if err := rings[i].SetScramble(wamp.URI(prefix), scrambleKey); err != nil {
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

// existing returns the keyring to add to: that in the file with --rotate, else an
// empty one. A file is never overwritten, because its keys would be lost.
func existing(file string, rotate bool) (*cryptobox.KeyRing, error) {
	if file == "-" {
		return new(cryptobox.KeyRing), nil
	}
	_, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && rotate:
		return nil, fmt.Errorf("--rotate: %s does not exist", file)
	case errors.Is(err, fs.ErrNotExist):
		return new(cryptobox.KeyRing), nil
	case err != nil:
		return nil, err
	case !rotate:
		return nil, fmt.Errorf("%s exists, and its keys would be lost: give another name, or --rotate to add a key", file)
	}
	return cryptobox.LoadKeyRing(file)
}
