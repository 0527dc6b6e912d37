package verify

import (
	"debug/buildinfo"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/verify/internal/process"
)

// decrypting are parts of the names of code that can open a sealed payload: packages
// of Go, this project's own, and libraries in C.
var decrypting = []string{
	"nacl/box", "nacl/secretbox", "salsa20", "cryptobox", "crypto_box", "crypto_secretbox", "libsodium", "tweetnacl",
	"filippo.io/age", "blindfold/scope",
}

func decrypts(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(decrypting, func(part string) bool { return strings.Contains(name, part) })
}

// build looks into the router's executable for code that could decrypt.
func (t *tester) build(c *Result) {
	path := t.binary()
	if path == "" {
		c.notRun("needs the router's executable: a command that runs it, its process, or a file")
		return
	}
	defer t.o.Progress(Build, 1, 1)
	if t.o.Binary != "" && t.pid > 0 {
		t.sameBinary(c)
	}
	provenance(c, path)
	names, libraries, err := process.Symbols(path)
	if err != nil {
		c.notRun("symbols of %s: %v", t.binaryName(), err)
	}
	bad := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !decrypts(name) })
	for i, name := range bad {
		if i == 5 {
			c.note("and %d more", len(bad)-i)
			break
		}
		c.fail("the executable holds %s", name)
	}
	for _, library := range libraries {
		if decrypts(library) {
			c.fail("the executable loads %s", library)
		}
	}
	t.buildOfOthers(c)
	c.note("%d symbols, %d shared libraries: %s", len(names), len(libraries), strings.Join(libraries, " "))
	c.pass("nothing in it can open a sealed payload: %d symbols", len(names))
}

// provenance notes what the executable was built from.
func provenance(c *Result, path string) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		c.notRun("it has no Go build info, so what it was built from is not known: %v", err)
		return
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	switch {
	case revision == "":
		revision = "a revision that is not recorded"
	case settings["vcs.modified"] == "true":
		revision += ", with changes that are not committed"
	}
	c.note("%s %s, by %s, from %s", info.Path, info.Main.Version, info.GoVersion, revision)
	for _, d := range info.Deps {
		if decrypts(d.Path) {
			c.fail("it is built from module %s %s", d.Path, d.Version)
		}
	}
}

// sameBinary checks that the process runs the executable that was given.
func (t *tester) sameBinary(c *Result) {
	running, err := process.Digest(process.Executable(t.pid))
	if err != nil {
		c.notRun("what process %d runs cannot be read: %v", t.pid, err)
		return
	}
	given, err := process.Digest(t.o.Binary)
	if err == nil && given != running {
		c.fail("process %d runs another executable, with SHA-256 %s", t.pid, running)
	}
}

// buildOfOthers looks into the executables of those that the router has started.
func (t *tester) buildOfOthers(c *Result) {
	if t.pid == 0 {
		return
	}
	own, _ := process.Digest(process.Executable(t.pid))
	for _, pid := range process.Tree(t.pid)[1:] {
		path := process.Executable(pid)
		if sum, err := process.Digest(path); err == nil && sum == own {
			continue
		}
		names, libraries, err := process.Symbols(path)
		if !process.Alive(pid) {
			continue
		}
		if at := slices.IndexFunc(append(names, libraries...), decrypts); at >= 0 {
			c.fail("process %d, which the router has started, holds %s", pid, append(names, libraries...)[at])
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			c.notRun("symbols of process %d, which the router has started: %v", pid, err)
		}
	}
}
