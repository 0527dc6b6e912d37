package verify

import (
	"os"
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/verify/internal/search"
	"github.com/blindfold-wamp/blindfold/verify/internal/strace"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// prepareIngress sends what ingress must find if its search is worth anything: ciphertext,
// and a canary in the clear.
func (t *tester) prepareIngress(c *Result) {
	p, err := t.newPair("ingress", wamp.MsgPack, wamp.FormTransparency, 0)
	if err != nil {
		c.fail("%v", err)
		return
	}
	defer p.close()
	err = p.round(t.seal, func(d delivery) { t.addSealed(d.sent.content) })
	if err == nil {
		err = t.publishClear(p)
	}
	if err != nil {
		c.fail("%v", err)
	}
}

// publishClear publishes the canary in the clear, and waits for the answer.
func (t *tester) publishClear(p *pair) error {
	payload, err := codec.EncodePayload(p.serializer, []any{t.secrets.clear}, nil)
	if err != nil {
		return err
	}
	if _, err := p.alice.publish(p.topic, opaquePayload{payload: payload}); err != nil {
		return err
	}
	_, err = p.alice.receive() // PUBLISHED, or a refusal
	return err
}

// ingress searches all that the router has read since it was started: sockets,
// files, its command line. What never came in cannot have been seen.
func (t *tester) ingress(c *Result) {
	switch {
	case t.router == nil:
		c.notRun("needs a command that runs the router: what a running one has read is not known any more")
		return
	case t.router.untraced != "":
		c.notRun("%s", t.router.untraced)
		return
	}
	f, err := os.Open(t.router.trace)
	if err != nil {
		c.notRun("%v", err)
		return
	}
	defer f.Close()
	found := make(search.Hits)
	s := search.New(t.secrets.sealed(), t.secrets.inClear(), t.sealed)
	streams := make(map[string]*search.Stream)
	input := func(source string, data []byte) {
		if streams[source] == nil {
			streams[source] = search.NewStream(s, found.Add)
		}
		streams[source].Feed(data)
	}
	record, err := strace.Read(f, input)
	if err != nil {
		c.notRun("the record of system calls: %v", err)
		return
	}
	for _, way := range record.Hidden {
		c.notRun("something came in without being recorded: by %s", way)
	}
	t.openedFiles(c, s, record, found)
	for _, what := range found.Except(search.CiphertextName, clearCanary) {
		c.fail("the router has read %s", what)
	}
	c.note("%d system calls recorded, %d B read, from %d sources", record.Calls, record.Bytes, len(streams))
	c.note("controls: ciphertext found %d times, a canary sent in the clear %d times", found.Of(search.CiphertextName), found.Of(clearCanary))
	if found.Of(search.CiphertextName) == 0 || found.Of(clearCanary) == 0 {
		c.fail("void: what the router must have read is not in the record: the search shows nothing")
	}
	c.pass("of all that the router has read, nothing is plaintext or a key")
	t.o.Progress(Ingress, 1, 1)
}

// maxFile bounds the files that are searched because the router opened them.
const maxFile = 256 << 20

// openedFiles searches the files that the router opened, since it could have
// mapped them into its memory without reading them. One that it has mapped must
// still be there.
func (t *tester) openedFiles(c *Result, s *search.Scanner, record *strace.Record, found search.Hits) {
	searched := 0
	for _, name := range record.Opened {
		mapped := slices.Contains(record.Mapped, name)
		if !mapped && (strings.HasPrefix(name, "/proc/") || strings.HasPrefix(name, "/sys/")) {
			continue // its reads are in the record
		}
		t.opened = append(t.opened, name)
		info, err := os.Stat(name)
		regular := err == nil && info.Mode().IsRegular()
		switch {
		case !regular && mapped:
			c.notRun("%s, which the router had in its memory, cannot be searched any more", name)
			continue
		case !regular, slices.Contains(t.logs, name) && !mapped:
			continue
		case info.Size() > maxFile:
			c.notRun("%s is too large to be searched", name)
			continue
		}
		if err := s.File(name, found.Add); err != nil {
			c.notRun("a file that the router opened: %v", err)
		}
		searched++
	}
	c.note("%d files that the router opened or ran were searched", searched)
}
