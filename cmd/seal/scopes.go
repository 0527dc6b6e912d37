package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/scope"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

type memberJSON struct {
	Name   string `json:"name"`
	Key    string `json:"key"`
	Rights string `json:"rights"`
}

func manifestJSON(m *scope.Manifest, s *scope.Scope) any {
	members := []memberJSON{}
	for _, k := range m.Members {
		members = append(members, memberJSON{k.Name, base64.RawURLEncoding.EncodeToString(k.Key), k.Rights.String()})
	}
	return map[string]any{"id": s.ID().String(), "topic": s.Topic(), "realm": m.Realm, "prefix": m.Prefix, "epoch": m.Epoch,
		"not_before": m.NotBefore, "not_after": m.NotAfter, "members": members}
}

// export writes a keyring that is derived from the newest epoch.
func (o *scopeCommand) export(s *scope.Scope) error {
	a, err := exportedKey(s, "cryptobox originator")
	if err != nil {
		return err
	}
	b, err := exportedKey(s, "cryptobox responder")
	if err != nil {
		return err
	}
	fmt.Fprint(o.e.stderr, `warning: this keyring is less than the scope. Everyone who has it can write in the name of
all others. Messages do not show who sealed them, when, or whether they are repetitions.
All members of this epoch have the key, and a removal takes effect only with a new export.
`)
	if o.python {
		_, err := fmt.Fprintf(o.e.stdout, `from autobahn.wamp.cryptobox import KeyRing, Key

keyring = KeyRing()
keyring.set_key(%s, Key(originator_priv=%s, responder_priv=%s))
`, quoted(string(s.Prefix())), quoted(a.Encode()), quoted(b.Encode()))
		return err
	}
	key, err := cryptobox.NewKey(cryptobox.Half{Private: a}, cryptobox.Half{Private: b})
	if err != nil {
		return err
	}
	ring := new(cryptobox.KeyRing)
	if err := ring.Add(s.Prefix(), key); err != nil {
		return err
	}
	if o.out == "" {
		_, err := o.e.stdout.Write(ring.Encode())
		return err
	}
	return ring.Save(o.out)
}

// exportedKey derives a Curve25519 key from the newest epoch.
func exportedKey(s *scope.Scope, label string) (cryptobox.PrivateKey, error) {
	secret, err := s.Export(label)
	if err != nil {
		return cryptobox.PrivateKey{}, keyError(err)
	}
	return cryptobox.ParsePrivateKey(base64.StdEncoding.EncodeToString(secret[:]))
}

// quoted returns a text as Python writes it: as JSON does.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return string(b)
}

// scopeSession is what a command with --scope has beside the session.
type scopeSession struct {
	e      *cli
	scopes []*scope.Scope
}

// useScopes makes c seal with the scopes of the realm that are in the folder.
func (o *options) useScopes(c *client.Config) error {
	if o.key != "" || o.keyring != "" {
		return usageError("give either --scope or a key")
	}
	self, err := o.home.load(o.cli.stdin)
	if err != nil {
		return err
	}
	settings, err := o.home.scopes(o.forget)
	if err != nil {
		return err
	}
	known, err := scope.List(settings.Dir)
	if err != nil {
		return keyError(err)
	}
	sealer, err := scope.NewSealer(c.Realm)
	if err != nil {
		return err
	}
	x := &scopeSession{e: o.cli}
	for _, k := range known {
		if k.Realm != c.Realm || !strings.HasPrefix(string(o.uri), string(k.Prefix)) && !strings.HasPrefix(string(k.Prefix), string(o.uri)) {
			continue
		}
		s, err := scope.New(self, k.Owner, k.Realm, k.Prefix, settings)
		if err == nil {
			x.scopes = append(x.scopes, s)
			err = sealer.Add(s)
		}
		if err != nil {
			x.close()
			return keyError(err)
		}
	}
	if len(x.scopes) == 0 {
		return keyError(fmt.Errorf("no scope that has %s is known here; get it with: seal scope fetch PREFIX --owner LINE", printable(string(o.uri))))
	}
	c.Sealer, c.AllowClear, c.Scrambler = sealer, o.allowClear(), nil
	o.scopes = x
	return nil
}

func (x *scopeSession) close() {
	if x == nil {
		return
	}
	for _, s := range x.scopes {
		if err := s.Close(); err != nil {
			fmt.Fprintf(x.e.stderr, "seal: %s\n", printable(userMessage(err)))
		}
	}
}

// followAgain is follow, after a reconnect.
func (x *scopeSession) followAgain(ctx context.Context, session *client.Session) {
	if err := x.follow(ctx, session); err != nil {
		fmt.Fprintf(x.e.stderr, "seal: %s\n", printable(userMessage(err)))
	}
}

// follow subscribes to the topics of the scopes, and waits a moment for the epochs
// that the router retains.
func (x *scopeSession) follow(ctx context.Context, session *client.Session) error {
	if x == nil {
		return nil
	}
	retained := retains(session)
	arrived := make(chan struct{}, len(x.scopes))
	for _, s := range x.scopes {
		_, err := session.Subscribe(ctx, s.Topic(), bundleHandler(func(bundle []byte) {
			fresh, err := s.Accept(bundle)
			switch {
			case errors.Is(err, scope.ErrNotMember):
				fmt.Fprintf(x.e.stderr, "seal: this identity is no member of %s any more\n", printable(string(s.Prefix())))
			case err != nil:
				fmt.Fprintf(x.e.stderr, "seal: an epoch of %s was refused: %s\n", printable(string(s.Prefix())), printable(userMessage(err)))
			case fresh:
				m := s.Manifest()
				fmt.Fprintf(x.e.stderr, "epoch %d of %s: %d members\n", m.Epoch, printable(string(m.Prefix)), len(m.Members))
			}
			select {
			case arrived <- struct{}{}:
			default:
			}
		}), client.SubscribeOptions{GetRetained: retained})
		if err != nil {
			return err
		}
	}
	if !retained {
		return nil
	}
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	for range x.scopes {
		select {
		case <-arrived:
		case <-patience.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// sealedBy returns the sender and time of a sealed message, for people.
func (e *cli) sealedBy(o *wamp.Origin, uri wamp.URI) string {
	if o == nil {
		return ""
	}
	name := o.Sender
	if !o.Known {
		name += ", as the owner calls this member"
	}
	if o.Missing > 0 && !o.First {
		fmt.Fprintf(e.stderr, "seal: %d of %s on %s are missing before this one\n", o.Missing, name, printable(string(uri)))
	}
	switch {
	case o.Stored:
		name += ", stored, sealed " + o.Time.Local().Format(time.DateTime)
	case o.Late:
		name += ", late"
	}
	return name
}
