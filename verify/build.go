package verify

import (
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"debug/gosym"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// decrypting are parts of names of what can open a sealed payload: packages of
// Go, this project's own, and libraries in C.
var decrypting = []string{
	"nacl/box", "nacl/secretbox", "salsa20", "cryptobox", "crypto_box", "crypto_secretbox", "libsodium", "tweetnacl",
}

func decrypts(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(decrypting, func(part string) bool { return strings.Contains(name, part) })
}

// build looks into the router's executable for code that could decrypt.
func (t *target) build(c *Result) {
	path := t.binary()
	if path == "" {
		c.inapplicable("needs the router's executable: --binary, --pid or --exec")
		return
	}
	defer t.o.Progress(Build, 1, 1)
	if t.o.Binary != "" && t.pid > 0 {
		t.sameBinary(c)
	}
	provenance(c, path)
	names, libraries, err := symbols(path)
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

// sameBinary checks that the process runs the executable that is looked into.
func (t *target) sameBinary(c *Result) {
	running, err := fileDigest(fmt.Sprintf("/proc/%d/exe", t.pid))
	if err != nil {
		c.notRun("what process %d runs cannot be read: %v", t.pid, err)
		return
	}
	given, err := fileDigest(t.o.Binary)
	if err == nil && given != running {
		c.fail("process %d runs another executable, with SHA-256 %s", t.pid, running)
	}
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

var errStripped = errors.New("it is stripped: what it can do is not known")

// symbols returns the names in the symbol table and in Go's own table of
// functions, which outlives stripping, and the shared libraries.
func symbols(path string) (names, libraries []string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if libraries, err = f.ImportedLibraries(); err != nil {
		return nil, nil, err
	}
	table, err := f.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		return functions(f), libraries, errStripped
	}
	if err != nil {
		return nil, nil, err
	}
	imported, _ := f.DynamicSymbols() // none where nothing is linked at run time
	for _, s := range append(table, imported...) {
		names = append(names, s.Name)
	}
	return append(names, functions(f)...), libraries, nil
}

// functions returns the functions in Go's table for stack traces.
func functions(f *elf.File) (names []string) {
	section, text := f.Section(".gopclntab"), f.Section(".text")
	if section == nil || text == nil {
		return nil
	}
	data, err := section.Data()
	if err != nil {
		return nil
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return nil
	}
	for _, fn := range table.Funcs {
		names = append(names, fn.Name)
	}
	return names
}
