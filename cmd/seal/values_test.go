package main

import (
	"bytes"
	"flag"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseJSON(t *testing.T) {
	for text, want := range map[string]any{
		`1`: int64(1), `-1`: int64(-1), `9223372036854775807`: int64(math.MaxInt64), `18446744073709551615`: uint64(math.MaxUint64),
		`1.5`: 1.5, `1e3`: 1000.0, `"a"`: "a", `"\u0000AAE="`: []byte{0, 1}, `null`: nil, `true`: true,
		`[1,["\u0000"]]`:           []any{int64(1), []any{[]byte{}}},
		`{"a":{"b":"\u0000/w=="}}`: map[string]any{"a": map[string]any{"b": []byte{255}}},
	} {
		got, err := parseJSON([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `{`, `1 2`, `[1]]`, `"\u0000!"`, `1e999`} {
		if v, err := parseJSON([]byte(text)); err == nil {
			t.Errorf("%s is taken as %#v", text, v)
		}
	}
}

// What is printed as JSON reads back as the same values.
func TestToJSON(t *testing.T) {
	in := []any{int64(1), "text", []byte{0, 255}, map[string]any{"k": []any{nil, true, []byte("x")}}}
	got, err := parseJSON([]byte(compact(in)))
	if err != nil || !reflect.DeepEqual(got, in) {
		t.Errorf("%#v, %v", got, err)
	}
	if got := compact([]any{math.NaN(), math.Inf(1)}); got != `["NaN","+Inf"]` {
		t.Error(got)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü 漢": "plain ü 漢", "tab\t": "tab\t", "a\nb": `a\nb`, "\x1b]0;title\x07": `\x1b]0;title\a`,
		"\u202eevil": `\u202eevil`, "\u009b2J": `\u009b2J`, "\x80": "\ufffd",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

// Options may stand anywhere before "--".
func TestParse(t *testing.T) {
	for line, want := range map[string]string{
		"a --n 1 b":        "1: a b",
		"--n=2 a":          "2: a",
		"a -- --n 1":       "0: a --n 1",
		"-- a -- b":        "0: a -- b",
		"a b -n 3 c -- -n": "3: a b c -n",
		"":                 "0: ",
	} {
		e := &cli{stdout: io.Discard, stderr: io.Discard, command: &commands[0]}
		var n string
		f := e.flags(func(f *flag.FlagSet) { f.StringVar(&n, "n", "0", "") })
		rest, err := e.parse(f, strings.Fields(line))
		if got := n + ": " + strings.Join(rest, " "); err != nil || got != want {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	var stderr bytes.Buffer
	e := &cli{stdout: io.Discard, stderr: &stderr, command: &commands[0]}
	f := e.flags(func(*flag.FlagSet) {})
	_, err := e.parse(f, []string{"a", "--no"})
	if statusOf(err) != exitUsage || stderr.Len() > 0 { // conclude tells it
		t.Errorf("%v, %q", err, stderr.String())
	}
}

func TestCutExec(t *testing.T) {
	before, command := cutExec([]string{"--json", "--exec", "./router", "--exec", "-x"})
	if !slices.Equal(before, []string{"--json"}) || !slices.Equal(command, []string{"./router", "--exec", "-x"}) {
		t.Errorf("%q, %q", before, command)
	}
	if before, command = cutExec([]string{"--json"}); len(before) != 1 || command != nil {
		t.Errorf("%q, %q", before, command)
	}
}

// A bar is drawn anew only where it differs, and wiped in the end; without a
// terminal there is none.
func TestBar(t *testing.T) {
	var out bytes.Buffer
	b := &bar{w: &out}
	b.show("sending", 1, 1000)
	b.show("sending", 2, 1000)
	b.show("sending", 500, 1000)
	b.clear()
	want := "\rsending            [                              ]   0%\x1b[K" +
		"\rsending            [===============               ]  50%\x1b[K\r\x1b[K"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
	none := newBar(&out)
	out.Reset()
	none.show("sending", 1, 1)
	none.clear()
	if out.Len() > 0 {
		t.Errorf("%q", out.String())
	}
}
