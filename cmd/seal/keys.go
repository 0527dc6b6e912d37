package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// readSecret reads the secret from "env:NAME" or "file:PATH".
func readSecret(source string) (proof.Secret, error) {
	kind, name, _ := strings.Cut(source, ":")
	switch kind {
	case "env":
		return proof.SecretFromEnv(name)
	case "file":
		return proof.SecretFromFile(name)
	}
	return proof.Secret{}, errors.New("must be env:NAME or file:PATH")
}

// allowClear are the prefixes of what may be in the clear: all with --clear.
func (o *options) allowClear() []wamp.URI {
	if o.clear {
		return []wamp.URI{""}
	}
	return nil
}

// configureSealing sets the sealer and the scrambler.
func (o *options) configureSealing(c *client.Config) error {
	if o.scope {
		return o.useScopes(c)
	}
	form, ok := map[string]wamp.Form{"transparency": wamp.FormTransparency, "passthru": wamp.FormPassthru}[o.form]
	if !ok {
		return usageError("--form must be transparency or passthru")
	}
	ring, err := o.loadKeyRing()
	if err != nil {
		return err
	}
	c.AllowClear = o.allowClear()
	if ring == nil {
		ring = new(cryptobox.KeyRing)
	} else {
		c.Sealer = &cryptobox.Forms{
			Form:     form,
			Box:      cryptobox.Box{Keys: ring},
			Passthru: cryptobox.Passthru{Keys: ring},
		}
	}
	scrambler := ring.Scrambler()
	if scrambler == nil {
		if o.scramble {
			return keyError(errors.New("--scramble: the keyring has no scramble key; make one with: seal keygen --scramble"))
		}
		return nil
	}
	c.Scrambler = scrambler
	return o.scrambleKnown(scrambler)
}

// scrambleKnown makes the scrambler recognize the known URIs, and checks --scramble.
func (o *options) scrambleKnown(scrambler *cryptobox.Scrambler) error {
	for _, uri := range append(o.known, string(errCommand)) {
		if _, err := scrambler.Scramble(wamp.URI(uri), wamp.MatchExact); err != nil {
			return usageError("--know: %s: %w", printable(uri), err)
		}
	}
	if !o.scramble {
		return nil
	}
	wire, err := scrambler.Scramble(o.uri, o.match)
	if err == nil && wire == o.uri {
		err = errors.New("the keyring has no scramble key for this URI")
	}
	if err != nil {
		return keyError(fmt.Errorf("--scramble: %w", err))
	}
	return nil
}

func (o *options) loadKeyRing() (*cryptobox.KeyRing, error) {
	switch {
	case o.key != "" && o.keyring != "":
		return nil, usageError("give either --key or --keyring")
	case o.keyring != "":
		ring, err := cryptobox.LoadKeyRing(o.keyring)
		if err != nil {
			return nil, keyError(err)
		}
		return ring, nil
	case o.key != "":
		return sharedRing(o.key)
	case !o.clear:
		return nil, usageError("no key: give --scope, --keyring (make one with: seal keygen --out FILE) or --key; or --clear, if the message is not secret")
	}
	return nil, nil
}

func sharedRing(source string) (*cryptobox.KeyRing, error) {
	private, err := privateKey(source)
	if err != nil {
		return nil, keyError(fmt.Errorf("--key: %w", err))
	}
	key, err := cryptobox.NewSharedKey(private)
	if err != nil {
		return nil, keyError(err)
	}
	ring := new(cryptobox.KeyRing)
	return ring, ring.Set("", key)
}

// privateKey returns the key that --key names.
func privateKey(source string) (cryptobox.PrivateKey, error) {
	switch kind, name, _ := strings.Cut(source, ":"); kind {
	case "file":
		return cryptobox.LoadPrivateKey(name)
	case "env":
		secret, err := proof.SecretFromEnv(name)
		if err != nil {
			return cryptobox.PrivateKey{}, err
		}
		source = strings.TrimSpace(secret.Reveal())
	}
	return cryptobox.ParsePrivateKey(source)
}
