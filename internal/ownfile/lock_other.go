//go:build !unix && !windows

package ownfile

import "os"

// Lock returns a file, made if it does not exist. Here it can't tell whether another
// program has it.
func Lock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
