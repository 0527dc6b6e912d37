// Package testenv decides which tests run.
//
// "go test ./..." skips what takes long, and what needs programs that are not
// installed. With BLINDFOLD_TESTS=all, which "make test-all" and CI set, slow tests
// run and a missing program is a failure, so that nothing is left out unnoticed.
package testenv

import (
	"cmp"
	"os"
	"os/exec"
	"testing"
)

// All is whether every test must run.
func All() bool { return os.Getenv("BLINDFOLD_TESTS") == "all" }

// SkipSlow skips the test unless every test must run. It says how long it takes.
func SkipSlow(t testing.TB, takes string) {
	t.Helper()
	if !All() {
		t.Skipf("takes %s; BLINDFOLD_TESTS=all runs it", takes)
	}
}

// SkipMissing skips the test because something is not installed; it fails if every
// test must run.
func SkipMissing(t testing.TB, what string) {
	t.Helper()
	if All() {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Tool returns the path of a program. If there is none, it calls SkipMissing with
// the Debian package that has it.
func Tool(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		SkipMissing(t, name+" is missing: apt-get install "+debian)
	}
	return path
}

// Python returns the interpreter with Autobahn|Python: BLINDFOLD_PYTHON, or the one
// of Debian's packages.
func Python() string {
	return cmp.Or(os.Getenv("BLINDFOLD_PYTHON"), "/usr/bin/python3")
}
