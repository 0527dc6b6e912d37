package clients

import (
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// TestRefusals is what each client makes of payloads that it must not take, and
// what it does not send: the same in all languages, by the same error URIs.
func TestRefusals(t *testing.T) {
	keyring := newKeyring(t, secret)
	server := pages(t)
	url := startRouter(t, server.URL)
	peers := map[string]*peer{}
	for _, name := range names {
		peers[name] = kinds[name](t, server, setup{url: url, serializer: wamp.CBOR, form: "transparency", name: name, file: keyring})
	}
	for _, p := range peers {
		p.want("ready")
	}
	ring, err := cryptobox.LoadKeyRing(keyring)
	routertest.NoError(t, err)
	right := ring.Keys(secret)[0]
	wrong, err := cryptobox.NewSharedKey(cryptobox.GenerateKey())
	routertest.NoError(t, err)
	for _, mallory := range []struct {
		name   string
		sealer client.Sealer
		want   wamp.URI
	}{
		{"wrong key", sealerOf(t, wrong), wamp.ErrDecryptError},
		{"clear", nil, wamp.ErrCleartextRefused},
		{"sealed for another URI", misdirected{sealerOf(t, right)}, wamp.ErrTrustedURIMismatch},
		{"unknown algorithm", unknown{}, wamp.ErrNoPayloadCodec},
	} {
		t.Run(mallory.name, func(t *testing.T) {
			ctx := routertest.Context(t)
			session, err := client.Dial(ctx, client.Config{URL: url, Realm: "realm1", Serializer: wamp.CBOR, Sealer: mallory.sealer, AllowClear: []wamp.URI{""}})
			routertest.NoError(t, err)
			defer func() { routertest.NoError(t, session.Close()) }()
			_, err = session.Publish(ctx, secret+"topic", []any{"believe me"}, nil, client.PublishOptions{Acknowledge: true})
			routertest.NoError(t, err)
			for _, name := range names {
				wantRefused(peers[name], mallory.want, secret+"topic")
				procedure := wamp.URI(secret + name + ".echo")
				_, err := session.Call(ctx, procedure, []any{1}, nil, client.CallOptions{})
				if got := errorURI(err); got != string(mallory.want) {
					t.Errorf("%s answers the call with %s, not %s", name, got, mallory.want)
				}
				wantRefused(peers[name], mallory.want, string(procedure))
			}
		})
	}
	for _, name := range names {
		if name == "go" { // package client has a test of its own for that
			continue
		}
		for _, what := range []string{"publish", "call"} {
			peers[name].order(what + " com.example.unknown")
			want := map[string]any{what: "com.example.unknown", "error": string(wamp.ErrNoPayloadCodec)}
			if got := peers[name].want(what); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: want %v, got %v", name, want, got)
			}
			peers[name].want("done")
		}
	}
	for _, p := range peers {
		p.wantNoMore()
	}
}

func wantRefused(p *peer, reason wamp.URI, uri string) {
	p.t.Helper()
	want := map[string]any{"refused": string(reason), "uri": uri}
	if got := p.want("refused"); !reflect.DeepEqual(got, want) {
		p.t.Errorf("%s: want %v, got %v", p.name, want, got)
	}
}

func sealerOf(t *testing.T, key *cryptobox.Key) *cryptobox.Box {
	t.Helper()
	ring := new(cryptobox.KeyRing)
	routertest.NoError(t, ring.Add(secret, key))
	return &cryptobox.Box{Keys: ring}
}

// misdirected seals for another URI than it says.
type misdirected struct{ *cryptobox.Box }

func (m misdirected) Seal(on *wamp.Subject, args []any, kwargs map[string]any) (wamp.Attributes, []byte, bool, error) {
	other := *on
	other.URI = secret + "other"
	return m.Box.Seal(&other, args, kwargs)
}

// unknown declares an algorithm that nobody knows.
type unknown struct{}

func (unknown) Keyed(*wamp.Subject) bool { return true }

func (unknown) Seal(*wamp.Subject, []any, map[string]any) (wamp.Attributes, []byte, bool, error) {
	return wamp.Attributes{EncAlgo: "x_unknown", EncSerializer: "json"}, []byte("opaque"), true, nil
}

func (unknown) Open(*wamp.Subject, *wamp.Attributes, []byte) ([]any, map[string]any, error) {
	return nil, nil, nil
}
