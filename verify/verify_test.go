package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every style is legal, carries the same binary, and differs from what a router
// writes that decodes and encodes again, in at least one style of each kind.
func TestFraming(t *testing.T) {
	for _, s := range wamp.Serializers {
		for _, form := range wamp.Forms {
			a := wamp.Attributes{EncAlgo: "cryptobox"}
			if form == wamp.FormPassthru {
				a = wamp.Attributes{PPTScheme: "wamp"}
			}
			differ := 0
			for style := range encodingStyles {
				for _, size := range []int{0, 1, 40, 70_000} {
					content := random(size)
					o := frame(s, form, style, a, content)
					body, err := codec.Append(nil, s, &wamp.Publish{Request: 1, Topic: "com.x", Payload: o.payload, Options: wamp.PublishOptions{Attributes: a}})
					if err != nil {
						t.Fatal(err)
					}
					m, err := codec.NewDecoder().Decode(s, body)
					if err != nil {
						t.Fatalf("%s, %s, style %d: %v", s, form, style, err)
					}
					p := m.(*wamp.Publish).Payload
					if got, ok := codec.Binary(&p); !ok || string(got) != string(content) || p.Digest() != o.payload.Digest() {
						t.Errorf("%s, %s, style %d, %d B: another binary", s, form, style, size)
					}
					if plain := codec.BinaryPayload(s, form, content); plain.Digest() != o.payload.Digest() {
						differ++
					}
				}
			}
			if differ == 0 {
				t.Errorf("%s, %s: whoever writes anew is not noticed", s, form)
			}
		}
	}
}

// A check that was not run has not passed: the verdict says so, and the error, unless
// it is optional.
func TestReport(t *testing.T) {
	passAll := func(r *Report) {
		for _, c := range r.Results {
			c.pass("fine")
		}
	}
	for name, c := range map[string]struct {
		only, optional []Check
		change         func(r *Report)
		ran            int
		verdict        Verdict
		err            error
		text           string
	}{
		"all pass":         {nil, nil, passAll, 7, Blind, nil, "7 of 7 checks run, none failed"},
		"nothing was done": {nil, nil, func(*Report) {}, 0, Incomplete, ErrIncomplete, "0 of 7 checks run, none failed; not run: byte identity"},
		"one fails": {nil, nil, func(r *Report) { r.Result(Memory).fail("found"); passAll(r) },
			7, NotBlind, ErrFailed, "7 of 7 checks run, FAILED: memory"},
		"one is not run": {nil, nil, func(r *Report) { r.Result(Ingress).notRun("no strace"); passAll(r) },
			6, Incomplete, ErrIncomplete, "6 of 7 checks run, none failed; not run: ingress"},
		"an optional one is not run": {nil, []Check{Ingress}, func(r *Report) { r.Result(Ingress).notRun("no strace"); passAll(r) },
			6, Incomplete, nil, "6 of 7 checks run, none failed; not run: ingress"},
		"an optional one fails": {nil, []Check{Build}, func(r *Report) { r.Result(Build).fail("found"); passAll(r) },
			7, NotBlind, ErrFailed, "FAILED: build"},
		"fails, is not run": {nil, nil, func(r *Report) { r.Result(Build).fail("found"); r.Result(Build).notRun("stripped"); passAll(r) },
			7, NotBlind, ErrFailed, "FAILED: build"},
		"is not run, fails": {nil, nil, func(r *Report) { r.Result(Build).notRun("stripped"); r.Result(Build).fail("found"); passAll(r) },
			7, NotBlind, ErrFailed, "FAILED: build"},
		"only one is asked for": {[]Check{Ingress}, nil, func(r *Report) { r.Result(Ingress).pass("fine") },
			1, Incomplete, nil, "1 of 7 checks run, none failed; not run: byte identity"},
		"that one is not run": {[]Check{Ingress}, nil, func(r *Report) { r.Result(Ingress).notRun("no strace") },
			0, Incomplete, ErrIncomplete, "0 of 7"},
	} {
		r := newReport(c.only, c.optional)
		c.change(r)
		r.conclude()
		if r.Ran != c.ran || r.Verdict != c.verdict || !errors.Is(r.Err(), c.err) || !strings.Contains(r.String(), c.text) {
			t.Errorf("%s: %d run, %s, %v, %q", name, r.Ran, r.Verdict, r.Err(), r)
		}
		for _, result := range r.Results {
			if result.Status == Passed && result.Summary != "fine" {
				t.Errorf("%s: %s passed with %q", name, result.Check, result.Summary)
			}
		}
	}
}

func TestSeries(t *testing.T) {
	page := func(n int, route string) string {
		return fmt.Sprintf("# HELP x y\nx_total{realm=\"a b\",reason=\"c\"} %d\nsteady 1\nroute_seconds_sum %s\nroute_seconds_count %d\nroute_seconds_bucket{le=\"1\"} %s\nprocess_cpu_seconds_total %s\ngo_goroutines %s\n",
			n, route, n, route, route, route)
	}
	got := changes(series(page(1, "5")), series(page(4, "9")))
	if len(got) != 2 || got[`x_total{realm="a b",reason="c"}`] != 3 || got["route_seconds_count"] != 3 {
		t.Errorf("%v", got)
	}
}

// Lines are alike if they differ in times, ids and numbers alone.
func TestUsualLine(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		alike bool
	}{
		{`{"time":"2026-01-02T03:04:05.123Z","msg":"opened","session":123,"authid":"X7K"}`, `{"time":"2026-01-02T03:04:06.9Z","msg":"opened","session":9,"authid":"QQ1"}`, true},
		{`time=2026-01-02T03:04:05Z msg=opened authid=X7K n=1`, `time=2026-01-02T03:04:07Z msg=opened authid=Y n=22`, true},
		{`2026-01-02 03:04:05,1 opened 1`, `2026/01/02 03:04:05 opened 2`, true},
		{`{"msg":"opened"}`, `{"msg":"refused"}`, false},
		{`{"msg":"opened","payload":"QUJD"}`, `{"msg":"opened","payload":"REVG"}`, false},
	} {
		if (usualLine(c.a) == usualLine(c.b)) != c.alike {
			t.Errorf("%q and %q", usualLine(c.a), usualLine(c.b))
		}
	}
}

func TestTarget(t *testing.T) {
	for text, o := range map[string]Target{
		"which router":         {},
		"no check":             {URLs: []string{"ws://x"}, Optional: []Check{"memroy"}},
		"executable file":      {Command: []string{"no-such-router-here"}},
		"has no key with":      {URLs: []string{"ws://127.0.0.1:1"}, Keyring: halfRing(t)},
		"cannot be reached":    {URLs: []string{"ws://127.0.0.1:1"}},
		"the router has ended": {Command: []string{"false"}},
	} {
		o.Realm = "realm1"
		_, err := Run(context.Background(), o)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// halfRing is a keyring of one side.
func halfRing(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "k.json")
	content := `{"format": "blindfold-keyring", "version": 1, "keys": [{"prefix": "",
		"originator": {"private": "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="},
		"responder": {"public": "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="}}]}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A page without metrics shows nothing, and is not taken for metrics that stay
// the same.
func TestMetricsMustBeThere(t *testing.T) {
	page := "blindfold_messages_total 3\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			_, _ = io.WriteString(w, page)
		} else {
			_, _ = io.WriteString(w, "<!doctype html>\n<p>Hello all\n")
		}
	}))
	defer server.Close()
	for word, path := range map[string]string{"": "/metrics", "/": "/metrics", "/metrics": "/metrics", "/m": "/m"} {
		tg := &tester{ctx: context.Background(), metrics: metricsURL(server.URL + word)}
		if tg.metrics != server.URL+path {
			t.Errorf("%q: %s", word, tg.metrics)
		}
		if s, err := tg.state(); (err == nil) != (path == "/metrics") {
			t.Errorf("%q: %v, %v", word, s.metrics, err)
		}
	}
}
