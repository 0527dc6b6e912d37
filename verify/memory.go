package verify

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// scans is how often the memory is scanned while traffic runs.
const scans = 3

// memory scans the router's memory, while traffic runs, for canaries and keys.
func (t *target) memory(c *Result) {
	switch {
	case t.pid == 0:
		c.inapplicable("needs the router's process: --pid or --exec")
		return
	case runtime.GOOS != "linux":
		c.notRun("needs Linux's /proc/PID/mem")
		return
	}
	if _, err := t.scan(newScanner(t.secrets.inClear()), func(*pattern) {}); err != nil {
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

// scanTraffic scans while sealed payloads, always the same, go through.
func (t *target) scanTraffic(c *Result) error {
	fixed, err := t.fixed()
	if err != nil {
		return err
	}
	var known []pattern
	for _, o := range fixed {
		known = append(known, ciphertext(o.content)...)
	}
	s := newScanner(t.secrets.sealed(), known)
	halt := t.background(fixed)
	defer halt()
	found := make(finds) // in all scans
	for n := range scans {
		before := found.of(ciphertexts)
		size, err := t.scan(s, found.add)
		if err != nil {
			return err
		}
		c.note("scan %d: %d MiB, ciphertext found %d times", n+1, size>>20, found.of(ciphertexts)-before)
		t.o.Progress(Memory, n+1, scans+1)
	}
	for _, what := range found.others(ciphertexts) {
		c.fail("found in the router's memory: %s", what)
	}
	if found.of(ciphertexts) == 0 {
		c.fail("void: not even the ciphertext is found in process %d: is it the router?", t.pid)
	}
	return halt()
}

// fixedKey is one payload of a round.
type fixedKey struct {
	serializer wamp.Serializer
	form       wamp.Form
	uri        wamp.URI
	originator bool
}

// fixed seals one payload for each use, with every canary in it.
func (t *target) fixed() (map[fixedKey]opaque, error) {
	out := make(map[fixedKey]opaque)
	for _, s := range wamp.Serializers {
		for _, form := range wamp.Forms {
			p := t.uris("memory", s, form)
			for _, k := range []fixedKey{
				{s, form, p.topic, true}, {s, form, p.procedure, true}, {s, form, p.procedure, false}, {s, form, p.failure, false},
			} {
				args, kwargs := t.secrets.values(len(out), 500)
				a, content, err := t.sealed(form, k.uri, k.originator, args, kwargs)
				if err != nil {
					return nil, err
				}
				out[k] = frame(s, form, usual, a, content)
			}
		}
	}
	return out, nil
}

// background keeps traffic of fixed payloads going until halt is called. halt
// returns an error if there was none, in the end, to scan by. A pair whose
// traffic is disturbed gives up: what is lost is for other checks to tell.
func (t *target) background(fixed map[fixedKey]opaque) (halt func() error) {
	stop, done := make(chan struct{}), make(chan error, 1)
	next := func(p *pair, uri wamp.URI, originator bool) (opaque, error) {
		return fixed[fixedKey{p.serializer, p.form, uri, originator}], nil
	}
	go func() {
		pairs, err := t.pairs("memory")
		for {
			pairs = slices.DeleteFunc(pairs, func(p *pair) bool {
				if err = p.round(next, func(hop) {}); err != nil {
					p.close()
				}
				return err != nil
			})
			select {
			case <-stop:
				leaveAll(pairs)
				done <- nil
				return
			default:
			}
			if len(pairs) == 0 {
				<-stop
				done <- err
				return
			}
		}
	}()
	return sync.OnceValue(func() error {
		close(stop)
		return <-done
	})
}

// scanControl sends a canary in the clear, which must be found.
func (t *target) scanControl(c *Result) error {
	p, err := t.newPair("control", wamp.MsgPack, wamp.FormTransparency, 0)
	if err != nil {
		return err
	}
	defer p.close()
	payload, err := codec.EncodePayload(wamp.MsgPack, []any{t.secrets.clear}, nil)
	if err != nil {
		return err
	}
	s := newScanner(t.secrets.inClear())
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); {
		for range 10 {
			if _, err := p.alice.publish(p.topic, opaque{payload: payload}); err != nil {
				return err
			}
			if _, err := p.alice.receive(); err != nil { // PUBLISHED, or a refusal
				return err
			}
		}
		found := make(finds)
		if _, err := t.scan(s, found.add); err != nil {
			return err
		}
		if n := found.of(clearCanary); n > 0 {
			c.note("control: a canary sent in the clear is found %d times", n)
			t.o.Progress(Memory, scans+1, scans+1)
			return nil
		}
	}
	return errors.New("a canary sent in the clear is not found: the scan shows nothing")
}

// scanProcess scans all memory of a process that can be read, and returns its
// size. Memory that is gone when it is its turn is passed over.
func scanProcess(pid int, s *scanner, found func(*pattern)) (size int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, err
	}
	defer mem.Close()
	buf := make([]byte, 4<<20)
	for line := range strings.Lines(string(maps)) {
		start, end, ok := readable(line)
		if !ok {
			continue
		}
		w := &window{s: s, found: found}
		for at := start; at < end; {
			n, err := mem.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
			_, _ = w.Write(buf[:n])
			at += int64(n)
			if n == 0 || err != nil {
				break
			}
		}
		size += w.total
	}
	if size == 0 {
		return 0, errors.New("none of it can be read")
	}
	return size, nil
}

// readable returns the bounds of a mapping, and whether to read it: mappings of
// devices and the kernel's own are left out.
func readable(line string) (start, end int64, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 || fields[1][0] != 'r' {
		return 0, 0, false
	}
	if len(fields) > 5 && (strings.HasPrefix(fields[5], "/dev/") || fields[5] == "[vvar]" || fields[5] == "[vsyscall]") {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	start, err1 := strconv.ParseInt(from, 16, 64)
	end, err2 := strconv.ParseInt(to, 16, 64)
	return start, end, err1 == nil && err2 == nil
}
