package clients

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/scope"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// sealed is a scope of the peers, with an owner who is none of them.
type sealed struct {
	t     testing.TB
	self  *scope.Identity
	owner *scope.Owner
	view  *scope.Scope
	dir   string
}

// newScope makes a scope with an identity for each member.
func newScope(t testing.TB, members ...string) *sealed {
	t.Helper()
	self, err := scope.NewIdentity("owner", false)
	routertest.NoError(t, err)
	view, err := scope.New(self, self.Key, routertest.Realm, secret, scope.Options{})
	routertest.NoError(t, err)
	s := &sealed{t: t, self: self, owner: scope.NewOwner(self, routertest.Realm, secret), view: view, dir: t.TempDir()}
	for _, name := range members {
		identity, err := scope.NewIdentity(name, false)
		routertest.NoError(t, err)
		routertest.NoError(t, s.owner.Add(name, &identity.Public, scope.AllRights))
		content, err := json.Marshal(map[string]any{"identity": json.RawMessage(identity.Encode()), "owner": self.Public.String()})
		routertest.NoError(t, err)
		routertest.NoError(t, os.WriteFile(s.file(name), content, 0o600))
	}
	return s
}

// file is what a member needs: its identity and its owner's line.
func (s *sealed) file(name string) string { return filepath.Join(s.dir, name+".json") }

// rotate makes a new epoch and publishes it, to be retained, and returns the bundle.
// An opaque event reaches only who has its serializer.
func (s *sealed) rotate(url string, serializer wamp.Serializer) []byte {
	s.t.Helper()
	ctx := routertest.Context(s.t)
	sealer, err := scope.NewSealer(routertest.Realm, s.view)
	routertest.NoError(s.t, err)
	session, err := client.Dial(ctx, client.Config{URL: url, Realm: routertest.Realm, Serializer: serializer, Sealer: sealer})
	routertest.NoError(s.t, err)
	defer func() { routertest.NoError(s.t, session.Close()) }()
	var bundle []byte
	routertest.NoError(s.t, s.owner.Rotate(s.view, func(b []byte) error {
		bundle = b
		return nil
	}))
	_, err = session.Publish(ctx, s.view.Topic(), []any{bundle}, nil, client.PublishOptions{Acknowledge: true, Retain: true})
	routertest.NoError(s.t, err)
	return bundle
}

// memberOf returns the view of a member in Go, from its file.
func memberOf(t *testing.T, file string) *scope.Scope {
	t.Helper()
	content, err := os.ReadFile(file)
	routertest.NoError(t, err)
	var given struct {
		Identity json.RawMessage `json:"identity"`
		Owner    string          `json:"owner"`
	}
	routertest.NoError(t, json.Unmarshal(content, &given))
	identity, err := scope.ParseIdentity(given.Identity)
	routertest.NoError(t, err)
	owner, err := scope.ParsePublic(given.Owner)
	routertest.NoError(t, err)
	s, err := scope.New(identity, owner.Key, wamp.URI(routertest.Realm), secret, scope.Options{})
	routertest.NoError(t, err)
	return s
}

// TestScopeRefusals is what each client makes of messages of a scope that somebody on
// the way repeats, misdirects or changes: the same errors in all languages.
func TestScopeRefusals(t *testing.T) {
	server := pages(t)
	url := startRouter(t, server.URL)
	s := newScope(t, append(names, "alice")...)
	s.rotate(url, wamp.CBOR)
	peers := map[string]*peer{}
	for _, name := range names {
		peers[name] = kinds[name](t, server, setup{url: url, serializer: wamp.CBOR, form: "scope", name: name, file: s.file(name)})
	}
	for _, p := range peers {
		p.want("ready")
	}
	ctx := routertest.Context(t)
	join := func(sealer client.Sealer) *client.Session {
		session, err := client.Dial(ctx, client.Config{URL: url, Realm: routertest.Realm, Serializer: wamp.CBOR, Sealer: sealer, AllowClear: []wamp.URI{""}})
		routertest.NoError(t, err)
		t.Cleanup(func() { routertest.NoError(t, session.Close()) })
		return session
	}
	mallory := &repeater{heard: make(chan struct{}, 1)}
	evil := join(mallory)
	_, err := evil.Subscribe(ctx, secret+"topic", func(context.Context, *client.Event) {}, client.SubscribeOptions{})
	routertest.NoError(t, err)
	sealer, member := sealerFor(t, setup{form: "scope", file: s.file("alice")})
	alice := join(sealer)
	follow(t, ctx, alice, member)
	_, err = alice.Publish(ctx, secret+"topic", []any{"once"}, nil, client.PublishOptions{Acknowledge: true})
	routertest.NoError(t, err)
	routertest.Receive(t, mallory.heard)
	for _, name := range names {
		want := map[string]any{"event": secret + "topic", "args": []any{"once"}, "kwargs": map[string]any{}, "sender": "alice"}
		if got := peers[name].want("event"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: want %v, got %v", name, want, got)
		}
	}
	genuine := *mallory
	for _, c := range []struct {
		topic  string
		change func()
		want   string
	}{
		{"topic", func() {}, scope.ErrorPrefix + "repeated"},
		{"other", func() {}, scope.ErrorPrefix + "wrong_uri"},
		{"topic", func() { mallory.payload[len(mallory.payload)-1] ^= 1 }, scope.ErrorPrefix + "decrypt"},
		{"topic", func() { mallory.payload = mallory.payload[:20] }, scope.ErrorPrefix + "malformed"},
		{"topic", func() { mallory.attrs.PPTScheme = "x_other" }, ""},
		{"topic", func() { mallory.clear = true }, string(wamp.ErrCleartextRefused)},
	} {
		mallory.attrs, mallory.payload, mallory.clear = genuine.attrs, slices.Clone(genuine.payload), false
		c.change()
		_, err = evil.Publish(ctx, wamp.URI(secret+c.topic), []any{"believe me"}, nil, client.PublishOptions{Acknowledge: true})
		routertest.NoError(t, err)
		for _, name := range names {
			got := peers[name].want("refused")
			if c.want == "" { // of a scheme that is nobody's
				if got["refused"] != scope.ErrorPrefix+"malformed" && got["refused"] != string(wamp.ErrNoPayloadCodec) {
					t.Errorf("%s: %v", name, got)
				}
				continue
			}
			if want := map[string]any{"refused": c.want, "uri": secret + c.topic}; !reflect.DeepEqual(got, want) {
				t.Errorf("%s: want %v, got %v", name, want, got)
			}
		}
	}
	for _, p := range peers {
		p.wantNoMore()
	}
}

// repeater is a sealer that keeps what it hears, and sends it as its own.
type repeater struct {
	attrs   wamp.Attributes
	payload []byte
	clear   bool
	heard   chan struct{}
}

func (r *repeater) Keyed(*wamp.Subject) bool { return !r.clear }

func (r *repeater) Seal(*wamp.Subject, []any, map[string]any) (wamp.Attributes, []byte, bool, error) {
	return r.attrs, r.payload, !r.clear, nil
}

func (r *repeater) Open(_ *wamp.Subject, attrs *wamp.Attributes, payload []byte) ([]any, map[string]any, error) {
	if r.payload == nil {
		r.attrs, r.payload = *attrs, slices.Clone(payload)
		r.heard <- struct{}{}
	}
	return nil, nil, nil
}
