package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/ownfile"
	"github.com/blindfold-wamp/blindfold/scope"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const scopeUsage = `usage: seal scope create PREFIX [OPTIONS]
       seal scope add PREFIX LINE|CONTACT... [OPTIONS]
       seal scope remove PREFIX MEMBER... [OPTIONS]
       seal scope rotate PREFIX [OPTIONS]
       seal scope publish PREFIX [OPTIONS]
       seal scope fetch PREFIX [OPTIONS]
       seal scope show|members|leave|export PREFIX [OPTIONS]

A scope is a URI prefix of a realm whose messages only its members can read. Its owner
decides who is a member. The owner signs the list of members and encrypts the secret to
them. The router keeps both as a retained event, so owner and members need not be online
at the same time. See docs/sealed-scopes.md.

For the owner: create creates a scope. add, remove and rotate start a new epoch with a
new secret: removed members do not get it, and new members cannot read older messages.
All four publish the epoch. publish publishes it again.

For members: fetch gets the newest epoch; the first time, --owner gives the owner. leave
removes the scope from this folder. After fetch, use publish, subscribe, call and
register with --scope. They follow new epochs automatically.

LINE is the public line of an identity, or file:PATH of a file with it.

export derives a cryptobox key from the epoch's secret, for clients without support for
scopes. The key does not protect sender, order and time, nor against repetition, and
members who are removed keep it.

examples:
  seal scope create com.app.secret.
  seal scope add com.app.secret. file:bob.txt
  seal scope fetch com.app.secret. --owner 'blindfold-id-1 alice …'
  seal scope remove com.app.secret. bob
  seal scope rotate com.app.secret. --every 24h

options:
  --owner WHO        fetch: the owner's public line, or the name of a contact
  --rights RIGHTS    add: publish, subscribe, call, register, with commas
                     (default publish,subscribe,call,register)
  --lifetime TIME    create: how long an epoch lasts at most (default 720h0m0s)
  --grace TIME       create: how long members accept messages of the previous epoch
                     (default 5m0s)
  --every TIME       rotate: repeat at this interval, until interrupted
  --out FILE         write the epoch to FILE, and publish nothing; export: the keyring
  --in FILE          fetch: read the epoch from FILE
  --python           export: print it as Python for Autobahn
  --forget           continue although the state file is lost: the router could then
                     repeat recent messages, or present an older list of members
  --timeout TIME     how long to wait for the router (default 10s)
` + homeHelp + urlHelp + joinHelp + `  --serializer NAME  json, msgpack or cbor (default json). Use that of the members,
                     unless the realm has conversion: reframe
  --json             print JSON: show and members
`

// scopeCommand is the command line of seal scope.
type scopeCommand struct {
	options
	e               *cli
	owner, rights   string
	lifetime, grace time.Duration
	every           time.Duration
	out, in         string
	python          bool
	self            *scope.Identity
	prefix          wamp.URI
	dir             string
}

func runScope(ctx context.Context, e *cli, args []string) error {
	o := &scopeCommand{e: e}
	o.cli = e
	f := e.flags(func(f *flag.FlagSet) {
		o.options.home.add(f)
		f.StringVar(&o.url, "url", cmp.Or(os.Getenv("SEAL_URL"), defaultURL), "")
		o.options.addJoin(f)
		f.StringVar(&o.serializer, "serializer", "json", "")
		f.DurationVar(&o.timeout, "timeout", 10*time.Second, "")
		f.StringVar(&o.owner, "owner", "", "")
		f.StringVar(&o.rights, "rights", scope.AllRights.String(), "")
		f.DurationVar(&o.lifetime, "lifetime", scope.DefaultLifetime, "")
		f.DurationVar(&o.grace, "grace", scope.DefaultGrace, "")
		f.DurationVar(&o.every, "every", 0, "")
		f.StringVar(&o.out, "out", "", "")
		f.StringVar(&o.in, "in", "", "")
		f.BoolVar(&o.python, "python", false, "")
		f.BoolVar(&o.forget, "forget", false, "")
	})
	rest, err := e.parse(f, args)
	if err != nil {
		return err
	}
	verb, rest, err := subcommand(rest, map[string]int{"create": 1, "add": -2, "remove": -2, "rotate": 1, "publish": 1,
		"fetch": 1, "show": 1, "members": 1, "leave": 1, "export": 1})
	if err != nil {
		return err
	}
	o.prefix = wamp.URI(rest[0])
	if o.self, err = o.home.load(e.stdin); err != nil {
		return err
	}
	if o.dir, err = o.home.path("scopes"); err != nil {
		return err
	}
	switch verb {
	case "create":
		return o.create(ctx)
	case "fetch":
		return o.fetch(ctx)
	case "add", "remove", "rotate", "publish":
		return o.own(ctx, verb, rest[1:])
	}
	return o.look(verb)
}

// open opens the scope of that owner.
func (o *scopeCommand) open(k scope.Known) (*scope.Scope, error) {
	options, err := o.home.scopes(o.forget)
	if err != nil {
		return nil, err
	}
	s, err := scope.New(o.self, k.Owner, k.Realm, k.Prefix, options)
	return s, asKeyError(err)
}

// mine is the scope of this identity.
func (o *scopeCommand) mine() scope.Known {
	return scope.Known{Owner: o.self.Key, Realm: wamp.URI(o.realm), Prefix: o.prefix}
}

// known returns the scope with that prefix in the realm.
func (o *scopeCommand) known() (scope.Known, error) {
	all, err := scope.List(o.dir)
	if err != nil {
		return scope.Known{}, keyError(err)
	}
	all = slices.DeleteFunc(all, func(k scope.Known) bool { return k.Prefix != o.prefix || k.Realm != wamp.URI(o.realm) })
	switch len(all) {
	case 0:
		return scope.Known{}, keyError(fmt.Errorf("no scope %s in realm %s is known here; get it with: seal scope fetch %s --owner LINE",
			printable(string(o.prefix)), printable(o.realm), printable(string(o.prefix))))
	case 1:
		return all[0], nil
	}
	return scope.Known{}, keyError(errors.New("there are scopes of several owners with this prefix: leave one of them"))
}

func (o *scopeCommand) create(ctx context.Context) error {
	s, err := o.open(o.mine())
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := os.Lstat(o.path(s, ".owner")); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is a scope %s already", printable(string(o.prefix)))
	}
	list := scope.NewOwner(o.self, s.Realm(), s.Prefix())
	list.Lifetime, list.Grace = o.lifetime, o.grace
	if o.lifetime <= 0 || o.grace < 0 {
		return usageError("--lifetime and --grace must be positive")
	}
	return o.rotate(ctx, list, s)
}

// own is add, remove, rotate and publish.
func (o *scopeCommand) own(ctx context.Context, verb string, args []string) error {
	if err := o.change(ctx, verb, args); err != nil || verb != "rotate" || o.every <= 0 {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.every):
		}
		if err := o.change(ctx, verb, nil); err != nil {
			fmt.Fprintf(o.e.stderr, "seal: %s\n", printable(userMessage(err)))
		}
	}
}

// change changes the list of an owner's scope, and makes a new epoch. It begins with
// what is in the files: another command may have changed it since.
func (o *scopeCommand) change(ctx context.Context, verb string, args []string) error {
	s, list, unlock, err := o.openOwn()
	if err != nil {
		return err
	}
	defer unlock()
	if verb == "publish" {
		bundle, err := os.ReadFile(o.path(s, ".bundle"))
		if err != nil {
			return err
		}
		return o.send(ctx, s, bundle)
	}
	for _, who := range args {
		if verb == "remove" {
			err = list.Remove(who)
		} else {
			err = o.addTo(list, who)
		}
		if err != nil {
			return err
		}
	}
	return o.rotate(ctx, list, s)
}

// openOwn opens the identity's own scope for a change, and locks it: two epochs that
// follow the same one would be two histories.
func (o *scopeCommand) openOwn() (s *scope.Scope, list *scope.Owner, unlock func(), err error) {
	if s, err = o.open(o.mine()); err != nil {
		return nil, nil, nil, err
	}
	fail := func(err error) (*scope.Scope, *scope.Owner, func(), error) {
		_ = s.Close()
		return nil, nil, nil, err
	}
	lock, err := ownfile.Lock(o.path(s, ".owner.lock"))
	switch {
	case err != nil:
		return fail(err)
	case lock == nil:
		return fail(errors.New("another command is changing this scope"))
	}
	list, err = scope.LoadOwner(o.path(s, ".owner"))
	if err != nil {
		_ = lock.Close()
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("this identity has no scope %s in realm %s; make it with: seal scope create %s",
				printable(string(o.prefix)), printable(o.realm), printable(string(o.prefix)))
		}
		return fail(keyError(err))
	}
	return s, list, func() {
		_ = s.Close()
		_ = lock.Close()
	}, nil
}

func (o *scopeCommand) addTo(list *scope.Owner, who string) error {
	rights, err := scope.ParseRights(o.rights)
	if err != nil {
		return usageError("--rights: %w", err)
	}
	k, err := o.home.resolve(who)
	if err != nil {
		return err
	}
	if k.Verified.IsZero() {
		fmt.Fprintf(o.e.stderr, "%s is not verified: compare the digits %s (seal contact verify %s)\n", k.Name, k.Digits(), k.Name)
	}
	return list.Add(k.Name, k.Public, rights)
}

// path returns the path of a file of the scope.
func (o *scopeCommand) path(s *scope.Scope, end string) string {
	return filepath.Join(o.dir, s.ID().String()+end)
}

// rotate makes a new epoch and publishes it.
func (o *scopeCommand) rotate(ctx context.Context, list *scope.Owner, s *scope.Scope) error {
	var made []byte
	err := list.Rotate(s, func(bundle []byte) error {
		made = bundle
		return errors.Join(ownfile.Write(o.path(s, ".bundle"), bundle), list.Save(o.path(s, ".owner")))
	})
	if err != nil {
		return err
	}
	m := s.Manifest()
	fmt.Fprintf(o.e.stderr, "epoch %d of %s: %d members, until %s\n", m.Epoch, printable(string(m.Prefix)), len(m.Members), m.NotAfter.Local().Format("2006-01-02 15:04"))
	return o.send(ctx, s, made)
}

// send publishes a bundle, or writes it to --out.
func (o *scopeCommand) send(ctx context.Context, s *scope.Scope, bundle []byte) error {
	if o.out != "" {
		return ownfile.Write(o.out, bundle)
	}
	session, err := o.join(ctx, s)
	if err != nil {
		return fmt.Errorf("the epoch was made, but not published (seal scope publish %s does that): %w", printable(string(o.prefix)), err)
	}
	defer session.Close()
	if !retains(session) {
		return &statusError{exitRefused, errors.New("the epoch was made, but this router retains no events (realms: retained): give the members a file (--out FILE)")}
	}
	ctx, cancel := o.limit(ctx)
	defer cancel()
	_, err = session.Publish(ctx, s.Topic(), []any{bundle}, nil, client.PublishOptions{Acknowledge: true, Retain: true})
	if err != nil {
		return fmt.Errorf("the epoch was made, but not published (seal scope publish %s does that): %w", printable(string(o.prefix)), err)
	}
	fmt.Fprintln(o.e.stderr, "published")
	return nil
}

// retains reports whether the router retains events.
func retains(s *client.Session) bool {
	w, ok := s.Welcome()
	return ok && w.Roles.Broker.Has(wamp.EventRetention)
}

// join joins the realm of s, with a sealer for it alone.
func (o *scopeCommand) join(ctx context.Context, s *scope.Scope) (*client.Session, error) {
	o.options.uri, o.clear, o.form = s.Topic(), true, "passthru"
	return o.dial(ctx, func(c *client.Config) {
		sealer, err := scope.NewSealer(s.Realm(), s)
		if err != nil {
			panic(err) // one scope, of its own realm
		}
		o.e.reportErrors(c)
		c.Sealer, c.AllowClear = sealer, nil // nothing but bundles passes
	})
}

func (o *scopeCommand) fetch(ctx context.Context) error {
	var k scope.Known
	var err error
	if o.owner != "" {
		var owner scope.Contact
		if owner, err = o.home.resolve(o.owner); err != nil {
			return err
		}
		k = scope.Known{Owner: owner.Key, Realm: wamp.URI(o.realm), Prefix: o.prefix}
	} else if k, err = o.known(); err != nil {
		return err
	}
	s, err := o.open(k)
	if err != nil {
		return err
	}
	defer s.Close()
	if o.in != "" {
		bundle, err := os.ReadFile(o.in)
		if err != nil {
			return err
		}
		return o.accept(s, bundle)
	}
	session, err := o.join(ctx, s)
	if err != nil {
		return err
	}
	defer session.Close()
	if !retains(session) {
		return &statusError{exitRefused, errors.New("this router retains no events (realms: retained): get a file from the owner (--in FILE)")}
	}
	ctx, cancel := o.limit(ctx)
	defer cancel()
	arrived := make(chan []byte, 1)
	if _, err = session.Subscribe(ctx, s.Topic(), bundleHandler(func(b []byte) {
		select {
		case arrived <- b:
		default:
		}
	}), client.SubscribeOptions{GetRetained: true}); err != nil {
		return err
	}
	select {
	case bundle := <-arrived:
		return o.accept(s, bundle)
	case <-ctx.Done():
		return &statusError{exitTimeout, errors.New("the router has no epoch of this scope: has its owner published it, in this realm, with this prefix, and with this serializer?")}
	}
}

// bundleHandler handles the events of a scope's topic.
func bundleHandler(handle func([]byte)) client.EventHandler {
	return func(_ context.Context, event *client.Event) {
		if len(event.Args) == 1 {
			if b, ok := event.Args[0].([]byte); ok {
				handle(b)
			}
		}
	}
}

func (o *scopeCommand) accept(s *scope.Scope, bundle []byte) error {
	if _, err := s.Accept(bundle); err != nil {
		return keyError(err)
	}
	m := s.Manifest()
	fmt.Fprintf(o.e.stderr, "epoch %d of %s: %d members, until %s\n", m.Epoch, printable(string(m.Prefix)), len(m.Members), m.NotAfter.Local().Format("2006-01-02 15:04"))
	return nil
}

// look is show, members, leave and export.
func (o *scopeCommand) look(verb string) error {
	k, err := o.known()
	if err != nil {
		return err
	}
	s, err := o.open(k)
	if err != nil {
		return err
	}
	defer s.Close()
	m := s.Manifest()
	switch {
	case verb == "leave":
		return o.leave(s)
	case m == nil:
		return keyError(errors.New("nothing was fetched yet"))
	case verb == "export":
		return o.export(s)
	case verb == "show" && !o.json:
		fmt.Fprintf(o.e.stdout, "scope     %s in realm %s\nid        %s\nowner     %s\nepoch     %d, from %s until %s\n", printable(string(m.Prefix)), printable(string(m.Realm)),
			s.ID(), o.nameOf(m, k.Owner), m.Epoch, m.NotBefore.Local().Format(time.DateTime), m.NotAfter.Local().Format(time.DateTime))
	}
	return o.members(m, s)
}

// leave forgets a scope. One's own is lost for its members with that.
func (o *scopeCommand) leave(s *scope.Scope) error {
	_, err := os.Lstat(o.path(s, ".owner"))
	if err == nil && !o.forget {
		return errors.New("this is your own scope: nobody could add or remove members any more. --forget leaves it all the same")
	}
	if err := s.Leave(); err != nil {
		return err
	}
	for _, end := range []string{".owner", ".bundle"} {
		if err := os.Remove(o.path(s, end)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (o *scopeCommand) nameOf(m *scope.Manifest, key ed25519.PublicKey) string {
	for _, one := range m.Members {
		if one.Key.Equal(key) {
			return one.Name
		}
	}
	return "not a member"
}

func (o *scopeCommand) members(m *scope.Manifest, s *scope.Scope) error {
	if o.json {
		return printJSON(o.e.stdout, manifestJSON(m, s))
	}
	w := tabwriter.NewWriter(o.e.stdout, 0, 0, 2, ' ', 0)
	for _, k := range m.Members {
		fmt.Fprintf(w, "member\t%s\t%s\n", k.Name, k.Rights)
	}
	return w.Flush()
}
