package verify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/verify/internal/process"
	"github.com/blindfold-wamp/blindfold/verify/internal/search"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// tester is one run of the checks, and what is known of the router.
type tester struct {
	ctx     context.Context
	o       Target
	report  *Report
	secrets *secrets
	scoped  *scoped
	base    wamp.URI // of all URIs of this run, but for those that have rules
	dir     string   // for the files of this run

	urls    []string
	metrics string
	router  *routerProcess // if Run has started it
	pid     int
	logs    []string // files
	data    []string

	sent  atomic.Int64
	mu    sync.Mutex
	texts []string // in which the router said no
	// answers are the frames that answered what is malformed or refused.
	answers []byte
	opened  []string         // files that the router opened, as far as that was recorded
	sealed  []search.Pattern // of the ciphertext that was sent
	seals   int              // payloads in it
}

func newTester(ctx context.Context, o Target, r *Report) (_ *tester, err error) {
	t := &tester{ctx: ctx, o: o, report: r, urls: o.URLs, metrics: o.Metrics, pid: o.PID,
		logs: slices.Clone(o.Logs), data: slices.Clone(o.Data)}
	t.base = wamp.URI(fmt.Sprintf("com.blindfold.verify.r%x.", random(6)))
	if t.secrets, err = newSecrets(o.Keyring); err != nil {
		return nil, err
	}
	if t.scoped, err = newScoped(o.Realm, t.base); err != nil {
		return nil, err
	}
	t.secrets.keys = append(t.secrets.keys, t.scoped.secrets...)
	if t.dir, err = os.MkdirTemp("", "blindfold-verify-"); err != nil {
		return nil, err
	}
	if len(o.Command) > 0 {
		if err := t.start(); err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

// close ends the router, if Run has started it, and removes the files of this run.
func (t *tester) close() {
	t.stop()
	_ = os.RemoveAll(t.dir)
}

// addText keeps a text of the router's.
func (t *tester) addText(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text != "" && !slices.Contains(t.texts, text) {
		t.texts = append(t.texts, text)
	}
}

// addAnswer keeps a frame that the router has made itself.
func (t *tester) addAnswer(body []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers = append(append(t.answers, body...), '\n')
}

// addSealed keeps the patterns of a ciphertext that is sent: those of one in a
// hundred also encoded twice.
func (t *tester) addSealed(content []byte) {
	if len(bytes.Trim(content, "\x00")) == 0 {
		return // zeros are everywhere
	}
	t.sealed = append(t.sealed, search.Ciphertext(content)...)
	if t.seals%100 == 0 {
		t.sealed = append(t.sealed, search.DoubleEncoded(content)...)
	}
	t.seals++
}

// awaitRouter waits until the router takes sessions at all of its URLs.
func (t *tester) awaitRouter() error {
	for deadline := time.Now().Add(4 * timeout); ; time.Sleep(50 * time.Millisecond) {
		var err error
		for _, url := range t.urls {
			var p *peer
			if p, err = t.join("alice", url, wamp.JSON); err != nil {
				break
			}
			_ = p.leave()
		}
		switch {
		case err == nil:
			return nil
		case t.ctx.Err() != nil:
			return t.ctx.Err()
		case t.router == nil || time.Now().After(deadline):
			return fmt.Errorf("the router cannot be reached: %w", err)
		case t.router.ended():
			return t.router.endedError()
		}
	}
}

// describe says in the report what is tested.
func (t *tester) describe() {
	say := func(format string, args ...any) {
		t.report.Router = append(t.report.Router, fmt.Sprintf(format, args...))
	}
	say("%s, realm %s", strings.Join(t.urls, ", "), t.o.Realm)
	if t.pid > 0 {
		say("process %d", t.pid)
	}
	if b := t.binary(); b != "" {
		if sum, err := process.Digest(b); err == nil {
			say("binary %s, SHA-256 %s", t.binaryName(), sum)
		}
	}
}

// binary returns a path at which the router's executable can be read, or "".
func (t *tester) binary() string {
	switch {
	case t.o.Binary != "":
		return t.o.Binary
	case t.pid > 0:
		path := process.Executable(t.pid)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func (t *tester) binaryName() string {
	if name, err := os.Readlink(t.binary()); err == nil && strings.HasPrefix(t.binary(), "/proc/") {
		return name
	}
	return t.binary()
}

// scrape returns the metrics page.
func (t *tester) scrape() (string, error) {
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.metrics, nil)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", t.metrics, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	return string(body), err
}

// readLogs returns the content of all logs.
func (t *tester) readLogs() ([]byte, error) {
	var all []byte
	for _, name := range t.logs {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, content...)
	}
	return all, nil
}

// configuration writes a configuration for cmd/router, which listens on free
// ports, logs at the level debug, and has a rule of each kind.
func (t *tester) configuration() (string, error) {
	t.o.RequiresSealed, t.o.Validated = "com.blindfold.verify.required", "com.blindfold.verify.validated"
	schema := filepath.Join(t.dir, "schema.json")
	if err := os.WriteFile(schema, []byte(`{"properties": {"args": {"maxItems": 0}}}`+"\n"), 0o600); err != nil {
		return "", err
	}
	file := filepath.Join(t.dir, "router.yaml")
	return file, os.WriteFile(file, fmt.Appendf(nil, `listeners:
  - websocket: 127.0.0.1:0
  - rawsocket: 127.0.0.1:0
admin: 127.0.0.1:0
log: {level: debug, format: json}
realms:
  - name: %s
    anonymous: {role: anonymous}
    roles:
      - name: anonymous
        permissions:
          - {uri: "", match: prefix, allow: [publish, subscribe, call, register]}
    passthrough:
      conversion: refuse
      require:
        - {uri: com.blindfold.verify.required, match: prefix}
    validation:
      - {uri: com.blindfold.verify.validated, match: exact, schema: %s, opaque: refuse}
`, t.o.Realm, schema), 0o600)
}
