package verify

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/verify/internal/process"
	"github.com/blindfold-wamp/blindfold/verify/internal/search"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// residue searches the router's metrics, its answers to malformed and refused
// messages, and its memory after the traffic. Its files are searched when it has
// ended (files).
func (t *tester) residue(c *Result) {
	if err := t.provoke(c); err != nil {
		c.fail("%v", err)
		return
	}
	if t.metrics != "" {
		page, err := t.scrape()
		if err != nil {
			c.fail("metrics: %v", err)
			return
		}
		t.scanText(c, "metrics", []byte(page))
	} else {
		c.note("metrics were not searched: their URL is not known")
	}
	t.mu.Lock()
	answers := strings.Join(t.texts, "\n")
	count := len(t.texts)
	frames := t.answers
	t.mu.Unlock()
	if count == 0 {
		c.fail("void: the router answered nothing to what is malformed")
	}
	c.note("%d different texts of ABORT and ERROR", count)
	t.scanText(c, "texts of ABORT and ERROR", []byte(answers))
	t.scanText(c, "all else that came in answer", frames)
	t.dump(c)
}

// scanText searches for everything that was sent: plaintext, ciphertext and keys.
func (t *tester) scanText(c *Result, where string, text []byte) {
	found := make(search.Hits)
	t.everything().Find(text, found.Add)
	for _, what := range found.Except() {
		c.fail("found in %s: %s", where, what)
	}
	c.note("%s: %d B", where, len(text))
}

func (t *tester) everything() *search.Scanner {
	return search.New(t.secrets.sealed(), t.secrets.inClear(), t.sealed)
}

// dump searches the router's memory after the traffic, as one would a core dump, and
// the open files that have no name, which are gone when the router ends.
func (t *tester) dump(c *Result) {
	if t.pid == 0 || runtime.GOOS != "linux" {
		c.note("the memory after the traffic was not searched: the router's process is not known")
		return
	}
	found := make(search.Hits)
	m, err := process.ScanTree(t.pid, search.New(t.secrets.sealed()), found.Add)
	if err != nil {
		c.notRun("memory after the traffic: %v", err)
		return
	}
	unread(c, m)
	for _, what := range found.Except() {
		c.fail("found in the memory after the traffic: %s", what)
	}
	c.note("memory after the traffic: %d MiB", m.Size>>20)
	for _, pid := range process.Tree(t.pid) {
		t.openWithoutName(c, pid)
	}
}

// openWithoutName searches the files without a name that a process has open.
func (t *tester) openWithoutName(c *Result, pid int) {
	s := t.everything()
	for _, f := range process.OpenFiles(pid) {
		if _, err := os.Stat(f.Name); err == nil {
			continue // searched with the others
		}
		found := make(search.Hits)
		if err := s.File(f.Path, found.Add); err != nil {
			c.notRun("%s, which process %d has open: %v", f.Name, pid, err)
		}
		for _, what := range found.Except() {
			c.fail("found in %s, which process %d has open: %s", f.Name, pid, what)
		}
	}
}

// provoke sends what the router has to refuse, with ciphertext and canaries wherever
// they fit, so that whatever it repeats is found.
func (t *tester) provoke(c *Result) error {
	_, content, err := t.sealFor(wamp.FormTransparency, t.base+"residue", true, []any{t.secrets.args}, nil)
	if err != nil {
		return err
	}
	t.sealed = append(append(t.sealed, search.Ciphertext(content)...), search.DoubleEncoded(content)...)
	for _, s := range wamp.Serializers {
		for i, bad := range t.malformed(s, content) {
			if err := t.sendMalformed(s, bad); err != nil {
				return fmt.Errorf("malformed message %d in %s: %w", i, s, err)
			}
		}
	}
	return t.provokeRefusals(content)
}

// malformed returns messages that carry ciphertext, or a canary in the clear,
// and break a rule.
func (t *tester) malformed(s wamp.Serializer, content []byte) (out [][]byte) {
	topic := t.base + "residue"
	binary := codec.BinaryPayload(s, wamp.FormTransparency, content)
	list := codec.BinaryPayload(s, wamp.FormPassthru, content)
	clear, _ := codec.EncodePayload(s, []any{t.secrets.clear}, map[string]any{"canary": t.secrets.clear})
	for _, m := range []wamp.Publish{
		{Payload: clear, Options: wamp.PublishOptions{Attributes: wamp.Attributes{EncAlgo: "cryptobox"}}},
		{Payload: clear, Options: wamp.PublishOptions{Attributes: wamp.Attributes{PPTScheme: "wamp"}}},
		{Payload: binary, Options: wamp.PublishOptions{Attributes: wamp.Attributes{EncAlgo: "rot13"}}},
		{Payload: binary, Options: wamp.PublishOptions{Attributes: wamp.Attributes{EncKey: "k"}}},
		{Payload: binary, Options: wamp.PublishOptions{Attributes: wamp.Attributes{PPTScheme: "wamp"}}},
		{Payload: list, Options: wamp.PublishOptions{Attributes: wamp.Attributes{EncAlgo: "cryptobox"}}},
	} {
		m.Request, m.Topic = 1, topic
		if body, err := codec.Append(nil, s, &m); err == nil {
			out = append(out, body)
		}
	}
	// A message that ends early, and one with more bytes after its end.
	good := wamp.Publish{Request: 1, Topic: topic, Payload: binary, Options: wamp.PublishOptions{Attributes: wamp.Attributes{EncAlgo: "cryptobox"}}}
	body, err := codec.Append(nil, s, &good)
	if err == nil {
		out = append(out, body[:len(body)-2], append(append([]byte(nil), body...), body...))
	}
	return out
}

// sendMalformed sends one such message, and waits until the router has answered
// it, by ABORT or otherwise.
func (t *tester) sendMalformed(s wamp.Serializer, body []byte) error {
	p, err := t.join("mallory", t.urls[0], s)
	if err != nil {
		return err
	}
	defer p.conn.Close()
	p.onFrame = t.addAnswer
	if err := p.sendRaw(body); err != nil {
		return err
	}
	// If the router accepts it silently, the answer to the next request arrives.
	if p.expectNothing() == nil {
		return nil
	}
	for {
		if _, err := p.receive(); err != nil {
			if errors.Is(err, errSilence) {
				return err
			}
			return nil // the connection has ended
		}
	}
}

// provokeRefusals calls a procedure that is not registered, with ciphertext and in
// the clear.
func (t *tester) provokeRefusals(content []byte) error {
	p, err := t.join("mallory", t.urls[0], wamp.JSON)
	if err != nil {
		return err
	}
	p.onFrame = t.addAnswer
	clear, err := codec.EncodePayload(wamp.JSON, []any{t.secrets.clear}, map[string]any{"canary": t.secrets.clear})
	if err != nil {
		return err
	}
	a := wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}
	for _, o := range []opaquePayload{frame(wamp.JSON, wamp.FormTransparency, shortest, a, content), {payload: clear}} {
		if _, err := p.call(t.base+"nobody", o); err != nil {
			return err
		}
		if _, err := p.receive(); err != nil {
			return err
		}
		for _, uri := range []wamp.URI{t.o.RequiresSealed, t.o.Validated} {
			if uri == "" {
				continue
			}
			if _, err := p.publish(uri, o); err != nil {
				return err
			}
			if _, err := p.receive(); err != nil {
				return err
			}
		}
	}
	return p.leave()
}

// files searches the router's logs and data: after its end, if Run has started it.
func (t *tester) files(c *Result) {
	s := t.everything()
	for what, names := range map[string][]string{"log": t.logs, "data": t.data} {
		if len(names) == 0 {
			c.note("%s was not searched: where it is, is not known", what)
		}
		for _, name := range names {
			if err := searchTree(c, s, what, name); err != nil {
				c.notRun("%s: %v", what, err)
			}
		}
	}
	t.otherFiles(c, s)
	c.pass("neither payload, ciphertext nor key in answers, metrics, logs, data and memory, as far as given")
}

// otherFiles searches the files that the router opened outside of its data.
func (t *tester) otherFiles(c *Result, s *search.Scanner) {
	searched, gone := 0, 0
	for _, name := range t.opened {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			gone++
			continue
		case err != nil || !info.Mode().IsRegular() || info.Size() > maxFile:
			continue // the check of ingress reports it
		case slices.ContainsFunc(slices.Concat(t.logs, t.data), func(root string) bool { return within(root, name) }):
			continue
		}
		found := make(search.Hits)
		if err := s.File(name, found.Add); err != nil {
			c.notRun("%v", err)
		}
		for _, secret := range found.Except() {
			c.fail("found in a file that the router opened: %s", secret)
		}
		searched++
	}
	if len(t.opened) > 0 {
		c.note("other files that the router opened: %d searched, %d are gone", searched, gone)
	}
}

// within reports whether a file is root, or is below it.
func within(root, name string) bool {
	rel, err := filepath.Rel(root, name)
	return err == nil && filepath.IsLocal(rel)
}

// searchTree scans a file, or all files below a folder.
func searchTree(c *Result, s *search.Scanner, what, root string) error {
	files, total := 0, int64(0)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		found := make(search.Hits)
		n, err := s.Reader(f, found.Add)
		for _, secret := range found.Except() {
			c.fail("found in the router's %s: %s", what, secret)
		}
		files++
		total += n
		return err
	})
	c.note("%s: %d files, %d B", what, files, total)
	return err
}
