package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// results are what --json writes.
type results struct {
	Machine   machine   `json:"machine"`
	Pairs     int       `json:"pairs,omitempty"`
	Seconds   float64   `json:"seconds_per_run"`
	Targets   []string  `json:"targets,omitempty"`   // the router first
	Yardstick string    `json:"yardstick,omitempty"` // whom the ratios are to
	Cases     []outcome `json:"cases,omitempty"`
	Curves    []plotted `json:"curves,omitempty"`
}

// outcome is what all runs of a case measured, in the order of the pairs.
type outcome struct {
	Name string              `json:"name"`
	Bars bars                `json:"bars"`
	Runs map[string][]sample `json:"runs"`
}

// machine is where it was measured.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Date   string `json:"date"`
}

func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Date: time.Now().UTC().Format(time.DateOnly)}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			m.CPU = strings.Trim(line, " \t:")
		}
	}
	if b, err := exec.Command("uname", "-sr").Output(); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	return m
}

func newResults(o options, targets []*target) *results {
	r := &results{Machine: thisMachine(), Pairs: o.pairs, Seconds: o.length.Seconds()}
	for i, t := range targets {
		r.Targets = append(r.Targets, t.name)
		if i > 0 && (r.Yardstick == "" || t.isNATS() && !targets[slices.Index(r.Targets, r.Yardstick)].isNATS()) {
			r.Yardstick = t.name
		}
	}
	return r
}

// median of what f says of the runs without error; false if there are none.
func median(runs []sample, f func(*sample) float64) (float64, bool) {
	var values []float64
	for i := range runs {
		if runs[i].Error == "" {
			values = append(values, f(&runs[i]))
		}
	}
	return middle(values)
}

func middle(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2, true
}

// ratio is the median of the ratios of the pairs: what disturbs one pair
// disturbs both of its runs.
func (c *outcome) ratio(ours, theirs string, f func(*sample) float64) (float64, bool) {
	a, b := c.Runs[ours], c.Runs[theirs]
	var values []float64
	for i := range min(len(a), len(b)) {
		if a[i].Error == "" && b[i].Error == "" && f(&b[i]) > 0 && f(&a[i]) > 0 {
			values = append(values, f(&a[i])/f(&b[i]))
		}
	}
	return middle(values)
}

// verdict is one bar, and whether it is reached.
type verdict struct {
	text string
	good bool
}

// verdicts are of the bars that can be told from what was measured.
func (r *results) verdicts(c *outcome) (out []verdict) {
	ours := r.Targets[0]
	check := func(name string, bar float64, least bool, f func(*sample) float64) {
		v, ok := c.ratio(ours, r.Yardstick, f)
		if bar == 0 || !ok {
			return
		}
		sign, good := "≤", v <= bar
		if least {
			sign, good = "≥", v >= bar
		}
		out = append(out, verdict{fmt.Sprintf("%s %.2f %s %.1f", name, v, sign, bar), good})
	}
	check("rate", c.Bars.Rate, true, (*sample).rate)
	check("CPU", c.Bars.CPU, false, (*sample).cost)
	check("p99", c.Bars.P99, false, func(s *sample) float64 { return s.P99 })
	if later, ok := median(c.Runs[ours], func(s *sample) float64 { return s.Later }); ok && c.Bars.Bytes > 0 {
		out = append(out, verdict{fmt.Sprintf("%.1f kB ≤ %.0f kB", later/kB, c.Bars.Bytes/kB), later <= c.Bars.Bytes})
	}
	return out
}

// cell says what a target's runs measured.
func cell(runs []sample) string {
	if len(runs) == 0 {
		return "–"
	}
	var lost []string
	for _, s := range runs {
		if s.Error != "" && !slices.Contains(lost, s.Error) {
			lost = append(lost, s.Error)
		}
	}
	get := func(f func(*sample) float64) float64 { v, _ := median(runs, f); return v }
	var parts []string
	if v := get((*sample).rate); v > 0 {
		parts = append(parts, thousands(v)+"/s")
	}
	if v := get((*sample).cost); v > 0 {
		parts = append(parts, fmt.Sprintf("%.2f µs", v))
	}
	if v := get((*sample).calls); v > 0 {
		parts = append(parts, fmt.Sprintf("%.2g syscalls", v))
	}
	if v := get(func(s *sample) float64 { return s.P99 }); v > 0 {
		parts = append(parts, fmt.Sprintf("p50 %.0f p99 %.0f µs", get(func(s *sample) float64 { return s.P50 }), v))
	}
	if v := get(func(s *sample) float64 { return s.Later }); v != 0 {
		parts = append(parts, fmt.Sprintf("%.1f kB each (fresh %.1f)", v/kB, get(func(s *sample) float64 { return s.Fresh })/kB))
	}
	for _, text := range lost {
		parts = append(parts, "("+text+")")
	}
	return strings.Join(parts, ", ")
}

// thousands writes a number to three digits, in groups.
func thousands(v float64) string {
	scale := 1.0
	for v/scale >= 1000 {
		scale *= 10
	}
	return grouped(int64(v/scale+0.5) * int64(scale))
}

// grouped writes 1234567 as 1,234,567.
func grouped(v int64) string {
	n := strconv.FormatInt(v, 10)
	for i := len(n) - 3; i > 0; i -= 3 {
		n = n[:i] + "," + n[i:]
	}
	return n
}

func (r *results) title(w io.Writer) {
	fmt.Fprintf(w, "%s, %d cores, %s, %s; %d pairs of %.1f s; rates, server CPU of each delivery or call, latencies: medians; ratios to %s: medians of the pairs'\n",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go, r.Pairs, r.Seconds, r.Yardstick)
}

// row prints what a case came to.
func (r *results) row(w io.Writer, c *outcome) {
	fmt.Fprintln(w, c.Name)
	for _, name := range r.Targets {
		fmt.Fprintf(w, "    %-10s %s\n", name, cell(c.Runs[name]))
	}
	for _, v := range r.verdicts(c) {
		mark := "reached"
		if !v.good {
			mark = "MISSED"
		}
		fmt.Fprintf(w, "    %-10s %s\n", mark, v.text)
	}
}

// table writes the cases as a table in Markdown.
func (r *results) table(w io.Writer) {
	fmt.Fprintf(w, "%s, %d cores, %s, %s, %s: medians of %d paired runs of %.1f s.\n\n", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go, r.Machine.Date, r.Pairs, r.Seconds)
	fmt.Fprintf(w, "| case | %s | bars, as ratios to %s |\n|---%s|---|\n", strings.Join(r.Targets, " | "), r.Yardstick, strings.Repeat("|---", len(r.Targets)))
	for i := range r.Cases {
		c := &r.Cases[i]
		fmt.Fprintf(w, "| %s |", c.Name)
		for _, name := range r.Targets {
			fmt.Fprintf(w, " %s |", cell(c.Runs[name]))
		}
		var marks []string
		for _, v := range r.verdicts(c) {
			text := v.text + " ✓"
			if !v.good {
				text = "**" + v.text + " ✗**"
			}
			marks = append(marks, text)
		}
		fmt.Fprintf(w, " %s |\n", strings.Join(marks, "; "))
	}
}

// save writes the files that were asked for.
func (r *results) save(o options, w io.Writer) error {
	var err error
	if o.json != "" {
		b, e := json.MarshalIndent(r, "", "  ")
		err = errors.Join(err, e, os.WriteFile(o.json, append(b, '\n'), 0o644))
	}
	if o.markdown != "" {
		var b strings.Builder
		if len(r.Cases) > 0 {
			r.table(&b)
		}
		if len(r.Curves) > 0 {
			r.curveTables(&b)
		}
		if o.markdown == "-" {
			_, e := io.WriteString(w, b.String())
			err = errors.Join(err, e)
		} else {
			err = errors.Join(err, os.WriteFile(o.markdown, []byte(b.String()), 0o644))
		}
	}
	if o.plots != "" {
		err = errors.Join(err, r.draw(o.plots))
	}
	return err
}

// show prints what was measured earlier.
func show(_ context.Context, o options, w io.Writer) error {
	b, err := os.ReadFile(o.from)
	if err != nil {
		return err
	}
	r := new(results)
	if err := json.Unmarshal(b, r); err != nil {
		return err
	}
	if o.markdown == "" && len(r.Cases) > 0 {
		r.title(w)
		for i := range r.Cases {
			r.row(w, &r.Cases[i])
		}
	}
	return r.save(o, w)
}
