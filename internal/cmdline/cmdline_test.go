package cmdline

import (
	"errors"
	"flag"
	"testing"
)

// Package flag words its errors without types: this notices if a new version of
// Go words them in another way.
func TestErrorsNameTheOption(t *testing.T) {
	for args, want := range map[string]string{
		"--keyrng":        "unknown option --keyrng; did you mean --keyring?",
		"-nonsense":       "unknown option --nonsense",
		"--cou":           "unknown option --cou; did you mean --count?",
		"--keyring":       "--keyring needs a value",
		"--count=many":    `invalid value "many" for --count: parse error`,
		"--json=perhaps":  `invalid boolean value "perhaps" for --json: parse error`,
		"--timeout=later": `invalid value "later" for --timeout: parse error`,
	} {
		f := flag.NewFlagSet("", flag.ContinueOnError)
		f.String("keyring", "", "")
		f.Int("count", 0, "")
		f.Bool("json", false, "")
		f.Duration("timeout", 0, "")
		if err := Parse(f, []string{args}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	for _, args := range []string{"-h", "--help"} {
		if err := Parse(flag.NewFlagSet("", flag.ContinueOnError), []string{args}); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"keygen", "subscribe", "publish", "register", "call", "verify", "demo", "version"}
	for name, want := range map[string]string{
		"pub":       "publish",
		"sub":       "subscribe",
		"publsih":   "publish",
		"subcribe":  "subscribe",
		"regsiter":  "register",
		"cal":       "call",
		"verfy":     "verify",
		"keygenn":   "keygen",
		"teleport":  "",
		"x":         "",
		"":          "",
		"--keygen":  "keygen",
		"blindfold": "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
