package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/cmdline"
	"go.yaml.in/yaml/v3"
)

// value is one value of a configuration file, with its position there. Its readers
// add what is wrong to the file's list of problems, so that one run shows them all.
type value struct {
	file *file
	path string // "realms[0].name"
	node *yaml.Node
}

// file collects what is wrong with a configuration file.
type file struct {
	name     string
	problems []problem // the file is refused
	warnings []problem // the file is accepted
	read     []string  // the files that it names
}

// track returns the path of a file that the configuration names, relative to the
// configuration's own folder, and records that it was read.
func (v value) track(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(v.file.name), path)
	}
	v.file.read = append(v.file.read, path)
	return path
}

// filePath reads the path of a file.
func filePath(key string, dst *string) field {
	return field{key, func(v value) {
		if s, ok := v.scalar("the path of a file"); ok {
			*dst = v.track(s)
		}
	}}
}

// problem is one thing that is wrong. The text names the key and what is expected.
type problem struct {
	line int
	text string
}

// field is one key of a mapping, and the function that reads its value.
type field struct {
	key  string
	read func(v value)
}

// parseYAML reads the one YAML document that a file must be.
func parseYAML(name string, text []byte) (value, error) {
	f := &file{name: name}
	var doc, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	err := documents.Decode(&doc)
	if err == nil {
		if err = documents.Decode(&more); err == nil {
			return value{}, fmt.Errorf("%s:%d: a second YAML document begins here: the file must contain exactly one", name, more.Line)
		}
	}
	if !errors.Is(err, io.EOF) {
		return value{}, fmt.Errorf("%s:%s", name, syntaxError(err))
	}
	root := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1}
	if len(doc.Content) > 0 && doc.Content[0].Tag != "!!null" {
		root = doc.Content[0]
	}
	return value{file: f, node: root}, nil
}

// syntaxError returns the error of package yaml, as "7: text" if it names a line.
func syntaxError(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		return rest
	}
	return " " + text
}

// err returns all problems, one per line, or nil.
func (f *file) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(f.lines(f.problems), "\n"))
}

// lines returns problems in the order of the file, as FILE:LINE: TEXT.
func (f *file) lines(problems []problem) []string {
	slices.SortStableFunc(problems, func(a, b problem) int { return a.line - b.line })
	var out []string
	for _, p := range problems {
		out = append(out, fmt.Sprintf("%s:%d: %s", f.name, p.line, p.text))
	}
	return out
}

// renamed accepts keys of a mapping under their old names, with a warning.
func (v value) renamed(names map[string]string) {
	v = v.resolve()
	if v.node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		name, ok := names[key.Value]
		if !ok {
			continue
		}
		text := fmt.Sprintf("%s.%s is now called %s; the old name will be refused by the next release", v.path, key.Value, name)
		v.file.warnings = append(v.file.warnings, problem{key.Line, text})
		key.Value = name
	}
}

// fail notes a problem with the value.
func (v value) fail(format string, args ...any) {
	v.file.problems = append(v.file.problems, v.problem(format, args...))
}

// warn notes what is accepted, and may not be what is meant.
func (v value) warn(format string, args ...any) {
	v.file.warnings = append(v.file.warnings, v.problem(format, args...))
}

func (v value) problem(format string, args ...any) problem {
	key := v.path
	if key == "" {
		key = "configuration"
	}
	return problem{v.node.Line, key + ": " + fmt.Sprintf(format, args...)}
}

// resolve follows aliases.
func (v value) resolve() value {
	for v.node.Kind == yaml.AliasNode {
		v.node = v.node.Alias
	}
	return v
}

// mapping reads a mapping of the fields given; any other key is a problem.
func (v value) mapping(fields ...field) {
	v = v.resolve()
	if v.node.Kind != yaml.MappingNode {
		v.fail("must be a mapping of %s", keysOf(fields))
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, content := v.node.Content[i], v.node.Content[i+1]
		at := slices.IndexFunc(fields, func(f field) bool { return f.key == key.Value })
		sub := value{file: v.file, path: strings.TrimPrefix(v.path+"."+key.Value, "."), node: content}
		switch {
		case at < 0:
			unknown := sub
			unknown.node = key
			unknown.fail("unknown key; known here: %s%s", keysOf(fields), cmdline.DidYouMean("", key.Value, names(fields)))
		case seen[key.Value]:
			sub.fail("is given twice")
		default:
			seen[key.Value] = true
			fields[at].read(sub)
		}
	}
}

func keysOf(fields []field) string { return strings.Join(names(fields), ", ") }

func names(fields []field) []string {
	return namesOf(fields, func(f *field) string { return f.key })
}

// list reads a sequence.
func (v value) list(each func(v value)) {
	v = v.resolve()
	if v.node.Kind != yaml.SequenceNode {
		v.fail("must be a list")
		return
	}
	for i, n := range v.node.Content {
		each(value{file: v.file, path: fmt.Sprintf("%s[%d]", v.path, i), node: n})
	}
}

// distinct adds a problem for each element of a list whose name is that of an
// element before it. Elements without a name are not compared.
func (v value) distinct(names []string) {
	v = v.resolve()
	for i, name := range names {
		if name != "" && slices.Contains(names[:i], name) {
			value{v.file, fmt.Sprintf("%s[%d]", v.path, i), v.node.Content[i]}.fail("%q is given twice", name)
		}
	}
}

// scalar returns the text of a scalar.
func (v value) scalar(what string) (string, bool) {
	v = v.resolve()
	if v.node.Kind != yaml.ScalarNode || v.node.Tag == "!!null" {
		v.fail("must be %s", what)
		return "", false
	}
	return v.node.Value, true
}

// The following return a field that reads a value of their type into dst.

func text(key string, dst *string) field {
	return field{key, func(v value) {
		if s, ok := v.scalar("a string"); ok {
			*dst = s
		}
	}}
}

func texts(key string, dst *[]string) field {
	return field{key, func(v value) {
		*dst = []string{}
		v.list(func(v value) {
			if s, ok := v.scalar("a string"); ok {
				*dst = append(*dst, s)
			}
		})
	}}
}

func boolean(key string, dst *bool) field {
	return field{key, func(v value) {
		s, ok := v.scalar("true or false")
		if !ok {
			return
		}
		switch s {
		case "true":
			*dst = true
		case "false":
			*dst = false
		default:
			v.fail("must be true or false")
		}
	}}
}

// integer reads a number from least up.
func integer(key string, dst *int, least int) field { return integerTo(key, dst, least, math.MaxInt) }

func integerTo(key string, dst *int, least, most int) field {
	return field{key, func(v value) {
		s, ok := v.scalar("a number")
		if !ok {
			return
		}
		n, err := strconv.Atoi(s)
		switch {
		case err == nil && n >= least && n <= most:
			*dst = n
		case most == math.MaxInt:
			v.fail("must be a whole number of at least %d", least)
		default:
			v.fail("must be a whole number from %d to %d", least, most)
		}
	}}
}

// size reads bytes: a number, or one with KiB or MiB.
func size(key string, dst *int, most int) field {
	return field{key, func(v value) {
		s, ok := v.scalar("a size")
		if !ok {
			return
		}
		unit := 1
		for suffix, n := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
			if rest, has := strings.CutSuffix(s, suffix); has {
				s, unit = strings.TrimSpace(rest), n
			}
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > most/unit {
			v.fail("must be a size in bytes, like 65536, 64KiB or 1MiB, up to %s", sizeText(most))
			return
		}
		*dst = n * unit
	}}
}

func sizeText(n int) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return strconv.Itoa(n>>30) + "GiB"
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "KiB"
	}
	return strconv.Itoa(n)
}

func duration(key string, dst *time.Duration) field {
	return field{key, func(v value) {
		s, ok := v.scalar("a duration")
		if !ok {
			return
		}
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			v.fail("must be a duration like 500ms, 5s or 2m")
			return
		}
		*dst = d
	}}
}

// choice reads one of the names of a set.
func choice[T any](key string, dst *T, names []string, values []T) field {
	return field{key, func(v value) {
		s, ok := v.scalar("one of " + strings.Join(names, ", "))
		if !ok {
			return
		}
		i := slices.Index(names, s)
		if i < 0 {
			v.fail("must be one of %s", strings.Join(names, ", "))
			return
		}
		*dst = values[i]
	}}
}
