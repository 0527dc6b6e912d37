package main

import (
	"cmp"
	"flag"
	"os"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// options are those of every command that connects.
type options struct {
	url, realm, serializer, form   string
	key, keyring                   string
	clear                          bool
	auth, authID, authRole, secret string
	ca, cert, certKey              string
	scramble                       bool
	known                          list
	json                           bool
	home                           home
	scope, forget                  bool
	timeout                        time.Duration

	cli    *cli
	scopes *scopeSession // with --scope

	// The topic or procedure, or the pattern of it, that the command is given.
	uri   wamp.URI
	match wamp.Match
}

const (
	defaultURL   = "ws://127.0.0.1:8080/ws"
	defaultRealm = "realm1"
)

// addJoin defines the options to join a realm.
func (o *options) addJoin(f *flag.FlagSet) {
	f.StringVar(&o.realm, "realm", cmp.Or(os.Getenv("SEAL_REALM"), defaultRealm), "")
	f.StringVar(&o.auth, "auth", "", "")
	f.StringVar(&o.authID, "authid", "", "")
	f.StringVar(&o.authRole, "authrole", "", "")
	f.StringVar(&o.secret, "secret", "", "")
	f.StringVar(&o.ca, "ca", "", "")
	f.StringVar(&o.cert, "cert", "", "")
	f.StringVar(&o.certKey, "cert-key", "", "")
	f.BoolVar(&o.json, "json", false, "")
}

// add defines the options to connect and to seal.
func (o *options) add(f *flag.FlagSet) {
	f.StringVar(&o.url, "url", cmp.Or(os.Getenv("SEAL_URL"), defaultURL), "")
	o.addJoin(f)
	f.StringVar(&o.serializer, "serializer", "json", "")
	f.StringVar(&o.keyring, "keyring", "", "")
	f.StringVar(&o.key, "key", "", "")
	f.StringVar(&o.form, "form", "transparency", "")
	f.BoolVar(&o.scramble, "scramble", false, "")
	f.Var(&o.known, "know", "")
	f.BoolVar(&o.clear, "clear", false, "")
	o.home.add(f)
	f.BoolVar(&o.scope, "scope", false, "")
	f.BoolVar(&o.forget, "forget", false, "")
}
