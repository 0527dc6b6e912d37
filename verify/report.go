package verify

import (
	"fmt"
	"slices"
	"strings"
)

// Status is the outcome of a check.
type Status string

// The outcomes. A check that could not be run is never one that passed.
const (
	Passed Status = "pass"
	Failed Status = "fail"
	NotRun Status = "not run"
)

// The checks, by name, in the order of their numbers.
const (
	Identity     = "byte identity"
	Interference = "non-interference"
	Memory       = "memory"
	Residue      = "residue"
	Ingress      = "ingress"
	Build        = "build"
	Refusals     = "refusals"
)

// Checks lists the names of all checks.
var Checks = []string{Identity, Interference, Memory, Residue, Ingress, Build, Refusals}

// Result is what one check found.
type Result struct {
	Number int    `json:"number"`
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Optional tells that the check does not count if it was not run.
	Optional bool `json:"optional,omitzero"`
	// Summary is one line, Evidence what it rests on. Neither shows a secret.
	Summary  string   `json:"summary"`
	Evidence []string `json:"evidence,omitempty"`
}

// Report is what all checks found.
type Report struct {
	// Router says what was tested: its URLs, process and binary.
	Router  []string  `json:"router"`
	Results []*Result `json:"checks"`
	// Blind tells that all checks hold, apart from those that are optional and
	// were not run.
	Blind bool `json:"blind"`
}

// Incomplete reports whether no check failed and one that is not optional was
// not run.
func (r *Report) Incomplete() bool {
	if r.Blind {
		return false
	}
	return !slices.ContainsFunc(r.Results, func(c *Result) bool { return c.Status == Failed })
}

// Result returns the result of that check.
func (r *Report) Result(check string) *Result {
	for _, c := range r.Results {
		if c.Check == check {
			return c
		}
	}
	return nil
}

func newReport() *Report {
	r := new(Report)
	for i, name := range Checks {
		r.Results = append(r.Results, &Result{Number: i + 1, Check: name, Status: NotRun})
	}
	return r
}

func (r *Report) conclude() {
	r.Blind = true
	for _, c := range r.Results {
		if c.Status == Failed || c.Status == NotRun && !c.Optional {
			r.Blind = false
		}
	}
}

// fail makes the check fail. The first reason is its summary.
func (c *Result) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if c.Status != Failed {
		c.Status, c.Summary = Failed, text
	}
	c.note("%s", text)
}

// pass makes the check pass, unless it has failed or could not be run.
func (c *Result) pass(format string, args ...any) {
	if c.Status == Failed || c.Summary != "" {
		return
	}
	c.Status, c.Summary = Passed, fmt.Sprintf(format, args...)
}

// notRun says why the check could not be run. What has failed has failed.
func (c *Result) notRun(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if c.Status != Failed {
		c.Status, c.Summary = NotRun, text
	}
	c.note("%s", text)
}

// inapplicable says what would have to be given for the check to be run.
func (c *Result) inapplicable(format string, args ...any) {
	c.Optional = true
	c.Summary = fmt.Sprintf(format, args...)
}

const mostEvidence = 40

// note adds evidence.
func (c *Result) note(format string, args ...any) {
	switch text := fmt.Sprintf(format, args...); {
	case len(c.Evidence) < mostEvidence:
		c.Evidence = append(c.Evidence, text)
	case len(c.Evidence) == mostEvidence:
		c.Evidence = append(c.Evidence, "and more")
	}
}

// finds counts what was found where.
type finds map[string]int

func (f finds) add(p *pattern) { f[p.what+", "+p.encoding]++ }

// of returns how often something was found, in whatever encoding.
func (f finds) of(what string) (n int) {
	for key, count := range f {
		if strings.HasPrefix(key, what+", ") {
			n += count
		}
	}
	return n
}

// others returns what was found apart from what is given, in order.
func (f finds) others(what ...string) (out []string) {
	for key, count := range f {
		if !slices.ContainsFunc(what, func(w string) bool { return strings.HasPrefix(key, w+", ") }) {
			out = append(out, fmt.Sprintf("%s (%d times)", key, count))
		}
	}
	slices.Sort(out)
	return out
}
