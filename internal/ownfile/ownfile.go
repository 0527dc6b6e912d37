// Package ownfile reads and writes files that are their owner's alone: keys, and
// what must not be lost half-written.
package ownfile

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// Read returns the content of a file of at most limit bytes. It refuses one
// that its group or others may read or write. (On Windows, where these bits mean
// nothing, it cannot tell.) what names the content in errors.
func Read(what, path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s %s is accessible by other users (mode %04o): chmod 600 it, and replace its keys if anyone may have read them", what, path, mode)
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s %s is over %d bytes", what, path, limit)
	}
	return content, nil
}

// Write writes a file with mode 0600. It replaces an existing file whole or not
// at all, whatever happens meanwhile.
func Write(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600 from the start
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	if err = f.Chmod(0o600); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the renaming last through a power cut, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
