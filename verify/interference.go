package verify

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// variant is what is sent in place of a sealed payload. It has the same length.
type variant struct {
	name   string
	opens  bool
	change func(content []byte) []byte
}

var variants = []variant{
	{"genuine ciphertext", true, func(b []byte) []byte { return b }},
	{"random bytes", false, func(b []byte) []byte { return random(len(b)) }},
	{"flipped bits", false, func(b []byte) []byte {
		out := slices.Clone(b)
		for i := 0; i < len(out); i += max(1, len(out)/8) {
			out[i] ^= 1 << (i % 8)
		}
		return out
	}},
	{"zeros", false, func(b []byte) []byte { return make([]byte, len(b)) }},
}

// roundsOfVariant is how many rounds each combination does in each variant.
const roundsOfVariant = 4

// observed is all that can be seen of a router while it forwards one variant.
type observed struct {
	routed  []string       // what came to whom
	metrics map[string]int // by series: how much it changed
	log     []string       // lines without what always differs
}

// interference sends the same traffic with other bytes in the payloads. A router
// that does not look into them treats it in the same way.
func (t *tester) interference(c *Result) {
	var first *observed
	for i, v := range variants {
		o, err := t.observe(fmt.Sprintf("variant%d", i), v, first)
		if err != nil {
			c.fail("%s: %v", v.name, err)
			return
		}
		if i == 0 {
			first = o
			c.note("%d payloads routed; %d metrics changed; %d lines logged", len(o.routed), len(o.metrics), len(o.log))
		} else {
			compareObserved(c, v.name, first, o)
		}
		t.o.Progress(NonInterference, i+1, len(variants))
	}
	if t.metrics == "" {
		c.note("metrics were not compared: their URL is not known")
	}
	if len(t.logs) == 0 {
		c.note("logs were not compared: where they are, is not known")
	}
	c.pass("genuine, random, flipped and zeroed payloads are treated alike; only the receiver objects")
}

func compareObserved(c *Result, name string, first, o *observed) {
	if !slices.Equal(first.routed, o.routed) {
		c.fail("%s are routed differently than genuine ciphertext", name)
		for i := range max(len(first.routed), len(o.routed)) {
			if a, b := at(first.routed, i), at(o.routed, i); a != b {
				c.note("%s, message %d: %s in place of %s", name, i+1, b, a)
				break
			}
		}
	}
	if !maps.Equal(first.metrics, o.metrics) {
		c.fail("%s are counted differently than genuine ciphertext", name)
		for _, series := range slices.Sorted(maps.Keys(first.metrics)) {
			if first.metrics[series] != o.metrics[series] {
				c.note("%s: %s", name, series)
			}
		}
		for _, series := range slices.Sorted(maps.Keys(o.metrics)) {
			if _, ok := first.metrics[series]; !ok {
				c.note("%s: %s, which stayed the same before", name, series)
			}
		}
	}
	if !slices.Equal(first.log, o.log) {
		c.fail("%s are logged differently than genuine ciphertext: %d lines and %d", name, len(o.log), len(first.log))
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}

// observe sends all combinations in one variant. It waits for what a router writes
// late, until that is as much as in first.
func (t *tester) observe(tag string, v variant, first *observed) (*observed, error) {
	before, err := t.state()
	if err != nil {
		return nil, err
	}
	pairs, err := t.pairs(tag)
	if err != nil {
		return nil, err
	}
	o := &observed{}
	for _, p := range pairs {
		if err = t.observePair(p, v, o); err != nil {
			break
		}
	}
	leaveAll(pairs)
	var other *unexpectedError
	switch {
	case first != nil && (errors.As(err, &other) || errors.Is(err, errSilence)):
		// This, too, is compared with genuine ciphertext.
		o.routed = append(o.routed, err.Error())
	case err != nil:
		return nil, err
	}
	return o, t.settle(o, before, first)
}

// observePair sends one combination in one variant.
func (t *tester) observePair(p *pair, v variant, o *observed) error {
	n := 0
	next := func(p *pair, uri wamp.URI, originator bool) (opaquePayload, error) {
		n++
		size := 50 * n
		if n == 1 {
			size = large
		}
		args, kwargs := t.secrets.values(n, size)
		a, content, err := t.sealFor(p.form, uri, originator, args, kwargs)
		if err != nil {
			return opaquePayload{}, err
		}
		content = v.change(content)
		t.addSealed(content)
		return frame(p.serializer, p.form, shortest, a, content), nil
	}
	var broken error
	show := func(h delivery) {
		err := t.opens(p, h)
		switch {
		case v.opens && err != nil:
			broken = fmt.Errorf("%s: %w", h.kind, err)
		case !v.opens && err == nil:
			broken = fmt.Errorf("%s: what cannot be genuine is opened", h.kind)
		}
		o.routed = append(o.routed, fmt.Sprintf("%s, %s: %d B, %+v", p.name(), h.kind, h.got.Size(), h.attributes))
	}
	for range roundsOfVariant {
		if err := p.round(next, show); err != nil {
			return err
		}
	}
	return broken
}

// state is what the router shows of itself at one moment.
type state struct {
	metrics map[string]string
	log     []string
}

func (t *tester) state() (s state, err error) {
	if t.metrics != "" {
		page, err := t.scrape()
		if err != nil {
			return s, err
		}
		if s.metrics = series(page); len(s.metrics) == 0 {
			return s, fmt.Errorf("void: there are no metrics at %s", t.metrics)
		}
	}
	content, err := t.readLogs()
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(content)) {
		s.log = append(s.log, usualLine(line))
	}
	return s, nil
}

// settle notes how the router's state has changed, once it no longer changes.
func (t *tester) settle(o *observed, before state, first *observed) error {
	const quiet, enough = 6, 60 // times the pause
	same := 0
	var last *observed
	for range enough {
		now, err := t.state()
		if err != nil {
			return err
		}
		o.metrics, o.log = changes(before.metrics, now.metrics), slices.Clone(now.log[min(len(before.log), len(now.log)):])
		slices.Sort(o.log) // sessions end side by side
		if first != nil && maps.Equal(first.metrics, o.metrics) && slices.Equal(first.log, o.log) {
			return nil
		}
		if last != nil && maps.Equal(last.metrics, o.metrics) && slices.Equal(last.log, o.log) {
			if same++; same == quiet {
				return nil
			}
		} else {
			same = 0
		}
		last = &observed{metrics: o.metrics, log: o.log}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// series returns the samples of a metrics page, apart from those of time and of
// the process, which are never the same twice.
func series(page string) map[string]string {
	out := make(map[string]string)
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at <= 0 || line[0] == '#' || unsteady.MatchString(line[:at]) {
			continue
		}
		if _, err := strconv.ParseFloat(line[at+1:], 64); err == nil { // else it is another kind of page
			out[line[:at]] = line[at+1:]
		}
	}
	return out
}

var unsteady = regexp.MustCompile(`^(go_|process_|promhttp_|scrape_)|_seconds(_sum|_bucket|\{|$)`)

// changes returns the series that changed, and by how much.
func changes(before, now map[string]string) map[string]int {
	out := make(map[string]int)
	for name, value := range now {
		var a, b float64
		_, _ = fmt.Sscan(before[name], &a)
		_, _ = fmt.Sscan(value, &b)
		if a != b {
			out[name] = int(b - a)
		}
	}
	return out
}

var (
	numbers  = regexp.MustCompile(`[0-9]+`)
	authID   = regexp.MustCompile(`("authid":"[^"]*"|authid=\S+)`) // random for anonymous sessions
	lineTime = regexp.MustCompile(`("time":"[^"]*"|time=\S+|\d{4}[-/]\d\d[-/]\d\d[T ][0-9:.,]+(Z|[+-][0-9:]+)?)`)
)

// usualLine returns a line of a log without what differs between sessions: times,
// and numbers such as ids and ports.
func usualLine(line string) string {
	line = lineTime.ReplaceAllString(strings.TrimSpace(line), "T")
	line = authID.ReplaceAllString(line, "A")
	return numbers.ReplaceAllString(line, "N")
}
