package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"go.yaml.in/yaml/v3"
)

// tool finds a program, or skips the test; in CI that is a failure.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("%s is missing: apt-get install %s", name, debian)
	default:
		t.Skipf("%s is missing: apt-get install %s", name, debian)
	}
	return path
}

const deployPrometheus = "../deploy/prometheus/"

func TestPromtoolAcceptsTheRules(t *testing.T) {
	promtool := tool(t, "promtool", "prometheus")
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "--lint=all", "--lint-fatal", "blindfold.rules.yml"},
		{"test", "rules", "blindfold.rules.test.yml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = deployPrometheus
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// hurried shortens all that the rules wait for, so that a test need not.
func hurried(t *testing.T, rules string) string {
	t.Helper()
	for pattern, short := range map[string]string{
		`\[(5|15)m\]`: "[20s]", `offset 1h`: "offset 25s", `for: (1|5|10)m`: "for: 0s",
	} {
		changed := regexp.MustCompile(pattern).ReplaceAllString(rules, short)
		if changed == rules {
			t.Fatalf("the rules have nothing like %s: the test has to be adapted", pattern)
		}
		rules = changed
	}
	return rules
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// promServer is a real Prometheus, that scrapes twice a second.
type promServer struct {
	t   *testing.T
	url string
}

func startPrometheus(t *testing.T, target, rules string) *promServer {
	t.Helper()
	program := tool(t, "prometheus", "prometheus")
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rules.yml", rules)
	write("prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [rules.yml]
scrape_configs: [{job_name: blindfold, static_configs: [{targets: ["%s"]}]}]
`, target))
	address := freeAddress(t)
	cmd := exec.Command(program, "--config.file="+dir+"/prometheus.yml", "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+address, "--log.level=warn")
	cmd.Stderr = &testWriter{t: t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	p := &promServer{t: t, url: "http://" + address}
	p.until("Prometheus is ready", func() bool {
		response, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return p
}

// until polls for what Prometheus does in its own time.
func (p *promServer) until(what string, done func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("it never came about that %s", what)
		}
	}
}

func (p *promServer) get(path string, query url.Values, data any) {
	p.t.Helper()
	response, err := http.Get(p.url + path + "?" + query.Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		p.t.Fatal(err)
	}
	if answer.Status != "success" {
		p.t.Fatalf("%s %v: %s", path, query, answer.Error)
	}
}

// values returns what an expression evaluates to, without NaN.
func (p *promServer) values(expr string) (values []string) {
	p.t.Helper()
	var data struct{ Result []struct{ Value [2]any } }
	p.get("/api/v1/query", url.Values{"query": {expr}}, &data)
	for _, r := range data.Result {
		if s := r.Value[1].(string); s != "NaN" {
			values = append(values, s)
		}
	}
	return values
}

// firing lists the alerts that fire.
func (p *promServer) firing() map[string]bool {
	p.t.Helper()
	var data struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	p.get("/api/v1/alerts", nil, &data)
	names := map[string]bool{}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			names[a.Labels["alertname"]] = true
		}
	}
	return names
}

// operatorConfig is that of a server on which everything can go wrong soon.
const operatorConfig = `
listeners: [{websocket: 127.0.0.1:0}, {rawsocket: 127.0.0.1:0}]
admin: %s
limits: {sessions: 60, hello: 60s, queue: 8MiB, slow_down: 100ms, stall: 300ms, message: 16MiB}
realms:
  - name: realm1
    anonymous: {role: anonymous}
    roles: [{name: anonymous, permissions: [{uri: "", match: prefix, allow: [publish, subscribe, call, register]}]}]
    passthrough: {require: [{uri: com.secret., match: prefix}]}
  - name: closed
    roles: []
  - name: asked
    auth: {ticket: {procedure: com.app.authenticate}}
    roles: [{name: anonymous}]
`

// operated is a server under the eyes of Prometheus.
type operated struct {
	*world
	server *process
	prom   *promServer
	admin  string
}

// everyday is what sessions do when nothing is wrong: opaque messages in both
// forms, some clear ones, calls and events.
func (o *operated) everyday(rounds int, stop func() bool) {
	alice := o.join("Alice", "websocket", wamp.CBOR)
	bob := o.join("Bob", "rawsocket", wamp.CBOR)
	bob.subscribe("com.app.news", wamp.MatchExact)
	registration := bob.register("com.app.add", wamp.RegisterOptions{})
	for n := 0; n < rounds || stop != nil && !stop(); n++ {
		for _, form := range wamp.Forms {
			for range 20 {
				a, payload := alice.sealed(form, make([]byte, 200))
				alice.publish("com.app.news", a, payload)
				expect[*wamp.Published](alice)
				expect[*wamp.Event](bob)
			}
		}
		if n%2 == 0 {
			alice.publish("com.app.news", wamp.Attributes{}, alice.clear("hello"))
			expect[*wamp.Published](alice)
			expect[*wamp.Event](bob)
		}
		a, payload := alice.sealed(wamp.FormTransparency, []byte("a sealed argument"))
		alice.call("com.app.add", a, payload)
		invocation := expect[*wamp.Invocation](bob)
		if invocation.Registration != registration {
			o.t.Errorf("registration %d, want %d", invocation.Registration, registration)
		}
		yield := &wamp.Yield{Request: invocation.Request}
		yield.Options.Attributes, yield.Payload = bob.sealed(wamp.FormTransparency, []byte("a sealed result"))
		bob.send(yield)
		expect[*wamp.Result](alice)
		time.Sleep(20 * time.Millisecond) // a load, not a race
	}
	_ = alice.conn.Close()
	_ = bob.conn.Close()
}

// What an operator looks at works: panels of the dashboard show something, no
// alert fires while nothing is wrong, and each one fires when its cause is there.
func TestPrometheusSeesTheRouter(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute and a half")
	}
	text, err := os.ReadFile(deployPrometheus + "blindfold.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	o := &operated{world: &world{t: t}, admin: freeAddress(t)}
	o.start(1024)
	o.prom = startPrometheus(t, o.admin, hurried(t, string(text)))

	// A quiet time, long enough for every rule to have seen something.
	began := time.Now()
	o.everyday(0, func() bool {
		return time.Since(began) > 12*time.Second && len(o.prom.values("blindfold:opaque_share:rate5m")) > 0
	})
	if firing := o.prom.firing(); len(firing) > 0 {
		t.Errorf("nothing is wrong, and %v fire", firing)
	}

	causes := o.causes()
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Record string }
		}
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Record != "" && len(o.prom.values(rule.Record)) == 0 {
				t.Errorf("%s has no value", rule.Record)
			}
			if rule.Alert != "" && causes[rule.Alert] == nil {
				t.Errorf("nothing here causes %s", rule.Alert)
			}
		}
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			cause := causes[rule.Alert]
			if cause == nil || rule.Alert == "BlindfoldDown" || rule.Alert == "BlindfoldRestarting" || rule.Alert == "BlindfoldFileDescriptors" {
				continue // these end the server, and so come last
			}
			o.fires(rule.Alert, cause)
		}
	}
	o.panels()
	for _, alert := range []string{"BlindfoldFileDescriptors", "BlindfoldRestarting", "BlindfoldDown"} {
		o.fires(alert, causes[alert])
	}
}

func (o *operated) fires(alert string, cause func()) {
	o.t.Helper()
	began := time.Now()
	cause()
	o.prom.until(alert+" fires", func() bool { return o.prom.firing()[alert] })
	o.t.Logf("%s fires after %v", alert, time.Since(began).Round(time.Millisecond))
}

// start starts the server with at most so many file descriptors.
func (o *operated) start(descriptors int) {
	o.t.Helper()
	o.server = startServer(o.t, fmt.Sprintf(operatorConfig, o.admin), "/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, descriptors))
	o.urls = o.server.urls
}

// attempt opens a connection and sends a HELLO, and does not care what comes of it.
func (o *operated) attempt(realm wamp.URI) transport.Conn {
	p := &peer{t: o.t, name: "Mallory", conn: o.dial("rawsocket", wamp.JSON)}
	h := &wamp.Hello{Realm: realm}
	allFeatures(h)
	p.send(h)
	_, _ = p.tryReceive()
	return p.conn
}

// causes makes what each alert is about happen.
func (o *operated) causes() map[string]func() {
	refused := func(p *peer, times int, uri wamp.URI, send func() wamp.ID) {
		for range times {
			p.expectError(send(), uri)
		}
	}
	leave := func(peers ...*peer) {
		for _, p := range peers {
			_ = p.conn.Close()
		}
	}
	return map[string]func(){
		"BlindfoldCleartextRefused": func() {
			p := o.join("Alice", "websocket", wamp.JSON)
			refused(p, 1, "blindfold.error.cleartext_refused", func() wamp.ID {
				return p.publish("com.secret.plan", wamp.Attributes{}, p.clear("oops"))
			})
			leave(p)
		},
		"BlindfoldOpaqueShareFell": func() {
			p := o.join("Alice", "websocket", wamp.JSON)
			defer leave(p)
			for !o.prom.firing()["BlindfoldOpaqueShareFell"] {
				p.publish("com.app.news", wamp.Attributes{}, p.clear("hello"))
				expect[*wamp.Published](p)
				if len(o.prom.values("blindfold:opaque_share:rate5m offset 60s")) > 0 {
					break // the good times are too long ago
				}
			}
		},
		"BlindfoldOpaqueNotDelivered": func() {
			bob := o.join("Bob", "rawsocket", wamp.CBOR)
			alice := o.join("Alice", "websocket", wamp.JSON)
			bob.subscribe("com.app.mixed", wamp.MatchExact)
			a, payload := alice.sealed(wamp.FormPassthru, []byte("sealed"))
			alice.publish("com.app.mixed", a, payload)
			expect[*wamp.Published](alice)
			bob.expectNothing()
			leave(alice, bob)
		},
		"BlindfoldManyRefusals": func() {
			p := o.join("Alice", "websocket", wamp.MsgPack)
			refused(p, 2000, wamp.ErrNoSuchProcedure, func() wamp.ID { return p.call("com.app.gone", wamp.Attributes{}, p.clear()) })
			leave(p)
		},
		"BlindfoldProtocolViolations": func() {
			for range 10 {
				p := o.join("Mallory", "rawsocket", wamp.JSON)
				p.publish("com.app.news", wamp.Attributes{EncKey: "without enc_algo"}, p.clear("x"))
				p.expectAbort(wamp.ErrProtocolViolation)
			}
		},
		"BlindfoldAuthenticationFailures": func() {
			for range 60 {
				_ = o.attempt("closed").Close()
			}
		},
		"BlindfoldAuthenticatorFailing": func() { // nobody has registered it
			p := &peer{t: o.t, name: "Alice", conn: o.dial("rawsocket", wamp.JSON)}
			h := &wamp.Hello{Realm: "asked", Details: wamp.HelloDetails{AuthMethods: []string{"ticket"}, AuthID: "alice"}}
			allFeatures(h)
			p.send(h)
			expect[*wamp.Challenge](p)
			p.send(&wamp.Authenticate{Signature: "a ticket"})
			p.expectAbort(wamp.ErrAuthenticationFailed)
			leave(p)
		},
		"BlindfoldFull": func() {
			var conns []transport.Conn
			for range 61 {
				conns = append(conns, o.attempt(realm))
			}
			for _, c := range conns {
				_ = c.Close()
			}
		},
		"BlindfoldFileDescriptors": func() {
			o.server.stop()
			o.start(80) // a scrape needs some of them
			var conns []transport.Conn
			for range 60 {
				conns = append(conns, o.attempt(realm))
			}
			o.t.Cleanup(func() {
				for _, c := range conns {
					_ = c.Close()
				}
			})
		},
		"BlindfoldSlowReceivers": func() {
			deaf := o.join("Deaf", "rawsocket", wamp.JSON)
			deaf.subscribe("com.app.flood", wamp.MatchExact)
			p := o.join("Alice", "websocket", wamp.JSON)
			dropped := `sum(blindfold_dropped_total{reason="queue_full"})`
			for before := o.prom.values(dropped)[0]; o.prom.values(dropped)[0] == before; {
				for range 100 {
					p.publish("com.app.flood", wamp.Attributes{}, p.clear(strings.Repeat("x", 50_000)))
					expect[*wamp.Published](p)
				}
			}
			leave(deaf, p)
		},
		"BlindfoldRoutingSlow": func() {
			// Converting hundreds of thousands of numbers takes its time.
			bob := o.join("Bob", "rawsocket", wamp.CBOR)
			bob.subscribe("com.app.table", wamp.MatchExact)
			alice := o.join("Alice", "websocket", wamp.JSON)
			numbers := make([]any, 300_000)
			for n := range numbers {
				numbers[n] = int64(n)
			}
			table := alice.clear(numbers...)
			for !o.prom.firing()["BlindfoldRoutingSlow"] {
				alice.publish("com.app.table", wamp.Attributes{}, table)
				expect[*wamp.Published](alice)
				expect[*wamp.Event](bob)
			}
			leave(alice, bob)
		},
		"BlindfoldCallsPileUp": func() {
			bob := o.join("Bob", "rawsocket", wamp.JSON)
			bob.register("com.app.stuck", wamp.RegisterOptions{})
			alice := o.join("Alice", "websocket", wamp.JSON)
			for range 1100 {
				alice.call("com.app.stuck", wamp.Attributes{}, alice.clear())
			}
			o.prom.until("the alert fires", func() bool { return o.prom.firing()["BlindfoldCallsPileUp"] })
			leave(alice, bob)
		},
		"BlindfoldRestarting": func() {
			for range 3 {
				started := o.prom.values("process_start_time_seconds")[0]
				o.server.stop()
				o.start(1024)
				o.prom.until("the restart is seen", func() bool {
					now := o.prom.values("process_start_time_seconds")
					return len(now) > 0 && now[0] != started
				})
			}
		},
		"BlindfoldDown": func() { o.server.stop() },
	}
}

// panels checks that each query of the dashboard returns something, while
// somebody is there.
func (o *operated) panels() {
	alice := o.join("Alice", "websocket", wamp.CBOR)
	defer func() { _ = alice.conn.Close() }()
	o.prom.until("a session is scraped", func() bool { return len(o.prom.values("blindfold_sessions > 0")) > 0 })
	content, err := os.ReadFile("../deploy/grafana/blindfold.json")
	if err != nil {
		o.t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title, Type, Description string
			Targets                  []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		o.t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "5m", "$instance", ".*", "$realm", ".*")
	queries := 0
	for _, panel := range dashboard.Panels {
		if panel.Type == "row" {
			continue
		}
		if panel.Description == "" && len(panel.Targets) == 0 {
			o.t.Errorf("panel %q says nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			queries++
			expr := variables.Replace(target.Expr)
			if strings.Contains(expr, "$") {
				o.t.Errorf("panel %q: an unknown variable in %s", panel.Title, target.Expr)
			}
			if len(o.prom.values(expr)) == 0 {
				o.t.Errorf("panel %q: %s returns nothing", panel.Title, expr)
			}
		}
	}
	if queries < 20 {
		o.t.Errorf("only %d queries in the dashboard", queries)
	}
}
