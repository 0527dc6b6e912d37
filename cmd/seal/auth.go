package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/cmdline"
)

var methods = []string{"anonymous", "ticket", "wampcra", "scram", "wamp-scram", "cryptosign", "tls", "cookie"}

// authenticators returns the method of --auth.
func (o *options) authenticators() ([]client.Authenticator, error) {
	var secret proof.Secret
	if o.secret != "" {
		var err error
		if secret, err = readSecret(o.secret); err != nil {
			return nil, usageError("--secret: %w", err)
		}
	}
	switch o.auth {
	case "ticket", "wampcra", "scram", "wamp-scram", "cryptosign", "cookie":
		if secret.IsZero() {
			return nil, usageError("--auth %s needs --secret env:NAME or --secret file:PATH", o.auth)
		}
		if o.authID == "" && o.auth != "cryptosign" && o.auth != "cookie" {
			return nil, usageError("--auth %s needs --authid", o.auth)
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
			return nil, usageError("--secret: an Ed25519 key is 64 hex digits")
		}
		a = answer.Cryptosign(o.authID, ed25519.NewKeyFromSeed(seed), "")
	default:
		return nil, usageError("--auth %s: unknown method%s", printable(o.auth), cmdline.DidYouMean("", o.auth, methods))
	}
	return []client.Authenticator{a}, nil
}

// cookie returns the header that sends the cookie of --auth cookie, or nil.
func (o *options) cookie() (http.Header, error) {
	if o.auth != "cookie" {
		return nil, nil
	}
	secret, err := readSecret(o.secret)
	if err != nil {
		return nil, usageError("--secret: %w", err)
	}
	text := strings.TrimSpace(secret.Reveal())
	if _, err := http.ParseCookie(text); err != nil {
		return nil, usageError("--secret: a cookie is NAME=VALUE")
	}
	return http.Header{"Cookie": {text}}, nil
}
