// Package strace records what comes into a process, by means of strace(1), and
// reads the record.
package strace

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// How a system call brings bytes into a process.
type kind uint8

const (
	// into memory, and the record holds them
	intoMemory kind = iota + 1
	// as names, values or messages beside a descriptor; the record holds them
	asValue
	// opens or makes a file
	opensFile
	// maps a file, which is then in memory without being read
	mapsFile
	// runs a program: its command line and environment
	runsProgram
	// from one descriptor to another: harmless where that is a socket or a pipe,
	// since reading from these is recorded
	betweenFiles
	// makes a process, which could leave the record
	makesProcess
	// in a way of which the record does not show the bytes
	hidden
)

// calls are the system calls that are recorded. strace does not mind those that a
// machine does not have. Calls that bring in a few bytes at a time (times, sizes,
// ids, options of sockets, answers of ioctl) are not among them.
var calls = map[string]kind{
	"read": intoMemory, "pread64": intoMemory, "readv": intoMemory, "preadv": intoMemory, "preadv2": intoMemory,
	"recvfrom": intoMemory, "recvmsg": intoMemory, "recvmmsg": intoMemory, "recvmmsg_time64": intoMemory,
	"msgrcv": intoMemory, "mq_timedreceive": intoMemory, "mq_timedreceive_time64": intoMemory,

	"readlink": asValue, "readlinkat": asValue, "getdents": asValue, "getdents64": asValue, "getcwd": asValue,
	"getxattr": asValue, "lgetxattr": asValue, "fgetxattr": asValue, "getxattrat": asValue,
	"listxattr": asValue, "llistxattr": asValue, "flistxattr": asValue, "listxattrat": asValue,
	"accept": asValue, "accept4": asValue, "getpeername": asValue, "getsockname": asValue, "uname": asValue,

	"open": opensFile, "openat": opensFile, "openat2": opensFile, "creat": opensFile, "open_by_handle_at": opensFile, "memfd_create": opensFile,
	"mmap":   mapsFile,
	"execve": runsProgram, "execveat": runsProgram,
	"sendfile": betweenFiles, "splice": betweenFiles, "tee": betweenFiles, "copy_file_range": betweenFiles,
	"clone": makesProcess, "clone3": makesProcess,

	"vmsplice": hidden, "io_submit": hidden, "io_uring_setup": hidden, "io_uring_enter": hidden,
	"process_vm_readv": hidden, "process_vm_writev": hidden, "ptrace": hidden, "pidfd_getfd": hidden,
	"shmat": hidden, "keyctl": hidden, "request_key": hidden, "userfaultfd": hidden, "bpf": hidden,
	"perf_event_open": hidden, "remap_file_pages": hidden,
	// Those of 32-bit programs, which have other names for the calls above.
	"mmap2": hidden, "old_mmap": hidden, "socketcall": hidden, "ipc": hidden, "readdir": hidden, "sendfile64": hidden,
}

// Command returns the command line of a strace that runs what is appended to it,
// and writes what comes in to file: whole, and in hexadecimal.
func Command(file string) []string {
	var names []string
	for name := range calls {
		names = append(names, "?"+name)
	}
	slices.Sort(names)
	return []string{"strace", "-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "33554432",
		"-e", "abbrev=!getdents,getdents64,execve,execveat",
		"-e", "trace=" + strings.Join(names, ","), "-e", "signal=none", "-o", file}
}

// Missing says why strace cannot be used here, or "".
func Missing() string {
	if runtime.GOOS != "linux" {
		return "strace is for Linux"
	}
	if _, err := exec.LookPath("strace"); err != nil {
		return "strace is not installed"
	}
	command := append(Command(os.DevNull), "true")
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Sprintf("strace does not work here: %v: %s", err, strings.TrimSpace(string(out)))
	}
	return ""
}
