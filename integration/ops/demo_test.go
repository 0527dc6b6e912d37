package ops

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/demo"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

// startDemo runs the demo until the test ends, and returns its page's URL.
func startDemo(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- demo.Run(ctx, demo.Options{Listen: "127.0.0.1:0", Ready: func(url string) { ready <- url }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the demo ended with %v", err)
		}
	})
	select {
	case url := <-ready:
		return url
	case err := <-done:
		done <- err
		t.Fatal("the demo does not start")
	}
	return ""
}

// say makes a peer of the page say something.
func (b *browser) say(who, text string) {
	b.t.Helper()
	evaluate[bool](b, fmt.Sprintf(`(() => { const f = document.querySelector("#%s .say"); f.querySelector("input").value = %s; f.requestSubmit(); return true; })()`, who, asJSON(text)))
}

func (b *browser) shows(selector, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelector(%s)?.innerText.includes(%s)", asJSON(selector), asJSON(text)))
}

// Alice and Bob understand each other; the router in the middle does not.
func TestDemoInABrowser(t *testing.T) {
	page := startDemo(t)
	b := openBrowser(t)
	b.navigate(page)
	b.shows("#status", "two sessions")
	for n, line := range []struct{ from, to, text string }{
		{"alice", "bob", "The results are back. Can you talk?"},
		{"bob", "alice", "In ten minutes, on the usual line. À tout de suite."},
		{"alice", "bob", "Good. Nobody else needs to know."},
	} {
		b.say(line.from, line.text)
		b.shows("#"+line.to+" .chat li:last-child", line.text)
		b.shows("#"+line.to+" .chat li:last-child", "opened with own key")
		b.until(fmt.Sprintf(`document.querySelectorAll("#view li").length === %d && document.querySelector("#view li:last-child .seen").innerText.includes("opaque, ")`, n+1))
		if view := b.text("#view"); strings.Contains(view, line.text) {
			t.Errorf("the router's view shows what was said:\n%s", view)
		}
	}
	// What the router says that it saw is what the browser sent.
	tail := evaluate[string](b, `document.querySelector("#view li:last-child mark").textContent`)
	digest := sha256.Sum256([]byte(tail))
	if seen := b.text("#view li:last-child .seen"); !strings.Contains(seen, hex.EncodeToString(digest[:])[:12]) {
		t.Errorf("the digest of %q is not in %q", tail, seen)
	}
	b.inEveryLook("demo", "h1", "header p", "#status", ".key", ".chat li", ".how", ".payload", ".wire mark", ".wire", ".seen", "#view dt")

	// Without sealing, everybody on the way can read it.
	evaluate[bool](b, `document.querySelector("#seal").click(), true`)
	b.say("bob", "This is not sealed.")
	b.shows("#alice .chat li:last-child", "came in the clear")
	b.shows("#view li:last-child.clear .wire", "This is not sealed.")
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	router := evaluate[string](b, `document.querySelector("#router").value`)
	b.onlyFrom(u.Host, strings.TrimSuffix(strings.TrimPrefix(router, "ws://"), "/ws"))
}

// The same page works with any router, and says so when there is none.
func TestDemoWithAnotherRouter(t *testing.T) {
	page := startDemo(t)
	server := routertest.StartProcess(t, "listeners: [{websocket: 127.0.0.1:0, origins: ['*']}]\nadmin: 127.0.0.1:0\n")
	b := openBrowser(t)
	b.navigate(page + "?router=" + url.QueryEscape(server.URLs["websocket"]))
	b.shows("#status", "two sessions")
	b.say("bob", "Hello over there")
	b.shows("#alice .chat", "Hello over there")
	if metrics := server.Get("/metrics"); !strings.Contains(metrics, `blindfold_opaque_messages_total{form="transparency",realm="realm1",scheme="cryptobox",type="PUBLISH"} 1`+"\n") {
		t.Error("the message did not go over that router")
	}
	server.Stop()
	b.until(`document.querySelector("#status").className === "bad"`)
}

// What is vendored is what npm has under that version.
func TestVendoredTweetnacl(t *testing.T) {
	content, err := os.ReadFile("../../demo/page/vendor/tweetnacl/nacl-fast.min.js")
	if err != nil {
		t.Fatal(err)
	}
	const published = "3ec535c004aeeb225785d8e93fb33bf99f52e399bd7dfc01969b5629baea5131" // tweetnacl 1.0.3
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != published {
		t.Errorf("nacl-fast.min.js is %x", sum)
	}
	if _, err := os.Stat("../../demo/page/vendor/tweetnacl/LICENSE"); err != nil {
		t.Error(err)
	}
}
