package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// arguments are the arguments of a publication or call.
type arguments struct {
	args, kwargs, file string
}

func (a *arguments) add(f *flag.FlagSet) {
	f.StringVar(&a.args, "args", "", "")
	f.StringVar(&a.kwargs, "kwargs", "", "")
	f.StringVar(&a.file, "file", "", "")
}

// values returns the arguments: the texts of the command line, or those of --args
// or --file.
func (a *arguments) values(texts []string, stdin io.Reader) (args []any, kwargs map[string]any, err error) {
	if a.args != "" && a.file != "" || len(texts) > 0 && (a.args != "" || a.file != "") {
		return nil, nil, usageError("give only one of TEXT, --args and --file")
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return nil, nil, usageError("an argument is not UTF-8: pass bytes with --file")
		}
		args = append(args, text)
	}
	if a.args != "" {
		v, err := parseJSON([]byte(a.args))
		var ok bool
		if args, ok = v.([]any); err != nil || !ok {
			return nil, nil, usageError("--args must be a JSON list")
		}
	}
	if a.kwargs != "" {
		v, err := parseJSON([]byte(a.kwargs))
		var ok bool
		if kwargs, ok = v.(map[string]any); err != nil || !ok {
			return nil, nil, usageError("--kwargs must be a JSON object")
		}
	}
	if a.file != "" {
		var content []byte
		if a.file == "-" {
			content, err = io.ReadAll(stdin)
		} else {
			content, err = os.ReadFile(a.file)
		}
		if err != nil {
			return nil, nil, err
		}
		args = []any{content}
	}
	return args, kwargs, nil
}

// parseJSON returns values as WAMP has them: integers stay integers, and a
// string that begins with U+0000 is a binary (WAMP, "Binary support in JSON").
func parseJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	return fromJSON(v)
}

func fromJSON(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i, nil
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return u, nil
		}
		return v.Float64()
	case string:
		if strings.HasPrefix(v, "\x00") {
			return base64.StdEncoding.DecodeString(v[1:])
		}
	case []any:
		for i := range v {
			if v[i], err = fromJSON(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = fromJSON(v[key]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// toJSON returns v in values that package json writes, with binaries as WAMP
// has them. Floats that JSON lacks become strings.
func toJSON(v any) any {
	switch v := v.(type) {
	case []byte:
		return "\x00" + base64.StdEncoding.EncodeToString(v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = toJSON(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key := range v {
			out[key] = toJSON(v[key])
		}
		return out
	}
	return v
}

// printable returns s with everything escaped that could control a terminal: text
// of a peer must not move the cursor or set the title.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t', unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}
