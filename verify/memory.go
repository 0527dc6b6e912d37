package verify

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/verify/internal/process"
	"github.com/blindfold-wamp/blindfold/verify/internal/search"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// scans is how often the memory is scanned while traffic runs.
const scans = 3

// memory searches the router's memory for canaries and keys while traffic runs.
func (t *tester) memory(c *Result) {
	switch {
	case t.pid == 0:
		c.notRun("needs the router's process: a command that runs it, or its number")
		return
	case runtime.GOOS != "linux":
		c.notRun("needs Linux's /proc/PID/mem")
		return
	}
	if _, err := process.ScanTree(t.pid, search.New(t.secrets.inClear()), func(*search.Pattern) {}); err != nil {
		c.notRun("cannot be read: %v", err)
		return
	}
	if err := t.scanTraffic(c); err != nil {
		c.fail("%v", err)
	}
	if err := t.scanControl(c); err != nil {
		c.fail("void: %v", err)
	}
	c.pass("neither canary nor key in %d scans; the ciphertext and a clear canary are found", scans)
}

// scanTraffic scans while the same sealed payloads go through the router again and
// again.
func (t *tester) scanTraffic(c *Result) error {
	fixed, err := t.fixed()
	if err != nil {
		return err
	}
	var known []search.Pattern
	for _, o := range fixed {
		known = append(known, search.Ciphertext(o.content)...)
	}
	s := search.New(t.secrets.sealed(), known)
	stop := t.background(fixed)
	defer stop()
	found := make(search.Hits) // in all scans
	for n := range scans {
		before := found.Of(search.CiphertextName)
		m, err := process.ScanTree(t.pid, s, found.Add)
		if err != nil {
			return err
		}
		unread(c, m)
		c.note("scan %d: %d MiB, ciphertext found %d times", n+1, m.Size>>20, found.Of(search.CiphertextName)-before)
		t.o.Progress(Memory, n+1, scans+1)
	}
	for _, what := range found.Except(search.CiphertextName) {
		c.fail("found in the router's memory: %s", what)
	}
	if found.Of(search.CiphertextName) == 0 {
		c.fail("void: not even the ciphertext is found in process %d: is it the router?", t.pid)
	}
	return stop()
}

// unread makes a check not run if there is memory that cannot be read.
func unread(c *Result, m process.Memory) {
	for _, text := range m.Unread {
		if text = "there is memory that cannot be read: " + text; !slices.Contains(c.Evidence, text) {
			c.notRun("%s", text)
		}
	}
}

// fixedKey identifies one payload of a round.
type fixedKey struct {
	serializer wamp.Serializer
	form       wamp.Form
	uri        wamp.URI
	originator bool
}

// fixed seals one payload for each use, with every canary in it.
func (t *tester) fixed() (map[fixedKey]opaquePayload, error) {
	out := make(map[fixedKey]opaquePayload)
	for _, s := range wamp.Serializers {
		for _, form := range wamp.Forms {
			p := t.uris("memory", s, form)
			for _, k := range []fixedKey{
				{s, form, p.topic, true}, {s, form, p.procedure, true}, {s, form, p.procedure, false}, {s, form, p.failure, false},
			} {
				args, kwargs := t.secrets.values(len(out), 500)
				a, content, err := t.sealFor(form, k.uri, k.originator, args, kwargs)
				switch {
				case form == wamp.FormPassthru && k.uri == p.topic:
					a, content, err = t.scoped.seal(k.uri, args, kwargs)
				case form == wamp.FormPassthru && k.uri == p.procedure && k.originator:
					a, content = bundleAttributes, t.scoped.bundle
				}
				if err != nil {
					return nil, err
				}
				out[k] = frame(s, form, shortest, a, content)
			}
		}
	}
	return out, nil
}

// background keeps traffic of fixed payloads going until stop is called. stop
// returns an error if no traffic was left at the end. A pair whose traffic is
// disturbed ends: other checks report what was lost.
func (t *tester) background(fixed map[fixedKey]opaquePayload) (stop func() error) {
	stopping, done := make(chan struct{}), make(chan error, 1)
	next := func(p *pair, uri wamp.URI, originator bool) (opaquePayload, error) {
		return fixed[fixedKey{p.serializer, p.form, uri, originator}], nil
	}
	go func() {
		pairs, err := t.pairs("memory")
		for {
			pairs = slices.DeleteFunc(pairs, func(p *pair) bool {
				if err = p.round(next, func(delivery) {}); err != nil {
					p.close()
				}
				return err != nil
			})
			select {
			case <-stopping:
				leaveAll(pairs)
				done <- nil
				return
			default:
			}
			if len(pairs) == 0 {
				<-stopping
				done <- err
				return
			}
		}
	}()
	return sync.OnceValue(func() error {
		close(stopping)
		return <-done
	})
}

// scanControl sends a canary in the clear, which must be found.
func (t *tester) scanControl(c *Result) error {
	p, err := t.newPair("control", wamp.MsgPack, wamp.FormTransparency, 0)
	if err != nil {
		return err
	}
	defer p.close()
	s := search.New(t.secrets.inClear())
	for deadline := time.Now().Add(2 * timeout); time.Now().Before(deadline); {
		for range 10 {
			if err := t.publishClear(p); err != nil {
				return err
			}
		}
		found := make(search.Hits)
		if _, err := process.ScanTree(t.pid, s, found.Add); err != nil {
			return err
		}
		if n := found.Of(clearCanary); n > 0 {
			c.note("control: a canary sent in the clear is found %d times", n)
			t.o.Progress(Memory, scans+1, scans+1)
			return nil
		}
	}
	return errors.New("a canary sent in the clear is not found: the scan shows nothing")
}
