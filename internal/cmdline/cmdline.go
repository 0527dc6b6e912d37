// Package cmdline words what is wrong with a command line.
package cmdline

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Parse parses args. Its errors name the option in the form that the help shows
// (--name), and suggest the nearest one for an option that does not exist. It
// returns flag.ErrHelp for -h, -help and --help. It prints nothing.
func Parse(f *flag.FlagSet, args []string) error {
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	err := f.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	// Package flag has no typed errors.
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		var known []string
		f.VisitAll(func(o *flag.Flag) { known = append(known, o.Name) })
		return fmt.Errorf("unknown option --%s%s", name, DidYouMean("--", name, known))
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return fmt.Errorf("--%s needs a value", name)
	}
	if strings.HasPrefix(text, "invalid boolean value ") {
		return errors.New(strings.Replace(text, " for -", " for --", 1))
	}
	return errors.New(strings.Replace(text, " for flag -", " for --", 1))
}

// DidYouMean returns "; did you mean PREFIXname?" with the known name nearest to
// the one given, or "" if none is near.
func DidYouMean(prefix, name string, known []string) string {
	if n := nearest(name, known); n != "" {
		return "; did you mean " + prefix + n + "?"
	}
	return ""
}

// nearest returns the known name that has the given one as its beginning, or
// else one that differs from it by at most two typing errors; "" if there is none.
func nearest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		d := distance(name, k)
		if len(name) >= 2 && strings.HasPrefix(k, name) {
			d = 0
		}
		// In a short name, two errors leave nothing of it.
		if d < least && d < len(name)-1 {
			best, least = k, d
		}
	}
	return best
}

// distance is the optimal string alignment distance: how many letters have to be
// inserted, deleted, replaced, or swapped with their neighbour.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := last[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		rows[0], rows[1], rows[2] = last, row, before
	}
	return rows[1][len(b)]
}
