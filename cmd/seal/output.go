package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// printer prints events and results. It may be used concurrently.
type printer struct {
	mu   sync.Mutex
	w    io.Writer
	json bool
}

// line is one object of the JSON output.
type line struct {
	Kind        string  `json:"kind"` // event, result, progress, published, call, error
	URI         string  `json:"uri,omitempty"`
	Args        any     `json:"args,omitempty"`
	Kwargs      any     `json:"kwargs,omitempty"`
	Sealed      *bool   `json:"sealed,omitempty"`
	Publication *uint64 `json:"publication,omitempty"`
	Count       int     `json:"count,omitempty"`
	Message     string  `json:"message,omitempty"`

	// Of a message of a scope.
	Sender  string `json:"sender,omitempty"`
	Key     string `json:"key,omitempty"`
	Known   *bool  `json:"contact,omitempty"`
	Time    string `json:"time,omitempty"`
	Missing uint64 `json:"missing,omitempty"`
	First   bool   `json:"first,omitempty"`
	Late    bool   `json:"late,omitempty"`
	Stored  bool   `json:"stored,omitempty"`
}

// origin adds the sender and time of a sealed message, if they are known.
func (l line) origin(o *wamp.Origin) line {
	if o == nil {
		return l
	}
	l.Sender, l.Key, l.Known, l.Time = o.Sender, o.Key, &o.Known, o.Time.UTC().Format(time.RFC3339Nano)
	l.Missing, l.First, l.Late, l.Stored = o.Missing, o.First, o.Late, o.Stored
	return l
}

// payload adds the contents of a payload.
func (l line) payload(args []any, kwargs map[string]any, sealed bool) line {
	if len(args) > 0 {
		l.Args = toJSON(args)
	}
	if len(kwargs) > 0 {
		l.Kwargs = toJSON(kwargs)
	}
	l.Sealed = &sealed
	return l
}

// print writes one line: JSON, or label and values for people.
func (p *printer) print(l line, label string, args []any, kwargs map[string]any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.json {
		return json.NewEncoder(p.w).Encode(l)
	}
	var b strings.Builder
	if label != "" {
		b.WriteString(printable(label))
	}
	text := describe(args, kwargs)
	if label != "" && text != "" {
		b.WriteString(": ")
	}
	b.WriteString(text)
	if l.Sealed != nil && !*l.Sealed {
		b.WriteString("  (in the clear)")
	}
	_, err := fmt.Fprintln(p.w, b.String())
	return err
}

// describe returns values as text for people: strings as they are, others as JSON.
func describe(args []any, kwargs map[string]any) string {
	var words []string
	for _, v := range args {
		words = append(words, describeValue(v))
	}
	if len(kwargs) > 0 {
		words = append(words, compact(kwargs))
	}
	return strings.Join(words, " ")
}

func describeValue(v any) string {
	switch v := v.(type) {
	case string:
		return printable(strings.TrimSuffix(v, "\n"))
	case []byte:
		if utf8.Valid(v) && !bytes.ContainsRune(v, 0) {
			return printable(strings.TrimSuffix(string(v), "\n"))
		}
		return fmt.Sprintf("(%d bytes)", len(v))
	}
	return compact(v)
}

func compact(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(toJSON(v)); err != nil {
		return "(not printable)"
	}
	return printable(strings.TrimSuffix(b.String(), "\n"))
}

// bar is a progress bar, on a terminal only. A nil bar shows nothing.
type bar struct {
	w     io.Writer
	shown string
}

func newBar(w io.Writer) *bar {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return &bar{w: w}
}

// show draws the bar if it has changed.
func (b *bar) show(what string, done, total int) {
	if b == nil || total <= 0 {
		return
	}
	const width = 30
	done = min(done, total)
	text := fmt.Sprintf("%-18s [%-*s] %3d%%", what, width, strings.Repeat("=", width*done/total), 100*done/total)
	if text != b.shown {
		b.shown = text
		fmt.Fprint(b.w, "\r", text, "\x1b[K")
	}
}

// clear removes the bar.
func (b *bar) clear() {
	if b != nil && b.shown != "" {
		b.shown = ""
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
