package dashboard

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "yellow-canary-4711"

func publication(t testing.TB, opaque bool) *router.Observation {
	t.Helper()
	m := &wamp.Publish{Topic: "com.app.news"}
	if opaque {
		m.Options.EncAlgo, m.Options.EncKey = "cryptobox", "k1"
		m.Payload = codec.BinaryPayload(wamp.CBOR, wamp.FormTransparency, []byte(canary))
	} else {
		var err error
		if m.Payload, err = codec.EncodePayload(wamp.CBOR, []any{canary}, nil); err != nil {
			t.Fatal(err)
		}
	}
	from := &wamp.Peer{Session: 7, AuthID: "alice", AuthRole: "member", Transport: "websocket", Serializer: wamp.CBOR}
	return &router.Observation{
		Kind: router.Routed, Realm: "realm1", Peer: from, Deliveries: 3,
		Routed: &wamp.RoutedMessage{From: from, URI: m.Topic, Message: m},
	}
}

func TestAnEnvelopeShowsNoPayload(t *testing.T) {
	for _, opaque := range []bool{true, false} {
		r := new(Recorder)
		r.Look(0)
		o := publication(t, opaque)
		r.Observe(o)
		seen := r.Look(0)
		if len(seen) != 1 {
			t.Fatalf("%d envelopes", len(seen))
		}
		e := seen[0]
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), canary) || strings.Contains(string(text), "eWVsbG93LWNhbmFyeS00NzEx") {
			t.Errorf("the payload is shown: %s", text)
		}
		digest := o.Routed.Payload().Digest()
		if e.Payload.Opaque != opaque || e.Payload.Size == 0 || e.Payload.SHA256 != hexOf(digest[:]) {
			t.Errorf("payload %+v", e.Payload)
		}
		if e.URI != "com.app.news" || e.Type != "PUBLISH" || e.From.AuthID != "alice" || e.From.Session != 7 || e.Deliveries != 3 || e.Number != 1 {
			t.Errorf("envelope %+v", e)
		}
		if got := len(e.Attributes); opaque != (got == 2) {
			t.Errorf("%d attributes: %v", got, e.Attributes)
		}
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var out strings.Builder
	for _, c := range b {
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}

// While nobody looks, nothing is copied; a look allows a bounded number.
func TestOnlyWhatIsLookedAtIsCopied(t *testing.T) {
	r, o := new(Recorder), publication(t, true)
	for range 1000 {
		r.Observe(o)
	}
	if seen := r.Look(0); len(seen) != 0 {
		t.Errorf("%d envelopes before the first look", len(seen))
	}
	for range 1000 {
		r.Observe(o)
	}
	if seen := r.Look(0); len(seen) != routedPerLook {
		t.Errorf("%d envelopes, want %d", len(seen), routedPerLook)
	}
	// The plenty that was routed does not hide what was refused.
	refused := *o
	refused.Kind, refused.Refusal = router.Refused, &wamp.Refusal{Reason: wamp.ReasonCleartext, Text: "no"}
	r.Observe(&refused)
	seen := r.Look(routedPerLook)
	if len(seen) != 1 || seen[0].Outcome != "refused" || seen[0].Reason != "cleartext" {
		t.Errorf("%+v", seen)
	}
}

func TestTheRingIsBounded(t *testing.T) {
	r, o := new(Recorder), publication(t, true)
	for range 3 * maxEnvelopes {
		r.routed.Store(1)
		r.Observe(o)
	}
	seen := r.Look(0)
	if len(seen) != maxEnvelopes || seen[0].Number != 2*maxEnvelopes+1 || seen[maxEnvelopes-1].Number != 3*maxEnvelopes {
		t.Errorf("%d envelopes, %d to %d", len(seen), seen[0].Number, seen[len(seen)-1].Number)
	}
	if seen := r.Look(3*maxEnvelopes - 2); len(seen) != 2 {
		t.Errorf("%d envelopes after the last but two", len(seen))
	}
	if seen := r.Look(1 << 60); len(seen) != maxEnvelopes {
		t.Errorf("a page that watched the router's predecessor gets %d", len(seen))
	}
}

func TestLongTextsAreCut(t *testing.T) {
	r, o := new(Recorder), publication(t, true)
	o.Routed.Message.(*wamp.Publish).Options.EncKey = strings.Repeat("ü", 1<<16)
	o.Routed.From.AuthID = strings.Repeat("x", 1<<16)
	r.Look(0)
	r.Observe(o)
	text, err := json.Marshal(r.Look(0))
	if err != nil || len(text) > 2048 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// Every kind of observation, whole or not, is no reason to fall.
func TestOddObservations(t *testing.T) {
	r := new(Recorder)
	r.Look(0)
	for _, o := range []router.Observation{
		{Kind: router.SessionOpened, Peer: &wamp.Peer{}}, {Kind: router.Rejected, Refusal: &wamp.Refusal{}},
		{Kind: router.Refused, Refusal: &wamp.Refusal{Reason: wamp.ReasonProtocol}}, {Kind: router.Refused, Routed: &wamp.RoutedMessage{}},
		{Kind: router.Dropped, Peer: &wamp.Peer{AuthID: "bob"}, Routed: &wamp.RoutedMessage{Message: &wamp.Event{}}}, {Kind: router.Routed},
	} {
		r.Observe(&o)
	}
	seen := r.Look(0)
	if len(seen) != 4 {
		t.Fatalf("%d envelopes, want those of messages: 4", len(seen))
	}
	if seen[2].To == nil || seen[2].To.AuthID != "bob" || seen[2].Outcome != "skipped" {
		t.Errorf("%+v", seen[2])
	}
}

func TestConcurrentUse(t *testing.T) {
	r := new(Recorder)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			o := publication(t, true)
			for n := range 2000 {
				r.Observe(o)
				if n%50 == 0 {
					r.Look(0)
				}
			}
		})
	}
	wg.Wait()
	if len(r.Look(0)) == 0 {
		t.Error("nothing was copied")
	}
}

func TestHandler(t *testing.T) {
	h := Handler(new(Recorder))
	for path, contentType := range map[string]string{
		"/": "text/html", "/page/style.css": "text/css", "/page/page.js": "text/javascript",
		"/page/chart.js": "text/javascript", "/page/metrics.js": "text/javascript", "/envelopes": "application/json",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), contentType) || w.Body.Len() == 0 {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	for path, method := range map[string]string{"/nowhere": "GET", "/page/": "GET", "/envelopes": "POST"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code == http.StatusOK {
			t.Errorf("%s %s: %d", method, path, w.Code)
		}
	}
}

// Only under its own names does an address say anything; over TLS the browser has
// compared the name with the certificate.
func TestOwnHost(t *testing.T) {
	h := OwnHost(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), []string{"router.example"})
	for _, c := range []struct {
		host   string
		secure bool
		want   int
	}{
		{"localhost:8082", false, 200}, {"10.0.0.1:8082", false, 200}, {"router.example:8082", false, 200},
		{"evil.example:8082", false, 421}, {"", false, 421}, {"evil.example", true, 200},
	} {
		q := httptest.NewRequest("GET", "/", nil)
		q.Host = c.host
		if c.secure {
			q.TLS = new(tls.ConnectionState)
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, q); w.Code != c.want {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}

// What the router pays while nobody looks.
func BenchmarkObserveUnwatched(b *testing.B) {
	r, o := new(Recorder), publication(b, true)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Observe(o)
		}
	})
}

func TestUnwatchedCostsNoAllocation(t *testing.T) {
	r, o := new(Recorder), publication(t, true)
	if n := testing.AllocsPerRun(1000, func() { r.Observe(o) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
