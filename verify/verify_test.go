package verify

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

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
			for style := range styles {
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

// Not run is not passed, and counts unless it is optional.
func TestReport(t *testing.T) {
	passAll := func(r *Report) {
		for _, c := range r.Results {
			c.pass("fine")
		}
	}
	for name, c := range map[string]struct {
		change            func(r *Report)
		blind, incomplete bool
	}{
		"all pass":            {passAll, true, false},
		"nothing was done":    {func(*Report) {}, false, true},
		"one fails":           {func(r *Report) { r.Result(Memory).fail("found"); passAll(r) }, false, false},
		"one is not run":      {func(r *Report) { r.Result(Ingress).notRun("no strace"); passAll(r) }, false, true},
		"an optional one":     {func(r *Report) { r.Result(Ingress).Optional = true; r.Result(Ingress).notRun("no strace"); passAll(r) }, true, false},
		"an inapplicable one": {func(r *Report) { r.Result(Memory).inapplicable("needs --pid"); passAll(r) }, true, false},
		"an optional failure": {func(r *Report) { r.Result(Build).Optional = true; r.Result(Build).fail("found"); passAll(r) }, false, false},
		"fails, is not run":   {func(r *Report) { r.Result(Build).fail("found"); r.Result(Build).notRun("stripped"); passAll(r) }, false, false},
	} {
		r := newReport()
		c.change(r)
		r.conclude()
		if r.Blind != c.blind || r.Incomplete() != c.incomplete {
			t.Errorf("%s: blind %v, incomplete %v", name, r.Blind, r.Incomplete())
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

// The memory of a process shows what it has read.
func TestScanProcess(t *testing.T) {
	cat := exec.Command("cat")
	in, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cat.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Skip(err)
	}
	defer func() {
		_ = in.Close()
		_ = cat.Wait()
	}()
	secret := newCanary()
	if _, err := io.WriteString(in, secret); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len(secret))); err != nil {
		t.Fatal(err)
	}
	for want, s := range map[bool]*scanner{
		true:  newScanner(encodings("secret", []byte(secret), true)),
		false: newScanner(encodings("secret", []byte(newCanary()), true)),
	} {
		found := make(finds)
		size, err := scanProcess(cat.Process.Pid, s, found.add)
		if err != nil || size < 100<<10 || (found.of("secret") > 0) != want {
			t.Errorf("%d B, %v, %v", size, found, err)
		}
	}
	if _, err := scanProcess(1<<22+1, newScanner(), func(*pattern) {}); err == nil {
		t.Error("there is no such process")
	}
}

func TestReadable(t *testing.T) {
	for line, want := range map[string]bool{
		"c000000000-c000400000 rw-p 00000000 00:00 0":                        true,
		"00400000-00401000 r--p 00000000 08:01 42    /bin/router":            true,
		"c000400000-c004000000 ---p 00000000 00:00 0":                        false,
		"7ffd0000-7ffd1000 r--p 00000000 00:00 0                 [vvar]":     false,
		"7f0000000000-7f0000001000 rw-s 00000000 00:06 1     /dev/dri/card0": false,
		"": false,
	} {
		if _, _, ok := readable(line); ok != want {
			t.Errorf("%q: %v", line, ok)
		}
	}
}

func TestOptions(t *testing.T) {
	for text, o := range map[string]Options{
		"which router":         {},
		"no check":             {URLs: []string{"ws://x"}, Optional: []string{"memroy"}},
		"executable file":      {Exec: []string{"no-such-router-here"}},
		"has no key with":      {URLs: []string{"ws://127.0.0.1:1"}, Keyring: halfRing(t)},
		"cannot be reached":    {URLs: []string{"ws://127.0.0.1:1"}},
		"the router has ended": {Exec: []string{"false"}},
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
		tg := &target{ctx: context.Background(), metrics: metricsURL(server.URL + word)}
		if tg.metrics != server.URL+path {
			t.Errorf("%q: %s", word, tg.metrics)
		}
		if s, err := tg.state(); (err == nil) != (path == "/metrics") {
			t.Errorf("%q: %v, %v", word, s.metrics, err)
		}
	}
}

// A process that the router has started belongs to it, and so does what that one
// has started.
func TestFamily(t *testing.T) {
	secret := newCanary()
	cmd := exec.Command("sh", "-c", "cat; :") // a shell that starts another process
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	if _, err := io.WriteString(in, secret); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len(secret))); err != nil {
		t.Fatal(err)
	}
	tg := &target{pid: os.Getpid()}
	if family := tg.family(); len(family) != 3 || family[0] != tg.pid || family[1] != cmd.Process.Pid {
		t.Fatalf("%d has %v", tg.pid, family)
	}
	tg.pid = cmd.Process.Pid
	found := make(finds)
	if _, err := tg.scan(newScanner(encodings(clearCanary, []byte(secret), true)), found.add); err != nil {
		t.Fatal(err)
	}
	if found.of(clearCanary) == 0 {
		t.Error("what only the other process has read is not found")
	}
}
