package clients

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Where install puts the clients of other languages.
const (
	newPython    = "peers/venv/bin/python"        // the newest Autobahn|Python
	debianPython = "peers/venv-debian/bin/python" // Debian's
	modules      = "peers/node_modules"
)

// kinds are the peers of the matrix.
var kinds = map[string]func(*testing.T, *httptest.Server, setup) *peer{
	"go":      func(t *testing.T, _ *httptest.Server, s setup) *peer { return inGo(t, s) },
	"asyncio": func(t *testing.T, _ *httptest.Server, s setup) *peer { return inPython(t, newPython, "asyncio", s) },
	"twisted": func(t *testing.T, _ *httptest.Server, s setup) *peer { return inPython(t, newPython, "twisted", s) },
	"debian":  func(t *testing.T, _ *httptest.Server, s setup) *peer { return inPython(t, debianPython, "asyncio", s) },
	"node":    func(t *testing.T, _ *httptest.Server, s setup) *peer { return inNode(t, "autobahn", s) },
	"node26":  func(t *testing.T, _ *httptest.Server, s setup) *peer { return inNode(t, "autobahn-26", s) },
	"wampy":   func(t *testing.T, _ *httptest.Server, s setup) *peer { return inNode(t, "wampy", s) },
	"page":    func(t *testing.T, web *httptest.Server, s setup) *peer { return inBrowser(t, web, "wampy", s) },
	"page22":  func(t *testing.T, web *httptest.Server, s setup) *peer { return inBrowser(t, web, "autobahn", s) },
}

var names = []string{"go", "asyncio", "twisted", "debian", "node", "node26", "wampy", "page", "page22"}

func inPython(t *testing.T, interpreter, network string, s setup) *peer {
	t.Helper()
	if _, err := os.Stat(interpreter); err != nil {
		testenv.SkipMissing(t, "the Python clients are not installed: make clients")
	}
	return process(t, s.name, interpreter, "peers/peer.py", s.url, s.serializer.String(), s.form, s.name, s.file, network)
}

func inNode(t *testing.T, client string, s setup) *peer {
	t.Helper()
	node := testenv.Tool(t, "node", "nodejs")
	if _, err := os.Stat(modules + "/@blindfold/seal"); err != nil {
		testenv.SkipMissing(t, "the JavaScript clients are not installed: make clients")
	}
	absolute, err := filepath.Abs("peers")
	routertest.NoError(t, err)
	// Autobahn|JS 26 needs a WebSocket of the platform, which Node.js 20 has behind this.
	return process(t, s.name, node, "--experimental-websocket", "peers/node.mjs", absolute, s.url, s.serializer.String(), s.form, s.name, s.file, client)
}

// TestMatrix has each peer call each, itself among them, and publish to all, sealed
// and clear, with a key and in a scope, in each form and serializer.
func TestMatrix(t *testing.T) {
	testenv.SkipSlow(t, "1 min")
	keyring := newKeyring(t, secret)
	for _, serializer := range wamp.Serializers {
		for _, form := range []string{"transparency", "passthru", "scope"} {
			t.Run(fmt.Sprintf("%s/%s", serializer, form), func(t *testing.T) {
				server := pages(t)
				url := startRouter(t, server.URL)
				file := func(string) string { return keyring }
				if form == "scope" {
					s := newScope(t, names...)
					s.rotate(url, serializer)
					file = s.file
				}
				peers := map[string]*peer{}
				for _, name := range names {
					peers[name] = kinds[name](t, server, setup{url: url, serializer: serializer, form: form, name: name, file: file(name)})
				}
				for _, p := range peers {
					p.want("ready")
				}
				for _, name := range names {
					peers[name].order("meet " + strings.Join(names, " "))
					for _, other := range names {
						wantCalls(peers[name], other, form)
					}
					peers[name].want("done")
				}
				for _, name := range names {
					wantEvents(peers[name], form)
				}
				for _, p := range peers {
					p.wantNoMore()
				}
			})
		}
	}
}

func wantCalls(p *peer, other, form string) {
	p.t.Helper()
	echoed := map[string]any{"nested": map[string]any{"ключ": []any{map[string]any{}}}}
	if form == "scope" { // which tells the callee who calls
		echoed["caller"] = p.name
	}
	for _, want := range []map[string]any{
		{"call": other, "args": []any{"grüße", []any{1.0, -2.0, 0.5, true, nil}, "binary:00ff"}, "kwargs": echoed},
		{"call": other, "error": secret + "error", "args": []any{"what went wrong"}, "kwargs": map[string]any{"code": 23.0}},
		{"call": other, "progress": []any{0.0, 1.0, 2.0}, "result": 3.0},
	} {
		if got := p.want("call"); !reflect.DeepEqual(got, want) {
			p.t.Errorf("%s calls %s: want %v, got %v", p.name, other, want, got)
		}
	}
}

// wantEvents waits for two events of each other peer. Those of two subscriptions may
// change places.
func wantEvents(p *peer, form string) {
	p.t.Helper()
	want, got := map[string]bool{}, map[string]bool{}
	for _, publisher := range names {
		if publisher == p.name { // nobody gets their own events
			continue
		}
		message := map[string]any{"event": secret + "topic", "args": []any{publisher, "binary:00ff"}, "kwargs": map[string]any{"mood": "fine"}}
		if form == "scope" {
			message["sender"] = publisher
		}
		for _, event := range []map[string]any{
			message,
			{"event": openTopic, "args": []any{publisher}, "kwargs": map[string]any{}},
		} {
			want[fmt.Sprint(event)] = true
			got[fmt.Sprint(p.want("event"))] = true
		}
	}
	if !reflect.DeepEqual(got, want) {
		p.t.Errorf("%s: want %v, got %v", p.name, want, got)
	}
}

// wantNoMore checks that all that the peer told was asked for.
func (p *peer) wantNoMore() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		p.t.Errorf("%s: not expected: %v", p.name, line)
	}
}

// newKeyring makes a keyring file with a key for the prefix that can take both sides.
func newKeyring(t *testing.T, prefix wamp.URI) string {
	t.Helper()
	key, err := cryptobox.NewSharedKey(cryptobox.GenerateKey())
	routertest.NoError(t, err)
	ring := new(cryptobox.KeyRing)
	routertest.NoError(t, ring.Add(prefix, key))
	file := filepath.Join(t.TempDir(), "keyring.json")
	routertest.NoError(t, ring.Save(file))
	return file
}
