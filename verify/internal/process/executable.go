package process

import (
	"crypto/sha256"
	"debug/elf"
	"debug/gosym"
	"errors"
	"fmt"
	"io"
	"os"
)

// Digest returns the SHA-256 of a file, in hexadecimal.
func Digest(path string) (string, error) {
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

// ErrStripped is an executable without a symbol table.
var ErrStripped = errors.New("it is stripped: what it can do is not known")

// Symbols returns the names in the symbol table and in Go's own table of
// functions, which outlives stripping, and the shared libraries. With ErrStripped
// it returns what is left.
func Symbols(path string) (names, libraries []string, err error) {
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
		return functions(f), libraries, ErrStripped
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
