// Package memorytest keeps secrets in memory of every kind that a program can
// have, for tests that must find them there.
package memorytest

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Kinds are the kinds of memory. That of MemfdSecret cannot be read from outside.
var Kinds = []string{"private", "shared", "/dev/shm", "/dev/zero", "memfd", "no access", "write only", "behind a guard page", MemfdSecret}

// MemfdSecret is memory of memfd_secret(2).
const MemfdSecret = "memfd_secret"

const mask = 0x55

// Mask returns secret masked, so that whoever is handed it does not hold the
// secret itself. Keep takes it so.
func Mask(secret []byte) []byte {
	out := make([]byte, len(secret))
	for i, c := range secret {
		out[i] = c ^ mask
	}
	return out
}

const size = 1 << 20

// Keep maps memory of a kind and writes the secret into it, which is then nowhere
// else. The mapping stays for the life of the process. The error is
// errors.ErrUnsupported where the kernel lacks that kind.
func Keep(kind string, masked []byte) error {
	m, err := mapKind(kind)
	if errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	if err != nil {
		return err
	}
	at := 1000
	if strings.HasPrefix(kind, "behind") {
		at = 9 * os.Getpagesize()
	}
	for i, c := range masked {
		m[at+i] = c ^ mask
	}
	switch kind {
	case "no access":
		return unix.Mprotect(m, unix.PROT_NONE)
	case "write only":
		return unix.Mprotect(m, unix.PROT_WRITE)
	case "behind a guard page":
		const installGuard = 102 // MADV_GUARD_INSTALL, Linux 6.13
		if err := unix.Madvise(m[:os.Getpagesize()], installGuard); !errors.Is(err, unix.EINVAL) {
			return err
		} // else the kernel is older, and the page is like the others
	}
	return nil
}

func mapKind(kind string) ([]byte, error) {
	const access = unix.PROT_READ | unix.PROT_WRITE
	file := func(fd int, err error) ([]byte, error) {
		if err == nil {
			err = unix.Ftruncate(fd, size)
		}
		if err != nil {
			return nil, err
		}
		return unix.Mmap(fd, 0, size, access, unix.MAP_SHARED)
	}
	switch kind {
	case "/dev/shm":
		f, err := os.CreateTemp("/dev/shm", "memorytest")
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return file(int(f.Fd()), os.Remove(f.Name()))
	case "memfd":
		return file(unix.MemfdCreate("memorytest", unix.MFD_CLOEXEC))
	case MemfdSecret:
		return file(unix.MemfdSecret(0))
	case "/dev/zero":
		fd, err := unix.Open("/dev/zero", unix.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		return unix.Mmap(fd, 0, size, access, unix.MAP_PRIVATE)
	case "shared":
		return unix.Mmap(-1, 0, size, access, unix.MAP_ANON|unix.MAP_SHARED)
	}
	return unix.Mmap(-1, 0, size, access, unix.MAP_ANON|unix.MAP_PRIVATE)
}
