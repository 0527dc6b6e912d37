package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// pages serves the pages and modules that browsers load.
func pages(t testing.TB) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir("peers")))
	mux.Handle("/wampy/", http.StripPrefix("/wampy/", http.FileServer(http.Dir(modules+"/wampy/dist"))))
	mux.Handle("/autobahn/", http.StripPrefix("/autobahn/", http.FileServer(http.Dir(modules+"/autobahn-browser"))))
	mux.Handle("/seal/", http.StripPrefix("/seal/", http.FileServer(http.Dir(modules+"/@blindfold/seal/dist"))))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// openTab opens a page in a real browser of its own.
func openTab(t testing.TB, address string) context.Context {
	t.Helper()
	program := testenv.Tool(t, "chromium", "chromium")
	limited, stop := context.WithTimeout(context.Background(), 5*patience)
	allocator, free := chromedp.NewExecAllocator(limited, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("no-proxy-server", true))...)
	tab, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(tab); err != nil {
			t.Errorf("the browser ended with: %v", err)
		}
		free()
		stop()
	})
	routertest.NoError(t, chromedp.Do(tab, chromedp.Navigate(address)))
	return tab
}

// until waits until a JavaScript expression is true.
func until(t testing.TB, tab context.Context, expression string) {
	t.Helper()
	if _, err := chromedp.Run(tab, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(patience))); err != nil {
		t.Fatalf("never true: %s: %v", expression, err)
	}
}

// evaluate returns what a JavaScript expression evaluates to.
func evaluate[T any](tab context.Context, expression string) (T, error) {
	return chromedp.Run(tab, chromedp.Evaluate[T](expression))
}

// await returns what the promise that a JavaScript expression evaluates to is kept with.
func await[T any](tab context.Context, expression string) (T, error) {
	return chromedp.Run(tab, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// inBrowser is a peer in a browser: peers/browser.html.
func inBrowser(t *testing.T, server *httptest.Server, client string, s setup) *peer {
	t.Helper()
	keyring, err := os.ReadFile(s.file)
	routertest.NoError(t, err)
	query := url.Values{"url": {s.url}, "serializer": {s.serializer.String()}, "form": {s.form}, "name": {s.name}, "client": {client}}
	tab := openTab(t, server.URL+"/browser.html?"+query.Encode())
	until(t, tab, "window.loaded === true")
	p := newPeer(t, s.name)
	var turn sync.Mutex // one command at a time
	run := func(expression string) {
		turn.Lock()
		defer turn.Unlock()
		if _, err := evaluate[any](tab, expression); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	text, err := json.Marshal(string(keyring))
	routertest.NoError(t, err)
	run(fmt.Sprintf("void start(%s)", text))
	p.order = func(line string) { run(fmt.Sprintf("order(%q)", line)) }
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			turn.Lock()
			lines, err := evaluate[[]string](tab, "take()")
			turn.Unlock()
			if err != nil {
				p.end(err)
				return
			}
			for _, line := range lines {
				p.hear(line)
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
	return p
}
