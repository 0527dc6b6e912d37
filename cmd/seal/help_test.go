package main

import (
	"bytes"
	"context"
	"flag"
	"regexp"
	"strings"
	"testing"
)

// The help texts are written by hand: each describes every option of its command
// and no other, with its default, in aligned columns.
func TestHelp(t *testing.T) {
	t.Setenv("SEAL_URL", "")
	t.Setenv("SEAL_REALM", "")
	option := regexp.MustCompile(`(?m)^  --([a-z-]+)(?: [A-Z]+)?( +)`)
	for i := range commands {
		c := &commands[i]
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			e := &cli{stdout: &out, stderr: &errs}
			if status := run(context.Background(), []string{c.name, "--help"}, e); status != exitOK || errs.Len() > 0 {
				t.Fatalf("status %d, %s", status, &errs)
			}
			text := out.String()
			described := make(map[string]bool)
			for _, m := range option.FindAllStringSubmatch(text, -1) {
				if m[1] == "exec" { // verify's, which is cut off before the options are parsed
					continue
				}
				described[m[1]] = true
				if e.options.Lookup(m[1]) == nil {
					t.Errorf("--%s is described and does not exist", m[1])
				}
				if len(m[0]) != 21 {
					t.Errorf("--%s is not aligned: %q", m[1], m[0])
				}
			}
			flat := strings.Join(strings.Fields(text), " ")
			e.options.VisitAll(func(f *flag.Flag) {
				if !described[f.Name] {
					t.Errorf("--%s is not described", f.Name)
				}
				switch f.DefValue {
				case "", "false", "0", "0s":
				default:
					if !strings.Contains(flat, "default "+f.DefValue) && !strings.Contains(flat, "or "+f.DefValue+")") {
						t.Errorf("--%s: the default %s is not described", f.Name, f.DefValue)
					}
				}
			})
		})
	}
}

func TestUnknownCommandsAndOptions(t *testing.T) {
	for args, want := range map[string]string{
		"pub x":                          "seal: unknown command \"pub\"; did you mean publish?\nsee: seal --help\n",
		"teleport":                       "seal: unknown command \"teleport\"\nsee: seal --help\n",
		"publish a --keyrng k":           "seal: unknown option --keyrng; did you mean --keyring?\nsee: seal publish --help\n",
		"publish":                        "seal: missing topic\nsee: seal publish --help\n",
		"call --keyring":                 "seal: --keyring needs a value\nsee: seal call --help\n",
		"publish a --auth tiket --clear": "seal: --auth tiket: unknown method; did you mean ticket?\nsee: seal publish --help\n",
	} {
		var out, errs bytes.Buffer
		e := &cli{stdout: &out, stderr: &errs}
		if status := run(context.Background(), strings.Fields(args), e); status != exitUsage || errs.String() != want || out.Len() > 0 {
			t.Errorf("%s: status %d, %q, %q", args, status, errs.String(), out.String())
		}
	}
}
