package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// options are those that all commands which connect have.
type options struct {
	url, realm, serializer, form string
	key, keyring                 string
	clear                        bool
	auth, authID, secret         string
	ca, cert, certKey            string
	scramble                     bool
	known                        list
	json                         bool
	timeout                      time.Duration

	// What the command is about.
	uri   wamp.URI
	match wamp.Match
}

const (
	defaultURL   = "ws://127.0.0.1:8080/ws"
	defaultRealm = "realm1"
)

func (o *options) router(f *flag.FlagSet) {
	f.StringVar(&o.realm, "realm", cmp.Or(os.Getenv("SEAL_REALM"), defaultRealm), "`REALM` to join; the environment's SEAL_REALM goes before the default")
	f.StringVar(&o.auth, "auth", "", "`METHOD`: ticket, wampcra, scram, wamp-scram (Crossbar's), cryptosign, tls, cookie\nor anonymous")
	f.StringVar(&o.authID, "authid", "", "who to be (`ID`)")
	f.StringVar(&o.secret, "secret", "", "the ticket, secret, password, or Ed25519 key (64 hex digits):\n`env:NAME or file:PATH`")
	f.StringVar(&o.ca, "ca", "", "`FILE` with the certificates (PEM) to trust for wss and rss, in place of the system's")
	f.StringVar(&o.cert, "cert", "", "`FILE` with a client certificate (PEM)")
	f.StringVar(&o.certKey, "cert-key", "", "`FILE` with its key (PEM)")
	f.BoolVar(&o.json, "json", false, "print JSON, one object a line")
}

func (o *options) add(f *flag.FlagSet) {
	f.StringVar(&o.url, "url", cmp.Or(os.Getenv("SEAL_URL"), defaultURL), "`URL` of the router: ws, wss, rs, rss, or unix; the environment's SEAL_URL\ngoes before the default")
	o.router(f)
	f.StringVar(&o.serializer, "serializer", "json", "`NAME`: json, msgpack or cbor; sealed messages reach only\nthose who use the same, unless the router reframes")
	f.StringVar(&o.keyring, "keyring", "", "`FILE` with keys, as seal keygen writes it")
	f.StringVar(&o.key, "key", "", "one private key that both sides have: `env:NAME, file:PATH` (which, like a\nkeyring, only its owner may read), or the base64 itself, which other users\nof the machine can see")
	f.StringVar(&o.form, "form", "transparency", "`FORM` to seal in: transparency (Autobahn, Crossbar)\nor passthru (WAMP specification)")
	f.BoolVar(&o.scramble, "scramble", false, "go on only if the router does not see the URI itself: the keyring\nneeds a scramble key for it. One that it has is used in any case")
	f.Var(&o.known, "know", "`URI` of events, calls or errors to come; scrambled ones are recognized\nonly if they are known (may be repeated)")
	f.BoolVar(&o.clear, "clear", false, "do without a key: what has none is sent and taken in the clear")
}

// reveal returns the text that "env:NAME" or "file:PATH" stands for.
func reveal(source string) (proof.Secret, error) {
	kind, name, _ := strings.Cut(source, ":")
	switch kind {
	case "env":
		return proof.SecretFromEnv(name)
	case "file":
		return proof.SecretFromFile(name)
	}
	return proof.Secret{}, errors.New("is neither env:NAME nor file:PATH")
}

// protect sets how payloads are sealed and URIs scrambled.
func (o *options) protect(c *client.Config) error {
	form, ok := map[string]wamp.Form{"transparency": wamp.FormTransparency, "passthru": wamp.FormPassthru}[o.form]
	if !ok {
		return wrong("--form is neither transparency nor passthru")
	}
	ring, err := o.ring()
	if err != nil {
		return err
	}
	c.AllowClear = o.clear
	if ring == nil {
		ring = new(cryptobox.KeyRing)
	} else {
		c.Sealer = &cryptobox.Forms{
			Form:     form,
			Box:      cryptobox.Box{Keys: ring, RequireKey: !o.clear},
			Passthru: cryptobox.Passthru{Keys: ring, RequireKey: !o.clear},
		}
	}
	scrambler := ring.Scrambler()
	if scrambler == nil {
		if o.scramble {
			return keyError(errors.New("--scramble: there is no scramble key (make one with: seal keygen --scramble)"))
		}
		return nil
	}
	c.Scrambler = scrambler
	return o.know(scrambler)
}

// know makes the scrambler recognize what may come, and heeds --scramble.
func (o *options) know(scrambler *cryptobox.Scrambler) error {
	for _, uri := range append(o.known, string(errCommand)) {
		if _, err := scrambler.Scramble(wamp.URI(uri), wamp.MatchExact); err != nil {
			return wrong("--know: %s: %w", printable(uri), err)
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

func (o *options) ring() (*cryptobox.KeyRing, error) {
	switch {
	case o.key != "" && o.keyring != "":
		return nil, wrong("--key and --keyring are both given: one is enough")
	case o.keyring != "":
		ring, err := cryptobox.LoadKeyRing(o.keyring)
		if err != nil {
			return nil, keyError(err)
		}
		return ring, nil
	case o.key != "":
		return sharedRing(o.key)
	case !o.clear:
		return nil, wrong("no key: give --keyring (make one with: seal keygen --out FILE) or --key; or --clear, if it is no secret")
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

// privateKey returns the key that --key stands for.
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

// authenticators returns the method that the options ask for.
func (o *options) authenticators() ([]client.Authenticator, error) {
	var secret proof.Secret
	if o.secret != "" {
		var err error
		if secret, err = reveal(o.secret); err != nil {
			return nil, wrong("--secret: %w", err)
		}
	}
	switch o.auth {
	case "ticket", "wampcra", "scram", "wamp-scram", "cryptosign":
		if secret.IsZero() {
			return nil, wrong("--auth %s needs --secret env:NAME or file:PATH", o.auth)
		}
		if o.authID == "" && o.auth != "cryptosign" {
			return nil, wrong("--auth %s needs --authid", o.auth)
		}
	}
	var a answer.Method
	switch o.auth {
	case "":
		return nil, nil
	case "anonymous":
		a = answer.Anonymous()
	case "tls":
		a = answer.TLS(o.authID)
	case "cookie":
		a = answer.Cookie()
	case "ticket":
		a = answer.Ticket(o.authID, secret)
	case "wampcra":
		a = answer.CRA(o.authID, secret)
	case "scram":
		a = answer.SCRAM(o.authID, secret, "")
	case "wamp-scram":
		a = answer.AutobahnSCRAM(o.authID, secret)
	case "cryptosign":
		seed, err := hex.DecodeString(strings.TrimSpace(secret.Reveal()))
		if err != nil || len(seed) != ed25519.SeedSize {
			return nil, wrong("--secret: an Ed25519 key is 64 hex digits")
		}
		a = answer.Cryptosign(o.authID, ed25519.NewKeyFromSeed(seed), "")
	default:
		return nil, wrong("--auth %s is not known", printable(o.auth))
	}
	return []client.Authenticator{a}, nil
}

func (o *options) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, wrong("--ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, wrong("--ca: there is no certificate in %s", o.ca)
		}
	}
	if o.cert != "" || o.certKey != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.certKey)
		if err != nil {
			return nil, wrong("--cert, --cert-key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// config makes the client's configuration.
func (o *options) config() (client.Config, error) {
	var c client.Config
	serializer, err := parseSerializer(o.serializer)
	if err != nil {
		return c, err
	}
	methods, err := o.authenticators()
	if err != nil {
		return c, err
	}
	security, err := o.tls()
	if err != nil {
		return c, err
	}
	if !wamp.URI(o.realm).Valid(wamp.MatchExact) {
		return c, wrong("--realm is not a URI")
	}
	switch scheme, _, _ := strings.Cut(o.url, ":"); scheme {
	case "ws", "wss", "rs", "rss", "unix":
	default:
		return c, wrong("--url: ws://, wss://, rs://, rss:// or unix:// is expected")
	}
	if !o.uri.Valid(o.match) {
		return c, wrong("%s is not a URI, or not a pattern of this kind", printable(string(o.uri)))
	}
	c = client.Config{
		URL: o.url, Realm: wamp.URI(o.realm), Serializer: serializer, TLS: security,
		Auth: methods, AuthID: o.authID, Agent: "blindfold-seal",
	}
	err = o.protect(&c)
	return c, err
}

func parseSerializer(name string) (wamp.Serializer, error) {
	for _, s := range wamp.Serializers {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, wrong("--serializer is neither json, msgpack nor cbor")
}

// dial joins the realm.
func (o *options) dial(ctx context.Context, change func(*client.Config)) (*client.Session, error) {
	c, err := o.config()
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(&c)
	}
	s, err := client.Dial(ctx, c)
	if err != nil {
		return nil, unreached(err)
	}
	return s, nil
}

// unreached says what happened to who could not join.
func unreached(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &statusError{exitTimeout, errors.New("the router did not answer in time")}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &statusError{exitConnection, errors.New("the other side closed the connection: is there a router at this URL, and is it ws, wss, rs or rss?")}
	case statusOf(err) == exitFailed:
		return &statusError{exitConnection, err}
	}
	return err
}

// limit bounds ctx by --timeout.
func (o *options) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, o.timeout)
}
