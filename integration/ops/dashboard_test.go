package ops

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const dashboardConfig = `
listeners: [{websocket: 127.0.0.1:0}, {rawsocket: 127.0.0.1:0}]
admin: 127.0.0.1:0
realms:
  - name: realm1
    anonymous: {role: anonymous}
    roles: [{name: anonymous, permissions: [{uri: "", match: prefix, allow: [publish, subscribe, call, register]}]}]
    passthrough: {require: [{uri: com.secret., match: prefix}]}
`

// traffic is what the page is shown, until stop is closed: opaque messages in
// waves, a few clear ones, and now and then something that is refused.
func traffic(w *routertest.World, stop <-chan struct{}) {
	alice := w.Join("Alice", "websocket", wamp.CBOR)
	bob := w.Join("Bob", "rawsocket", wamp.CBOR)
	carol := w.Join("Carol", "websocket", wamp.JSON)
	bob.Subscribe("com.clinic.", wamp.MatchPrefix)
	carol.Subscribe("com.clinic.bed4.pulse", wamp.MatchExact)
	bob.Register("com.clinic.dose", wamp.RegisterOptions{})
	defer func() {
		for _, p := range []*routertest.Peer{alice, bob, carol} {
			_ = p.Conn.Close()
		}
	}()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for range 1 + (n/40)%4 {
			a, payload := alice.Opaque(wamp.FormTransparency, []byte(strings.Repeat("sealed ", 20+n%30)))
			alice.Publish("com.clinic.bed4.pulse", a, payload) // Carol, who speaks JSON, does not get it
			routertest.Expect[*wamp.Published](alice)
			routertest.Expect[*wamp.Event](bob)
		}
		if n%3 == 0 {
			alice.Publish("com.clinic.menu", wamp.Attributes{}, alice.Clear(canary))
			routertest.Expect[*wamp.Published](alice)
			routertest.Expect[*wamp.Event](bob)
		}
		if n%5 == 0 {
			a, payload := alice.Opaque(wamp.FormPassthru, []byte("a sealed question"))
			alice.Call("com.clinic.dose", a, payload)
			yield := &wamp.Yield{Request: routertest.Expect[*wamp.Invocation](bob).Request}
			yield.Options.Attributes, yield.Payload = bob.Opaque(wamp.FormPassthru, []byte("a sealed answer"))
			bob.Send(yield)
			routertest.Expect[*wamp.Result](alice)
		}
		if n%60 == 30 {
			carol.ExpectError(carol.Publish("com.secret.plan", wamp.Attributes{}, carol.Clear(canary)), "blindfold.error.cleartext_refused")
		}
		if n%25 == 10 {
			carol.ExpectError(carol.Call("com.clinic.gone", wamp.Attributes{}, carol.Clear()), wamp.ErrNoSuchProcedure)
		}
	}
}

// canary stands in clear payloads, and must be seen nowhere.
const canary = "yellow-canary-4711"

// The page of the admin address shows what passes, in any light and on any
// screen, and shows no content.
func TestDashboardInABrowser(t *testing.T) {
	b := openBrowser(t)
	server := routertest.StartProcess(t, dashboardConfig)
	w := &routertest.World{T: t, URLs: server.URLs}
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { traffic(w, stop) })
	defer func() {
		close(stop)
		running.Wait()
	}()

	b.navigate(server.URLs["admin"] + "/")
	b.until(`document.querySelector("#messages-chart path.edge.opaque")?.getAttribute("d")?.split("L").length > 4`)
	b.until(`document.querySelectorAll("#envelopes tr[data-outcome=routed] .redacted").length > 0`)
	b.until(`document.querySelectorAll("#envelopes tr[data-outcome=skipped]").length > 0`)
	b.until(`[...document.querySelectorAll("#envelopes .tag.clear")].length > 0`)
	b.until(`document.querySelector("#reasons").innerText.includes("cleartext")`)
	for selector, want := range map[string][]string{
		"#kinds":     {"websocket, cbor", "rawsocket, cbor", "websocket, json"},
		"#reasons":   {"no target", "conversion (event skipped)"},
		"#envelopes": {"com.clinic.bed4.pulse", "enc_algo: cryptobox", "sha256 "},
		"#status":    {"taking sessions"},
	} {
		text := b.text(selector)
		for _, s := range want {
			if !strings.Contains(text, s) {
				t.Errorf("%s shows no %q:\n%s", selector, s, text)
			}
		}
	}
	if share := b.text("#share"); !strings.HasSuffix(share, " %") {
		t.Errorf("the opaque share is %q", share)
	}
	if pause := os.Getenv("PICTURES_AFTER"); pause != "" {
		d, err := time.ParseDuration(pause)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(d)
	}
	b.inEveryLook("dashboard", "h1", "#share", "#share-note", ".tag.opaque", ".tag.clear", "tr span.refused", ".legend li", "td .sub", "#status", "th")
	if strings.Contains(evaluate[string](b, "document.documentElement.outerHTML"), canary) {
		t.Error("the page shows the content of a payload")
	}
	if body := server.Get("/envelopes"); strings.Contains(body, canary) || !strings.Contains(body, `"sha256"`) {
		t.Errorf("/envelopes: %.200s", body)
	}
	b.onlyFrom(strings.TrimPrefix(server.URLs["admin"], "http://"))
}

// A name of the web that resolves to this machine gets nothing.
func TestAdminAddressAnswersToItsOwnNameOnly(t *testing.T) {
	server := routertest.StartProcess(t, routertest.Config)
	client := http.Client{Timeout: routertest.Timeout}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{"/": 421, "/envelopes": 421, "/loglevel": 421, "/metrics": 421, "/healthz": 200, "/readyz": 200} {
		request, err := http.NewRequest("GET", server.URLs["admin"]+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "evil.example"
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, response.StatusCode, want)
		}
	}
}
