package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Check is the name of a check.
type Check string

// The checks.
const (
	ByteIdentity    Check = "byte identity"
	NonInterference Check = "non-interference"
	Memory          Check = "memory"
	Residue         Check = "residue"
	Ingress         Check = "ingress"
	Build           Check = "build"
	Refusals        Check = "refusals"
)

// Checks returns all checks, in the order of their numbers.
func Checks() []Check {
	return []Check{ByteIdentity, NonInterference, Memory, Residue, Ingress, Build, Refusals}
}

// Status is the outcome of a check.
type Status string

// The outcomes. A check that was not run never counts as passed.
const (
	Passed Status = "pass"
	Failed Status = "fail"
	NotRun Status = "not run"
)

// Result is what one check found.
type Result struct {
	Number int    `json:"number"`
	Check  Check  `json:"check"`
	Status Status `json:"status"`
	// Optional tells that Target.Optional has the check, or that Target.Only leaves
	// it out.
	Optional bool `json:"optional,omitzero"`
	// Summary is one line, Evidence what it rests on. Neither shows a secret.
	Summary  string   `json:"summary"`
	Evidence []string `json:"evidence,omitempty"`
}

// Verdict is what all checks together say.
type Verdict string

// The verdicts.
const (
	Blind      Verdict = "blind"      // every check was run, and passed
	Incomplete Verdict = "incomplete" // no check failed, and some were not run
	NotBlind   Verdict = "not blind"  // a check failed
)

// Report is what all checks found.
type Report struct {
	// Router says what was tested: its URLs, process and executable.
	Router  []string  `json:"router"`
	Results []*Result `json:"checks"`
	// Ran is how many of the checks were run: those that passed or failed.
	Ran     int     `json:"ran"`
	Verdict Verdict `json:"verdict"`
}

// ErrFailed and ErrIncomplete are what Report.Err wraps.
var (
	ErrFailed     = errors.New("a check failed")
	ErrIncomplete = errors.New("a check was not run")
)

// Err returns nil if each check passed, or was not run and is optional. Otherwise the
// error wraps ErrFailed or ErrIncomplete, and names the checks and their reasons.
func (r *Report) Err() error {
	var failed, missing []string
	for _, c := range r.Results {
		text := fmt.Sprintf("%s: %s", c.Check, c.Summary)
		switch {
		case c.Status == Failed:
			failed = append(failed, text)
		case c.Status == NotRun && !c.Optional:
			missing = append(missing, text)
		}
	}
	switch {
	case failed != nil:
		return fmt.Errorf("%w: %s", ErrFailed, strings.Join(failed, "; "))
	case missing != nil:
		return fmt.Errorf("%w: %s", ErrIncomplete, strings.Join(missing, "; "))
	}
	return nil
}

// String counts, in one line, the checks that were run and those that failed.
func (r *Report) String() string {
	failed, missing := r.named(Failed), r.named(NotRun)
	text := fmt.Sprintf("%d of %d checks run, ", r.Ran, len(r.Results))
	if failed == "" {
		text += "none failed"
	} else {
		text += "FAILED: " + failed
	}
	if missing != "" {
		text += "; not run: " + missing
	}
	return text
}

// named returns the names of the checks with that outcome.
func (r *Report) named(s Status) string {
	var names []string
	for _, c := range r.Results {
		if c.Status == s {
			names = append(names, string(c.Check))
		}
	}
	return strings.Join(names, ", ")
}

// Result returns the result of a check, nil if there is no such check.
func (r *Report) Result(check Check) *Result {
	for _, c := range r.Results {
		if c.Check == check {
			return c
		}
	}
	return nil
}

func newReport(only, optional []Check) *Report {
	r := new(Report)
	for i, name := range Checks() {
		c := &Result{Number: i + 1, Check: name, Status: NotRun, Optional: slices.Contains(optional, name)}
		if len(only) > 0 && !slices.Contains(only, name) {
			c.Optional, c.Summary = true, "not asked for"
		}
		r.Results = append(r.Results, c)
	}
	return r
}

// conclude fills in what all results together say.
func (r *Report) conclude() {
	r.Ran, r.Verdict = 0, Blind
	for _, c := range r.Results {
		switch {
		case c.Status == Failed:
			r.Verdict = NotBlind
		case c.Status == NotRun && r.Verdict == Blind:
			r.Verdict = Incomplete
		}
		if c.Status != NotRun {
			r.Ran++
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

// pass makes the check pass, unless it has failed or something kept it from being
// run.
func (c *Result) pass(format string, args ...any) {
	if c.Status == Failed || c.Summary != "" {
		return
	}
	c.Status, c.Summary = Passed, fmt.Sprintf(format, args...)
}

// notRun says why the check could not be run, as a whole or in part. What has
// failed stays failed. The first reason is the summary.
func (c *Result) notRun(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if c.Status != Failed && c.Summary == "" {
		c.Status, c.Summary = NotRun, text
	}
	c.note("%s", text)
}

// maxEvidence bounds the evidence of a check.
const maxEvidence = 40

// note adds evidence.
func (c *Result) note(format string, args ...any) {
	switch text := fmt.Sprintf(format, args...); {
	case len(c.Evidence) < maxEvidence:
		c.Evidence = append(c.Evidence, text)
	case len(c.Evidence) == maxEvidence:
		c.Evidence = append(c.Evidence, "and more")
	}
}
