package verify

import (
	"bytes"
	"context"
	"errors"
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

	"github.com/blindfold-wamp/blindfold/wamp"
)

// target is the router under test.
type target struct {
	ctx     context.Context
	o       Options
	report  *Report
	secrets *secrets
	base    wamp.URI // that all URIs of this run begin with
	dir     string   // for what is made for this run

	urls    []string
	metrics string
	process *process // if it was started here
	pid     int
	logs    []string // files
	data    []string

	sent  atomic.Int64
	mu    sync.Mutex
	texts []string // that the router answered with
	// answers are frames in answer to what is malformed or refused, as they came.
	answers []byte
	opened  []string // files that the router opened, as far as that was recorded
	// payloads are patterns of the ciphertext that was sent.
	payloads   []pattern
	remembered int
}

func newTarget(ctx context.Context, o Options, r *Report) (_ *target, err error) {
	t := &target{ctx: ctx, o: o, report: r, urls: o.URLs, metrics: o.Metrics, pid: o.PID,
		logs: slices.Clone(o.Logs), data: slices.Clone(o.Data)}
	t.base = wamp.URI(fmt.Sprintf("com.blindfold.verify.r%x.", random(6)))
	if t.secrets, err = newSecrets(o.Keyring); err != nil {
		return nil, err
	}
	if t.dir, err = os.MkdirTemp("", "seal-verify-"); err != nil {
		return nil, err
	}
	if len(o.Exec) > 0 {
		if err := t.start(); err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

// close ends what was started and removes what was made.
func (t *target) close() {
	t.stop()
	_ = os.RemoveAll(t.dir)
}

// tell keeps a text of the router's.
func (t *target) tell(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text != "" && !slices.Contains(t.texts, text) {
		t.texts = append(t.texts, text)
	}
}

// hear keeps a frame in which only the router's own words can be.
func (t *target) hear(body []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers = append(append(t.answers, body...), '\n')
}

// remember keeps what tells a ciphertext apart: of the first and of some others
// in every form that it could have been left in.
func (t *target) remember(content []byte) {
	if len(bytes.Trim(content, "\x00")) == 0 {
		return // zeros are everywhere
	}
	t.payloads = append(t.payloads, ciphertext(content)...)
	if t.remembered%100 == 0 {
		t.payloads = append(t.payloads, twice(content)...)
	}
	t.remembered++
}

// reach waits until the router takes sessions.
func (t *target) reach() error {
	for deadline := time.Now().Add(4 * patience); ; time.Sleep(50 * time.Millisecond) {
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
		case t.process == nil || time.Now().After(deadline):
			return fmt.Errorf("the router cannot be reached: %w", err)
		case t.process.ended():
			return errors.New("the router has ended: " + t.process.lastWords())
		}
	}
}

// describe says in the report what is tested.
func (t *target) describe() {
	say := func(format string, args ...any) {
		t.report.Router = append(t.report.Router, fmt.Sprintf(format, args...))
	}
	say("%s, realm %s", strings.Join(t.urls, ", "), t.o.Realm)
	if t.pid > 0 {
		say("process %d", t.pid)
	}
	if b := t.binary(); b != "" {
		if sum, err := fileDigest(b); err == nil {
			say("binary %s, SHA-256 %s", t.binaryName(), sum)
		}
	}
}

// binary returns a path at which the router's executable can be read, or "".
func (t *target) binary() string {
	switch {
	case t.o.Binary != "":
		return t.o.Binary
	case t.pid > 0:
		path := fmt.Sprintf("/proc/%d/exe", t.pid)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func (t *target) binaryName() string {
	if name, err := os.Readlink(t.binary()); err == nil && strings.HasPrefix(t.binary(), "/proc/") {
		return name
	}
	return t.binary()
}

// scrape returns the metrics page.
func (t *target) scrape() (string, error) {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
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

// readLogs returns all that is in the logs.
func (t *target) readLogs() ([]byte, error) {
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

// configuration writes a configuration for cmd/router that listens on free
// ports, logs all, and has a rule of each kind.
func (t *target) configuration() (string, error) {
	t.o.Required, t.o.Validated = "com.blindfold.verify.required", "com.blindfold.verify.validated"
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
