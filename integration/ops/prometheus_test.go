package ops

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

	"go.yaml.in/yaml/v3"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const deployPrometheus = "../../deploy/prometheus/"

func TestPromtoolAcceptsTheRules(t *testing.T) {
	promtool := testenv.Tool(t, "promtool", "prometheus")
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "--lint=all", "--lint-fatal", "blindfold.rules.yml"},
		{"test", "rules", "blindfold.rules.test.yml"},
		{"check", "rules", "--lint=all", "--lint-fatal", "blindfold-cluster.rules.yml"},
		{"test", "rules", "blindfold-cluster.rules.test.yml"},
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
	program := testenv.Tool(t, "prometheus", "prometheus")
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
	cmd.Stderr = &routertest.LogWriter{T: t}
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
listeners: [{websocket: 127.0.0.1:0}, {rawsocket: 127.0.0.1:0}%s]
admin: %s
limits: {sessions: 60, hello: 60s, queue: 8MiB, backpressure_timeout: 100ms, write_timeout: 300ms, message: 16MiB}
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
	*routertest.World
	server *routertest.Process
	prom   *promServer
	admin  string
	more   string // listeners
}

// everyday is what sessions do when nothing is wrong: opaque messages in both
// forms, some clear ones, calls and events.
func (o *operated) everyday(rounds int, stop func() bool) {
	alice := o.Join("Alice", "websocket", wamp.CBOR)
	bob := o.Join("Bob", "rawsocket", wamp.CBOR)
	bob.Subscribe("com.app.news", wamp.MatchExact)
	registration := bob.Register("com.app.add", wamp.RegisterOptions{})
	for n := 0; n < rounds || stop != nil && !stop(); n++ {
		for _, form := range wamp.Forms {
			for range 20 {
				a, payload := alice.Opaque(form, make([]byte, 200))
				alice.Publish("com.app.news", a, payload)
				routertest.Expect[*wamp.Published](alice)
				routertest.Expect[*wamp.Event](bob)
			}
		}
		if n%2 == 0 {
			alice.Publish("com.app.news", wamp.Attributes{}, alice.Clear("hello"))
			routertest.Expect[*wamp.Published](alice)
			routertest.Expect[*wamp.Event](bob)
		}
		a, payload := alice.Opaque(wamp.FormTransparency, []byte("a sealed argument"))
		alice.Call("com.app.add", a, payload)
		invocation := routertest.Expect[*wamp.Invocation](bob)
		if invocation.Registration != registration {
			o.T.Errorf("registration %d, want %d", invocation.Registration, registration)
		}
		yield := &wamp.Yield{Request: invocation.Request}
		yield.Options.Attributes, yield.Payload = bob.Opaque(wamp.FormTransparency, []byte("a sealed result"))
		bob.Send(yield)
		routertest.Expect[*wamp.Result](alice)
		time.Sleep(20 * time.Millisecond) // a load, not a race
	}
	_ = alice.Conn.Close()
	_ = bob.Conn.Close()
}

// What an operator looks at works: panels of the dashboard show something, no
// alert fires while nothing is wrong, and each one fires when its cause is there.
func TestPrometheusSeesTheRouter(t *testing.T) {
	testenv.SkipSlow(t, "a minute and a half")
	text, err := os.ReadFile(deployPrometheus + "blindfold.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	o := &operated{World: &routertest.World{T: t}, admin: freeAddress(t)}
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
			if rule.Alert != "" && causes[rule.Alert] == nil {
				t.Errorf("nothing here causes %s", rule.Alert)
			}
		}
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			cause := causes[rule.Alert]
			if cause == nil || rule.Alert == "BlindfoldDown" || rule.Alert == "BlindfoldRestarting" || rule.Alert == "BlindfoldFileDescriptors" || rule.Alert == "BlindfoldCertificateExpires" {
				continue // these end the server, and so come last
			}
			o.fires(rule.Alert, cause)
		}
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Record != "" && len(o.prom.values(rule.Record)) == 0 {
				t.Errorf("%s has no value", rule.Record)
			}
		}
	}
	o.panels()
	for _, alert := range []string{"BlindfoldCertificateExpires", "BlindfoldFileDescriptors", "BlindfoldRestarting", "BlindfoldDown"} {
		o.fires(alert, causes[alert])
	}
}

func (o *operated) fires(alert string, cause func()) {
	o.T.Helper()
	began := time.Now()
	cause()
	o.prom.until(alert+" fires", func() bool { return o.prom.firing()[alert] })
	o.T.Logf("%s fires after %v", alert, time.Since(began).Round(time.Millisecond))
}

// start starts the server with at most so many file descriptors.
func (o *operated) start(descriptors int) {
	o.T.Helper()
	o.server = routertest.StartProcess(o.T, fmt.Sprintf(operatorConfig, o.more, o.admin), "/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, descriptors))
	o.URLs = o.server.URLs
}

// attempt opens a connection and sends a HELLO, and does not care what comes of it.
func (o *operated) attempt(realm wamp.URI) transport.Conn {
	p := &routertest.Peer{T: o.T, Name: "Mallory", Conn: o.Dial("rawsocket", wamp.JSON)}
	h := &wamp.Hello{Realm: realm}
	routertest.AllFeatures(h)
	p.Send(h)
	_, _ = p.TryReceive()
	return p.Conn
}

// causes makes what each alert is about happen.
func (o *operated) causes() map[string]func() {
	refused := func(p *routertest.Peer, times int, uri wamp.URI, send func() wamp.ID) {
		for range times {
			p.ExpectError(send(), uri)
		}
	}
	leave := func(peers ...*routertest.Peer) {
		for _, p := range peers {
			_ = p.Conn.Close()
		}
	}
	return map[string]func(){
		"BlindfoldCleartextRefused": func() {
			p := o.Join("Alice", "websocket", wamp.JSON)
			refused(p, 1, "blindfold.error.cleartext_refused", func() wamp.ID {
				return p.Publish("com.secret.plan", wamp.Attributes{}, p.Clear("oops"))
			})
			leave(p)
		},
		"BlindfoldOpaqueShareFell": func() {
			p := o.Join("Alice", "websocket", wamp.JSON)
			defer leave(p)
			for !o.prom.firing()["BlindfoldOpaqueShareFell"] {
				p.Publish("com.app.news", wamp.Attributes{}, p.Clear("hello"))
				routertest.Expect[*wamp.Published](p)
				if len(o.prom.values("blindfold:opaque_share:rate5m offset 60s")) > 0 {
					break // the good times are too long ago
				}
			}
		},
		"BlindfoldOpaqueNotDelivered": func() {
			bob := o.Join("Bob", "rawsocket", wamp.CBOR)
			alice := o.Join("Alice", "websocket", wamp.JSON)
			bob.Subscribe("com.app.mixed", wamp.MatchExact)
			a, payload := alice.Opaque(wamp.FormPassthru, []byte("sealed"))
			alice.Publish("com.app.mixed", a, payload)
			routertest.Expect[*wamp.Published](alice)
			bob.ExpectNothing()
			leave(alice, bob)
		},
		"BlindfoldManyRefusals": func() {
			p := o.Join("Alice", "websocket", wamp.MsgPack)
			// Again and again: the series begins with the first, which is no increase.
			for !o.prom.firing()["BlindfoldManyRefusals"] {
				refused(p, 500, wamp.ErrNoSuchProcedure, func() wamp.ID { return p.Call("com.app.gone", wamp.Attributes{}, p.Clear()) })
			}
			leave(p)
		},
		"BlindfoldProtocolViolations": func() {
			for !o.prom.firing()["BlindfoldProtocolViolations"] {
				p := o.Join("Mallory", "rawsocket", wamp.JSON)
				p.Publish("com.app.news", wamp.Attributes{EncKey: "without enc_algo"}, p.Clear("x"))
				p.ExpectAbort(wamp.ErrProtocolViolation)
			}
		},
		"BlindfoldAuthenticationFailures": func() {
			for range 60 {
				_ = o.attempt("closed").Close()
			}
		},
		"BlindfoldAuthenticatorFailing": func() { // nobody has registered it
			p := &routertest.Peer{T: o.T, Name: "Alice", Conn: o.Dial("rawsocket", wamp.JSON)}
			h := &wamp.Hello{Realm: "asked", Details: wamp.HelloDetails{AuthMethods: []string{"ticket"}, AuthID: "alice"}}
			routertest.AllFeatures(h)
			p.Send(h)
			routertest.Expect[*wamp.Challenge](p)
			p.Send(&wamp.Authenticate{Signature: "a ticket"})
			p.ExpectAbort(wamp.ErrAuthenticationFailed)
			leave(p)
		},
		"BlindfoldFull": func() {
			var conns []transport.Conn
			for range 61 {
				conns = append(conns, o.attempt(routertest.Realm))
			}
			for _, c := range conns {
				_ = c.Close()
			}
		},
		"BlindfoldReloadRefused": func() {
			o.server.Rewrite("realms: [{name: no URI}]\n")
		},
		"BlindfoldCertificateExpires": func() { // within the hour
			dir := o.T.TempDir()
			routertest.SelfSigned(o.T.(*testing.T), dir+"/cert.pem", dir+"/key.pem", "router")
			o.server.Stop()
			o.more = fmt.Sprintf(", {rawsocket: 127.0.0.1:0, tls: {cert: %[1]s/cert.pem, key: %[1]s/key.pem}}", dir)
			o.start(1024)
			o.more = ""
		},
		"BlindfoldFileDescriptors": func() {
			o.server.Stop()
			o.start(80) // a scrape needs some of them
			var conns []transport.Conn
			for range 60 {
				conns = append(conns, o.attempt(routertest.Realm))
			}
			o.T.Cleanup(func() {
				for _, c := range conns {
					_ = c.Close()
				}
			})
		},
		"BlindfoldSlowReceivers": func() {
			deaf := o.Join("Deaf", "rawsocket", wamp.JSON)
			deaf.Subscribe("com.app.flood", wamp.MatchExact)
			p := o.Join("Alice", "websocket", wamp.JSON)
			dropped := `sum(blindfold_dropped_total{reason="queue_full"})`
			for before := o.prom.values(dropped)[0]; o.prom.values(dropped)[0] == before; {
				for range 100 {
					p.Publish("com.app.flood", wamp.Attributes{}, p.Clear(strings.Repeat("x", 50_000)))
					routertest.Expect[*wamp.Published](p)
				}
			}
			leave(deaf, p)
		},
		"BlindfoldRoutingSlow": func() {
			// Converting hundreds of thousands of numbers takes its time.
			bob := o.Join("Bob", "rawsocket", wamp.CBOR)
			bob.Subscribe("com.app.table", wamp.MatchExact)
			alice := o.Join("Alice", "websocket", wamp.JSON)
			numbers := make([]any, 300_000)
			for n := range numbers {
				numbers[n] = int64(n)
			}
			table := alice.Clear(numbers...)
			for !o.prom.firing()["BlindfoldRoutingSlow"] {
				alice.Publish("com.app.table", wamp.Attributes{}, table)
				routertest.Expect[*wamp.Published](alice)
				routertest.Expect[*wamp.Event](bob)
			}
			leave(alice, bob)
		},
		"BlindfoldCallsPileUp": func() {
			bob := o.Join("Bob", "rawsocket", wamp.JSON)
			bob.Register("com.app.stuck", wamp.RegisterOptions{})
			alice := o.Join("Alice", "websocket", wamp.JSON)
			for range 1100 {
				alice.Call("com.app.stuck", wamp.Attributes{}, alice.Clear())
			}
			o.prom.until("the alert fires", func() bool { return o.prom.firing()["BlindfoldCallsPileUp"] })
			leave(alice, bob)
		},
		"BlindfoldRestarting": func() {
			for range 3 {
				started := o.prom.values("process_start_time_seconds")[0]
				o.server.Stop()
				o.start(1024)
				o.prom.until("the restart is seen", func() bool {
					now := o.prom.values("process_start_time_seconds")
					return len(now) > 0 && now[0] != started
				})
			}
		},
		"BlindfoldDown": func() { o.server.Stop() },
	}
}

// panels checks that each query of the dashboard returns something, while
// somebody is there.
func (o *operated) panels() {
	alice := o.Join("Alice", "websocket", wamp.CBOR)
	defer func() { _ = alice.Conn.Close() }()
	o.prom.until("a session is scraped", func() bool { return len(o.prom.values("blindfold_sessions > 0")) > 0 })
	content, err := os.ReadFile("../../deploy/grafana/blindfold.json")
	if err != nil {
		o.T.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title, Type, Description string
			Targets                  []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		o.T.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "5m", "$instance", ".*", "$realm", ".*")
	queries := 0
	for _, panel := range dashboard.Panels {
		if panel.Type == "row" {
			continue
		}
		if panel.Description == "" && len(panel.Targets) == 0 {
			o.T.Errorf("panel %q says nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			queries++
			expr := variables.Replace(target.Expr)
			if strings.Contains(expr, "$") {
				o.T.Errorf("panel %q: an unknown variable in %s", panel.Title, target.Expr)
			}
			if len(o.prom.values(expr)) == 0 {
				o.T.Errorf("panel %q: %s returns nothing", panel.Title, expr)
			}
		}
	}
	if queries < 20 {
		o.T.Errorf("only %d queries in the dashboard", queries)
	}
}
