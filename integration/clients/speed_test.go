package clients

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"os"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// maxBundle is how much a page has to load, compressed: docs/javascript.md.
const maxBundle = 100_000

func TestBundleSize(t *testing.T) {
	script, err := os.ReadFile(modules + "/@blindfold/seal/dist/blindfold-seal.min.js")
	if err != nil {
		testenv.SkipMissing(t, "the JavaScript clients are not installed: make clients")
	}
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	if _, err := w.Write(script); err != nil {
		t.Fatal(err)
	}
	routertest.NoError(t, w.Close())
	t.Logf("%d bytes, %d compressed", len(script), compressed.Len())
	if compressed.Len() > maxBundle {
		t.Errorf("the bundle has %d bytes compressed, over %d", compressed.Len(), maxBundle)
	}
}

// BenchmarkBrowser seals and opens 256 bytes in Chromium: peers/speed.html.
func BenchmarkBrowser(b *testing.B) {
	if _, err := os.Stat(modules); err != nil {
		b.Skip("the JavaScript clients are not installed: make clients")
	}
	server := pages(b)
	tab := openTab(b, server.URL+"/speed.html")
	until(b, tab, "window.loaded === true")
	s := newScope(b, "alice", "bob")
	bundle := base64.StdEncoding.EncodeToString(s.rotate(startRouter(b, server.URL), wamp.JSON))
	alice, err := os.ReadFile(s.file("alice"))
	routertest.NoError(b, err)
	bob, err := os.ReadFile(s.file("bob"))
	routertest.NoError(b, err)
	members := fmt.Sprintf("[%s, %s]", alice, bob)
	for _, form := range []string{"transparency", "passthru", "scope"} {
		b.Run(form, func(b *testing.B) {
			elapsed, err := await[float64](tab, fmt.Sprintf("measure(%q, %d, %s, %q)", form, b.N, members, bundle))
			routertest.NoError(b, err)
			b.ReportMetric(elapsed*1e6/float64(b.N), "ns/op")
			b.ReportMetric(float64(b.N)*1000/elapsed, "messages/s")
		})
	}
}
