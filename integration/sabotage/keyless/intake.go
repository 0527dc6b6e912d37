//go:build sabotage && linux

package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/internal/memorytest"
)

// takeIn takes in a key in the way that SABOTAGE_BY names, in hexadecimal. It gets
// it masked, in SABOTAGE_SECRET, and first puts it where it then takes it from.
func takeIn() rig.Sabotage {
	masked, err := hex.DecodeString(os.Getenv("SABOTAGE_SECRET"))
	rig.Check(err)
	way := ways[os.Getenv("SABOTAGE_BY")]
	if way == nil {
		rig.Check(fmt.Errorf("SABOTAGE_BY: unknown way %q", os.Getenv("SABOTAGE_BY")))
	}
	secret := hex.EncodeToString(memorytest.Mask(masked)) // masked twice, it is itself
	got, err := way(secret)
	rig.Check(err)
	if got != secret {
		rig.Check(fmt.Errorf("it got %d bytes, not the key", len(got)))
	}
	for _, d := range dirs {
		rig.Check(os.RemoveAll(d))
	}
	return rig.Sabotage{}
}

// ways in which bytes come into a process.
var ways = map[string]func(secret string) (string, error){
	"readlink":             byReadlink,
	"getxattr":             byAttribute,
	"getdents":             byFileName,
	"msgrcv":               byMessageQueue,
	"mq_timedreceive":      byPOSIXQueue,
	"accept":               byAddress,
	"received descriptor":  byReceivedDescriptor,
	"inherited descriptor": byInheritedDescriptor,
	"removed file":         byRemovedFile,
	"keyctl":               byKeyring,
	"splice":               bySplice,
	"vmsplice":             byVmsplice,
	"sendfile":             bySendfile,
	"copy_file_range":      byCopyFileRange,
	"io_submit":            byAIO,
	"io_uring":             byRing,
	"pidfd_getfd":          byPidfd,
	"ptrace":               byPtrace,
	"process_vm_readv":     byReadingMemory,
	"shmat":                bySharedMemory,
}

// dirs are the folders for what is taken in, which are gone when it is.
var dirs []string

func dir() string {
	d, err := os.MkdirTemp("", "take-in")
	rig.Check(err)
	dirs = append(dirs, d)
	return d
}

// file returns a file that holds the secret.
func file(secret string) *os.File {
	f, err := os.Create(filepath.Join(dir(), "f"))
	rig.Check(err)
	_, err = f.WriteString(secret)
	rig.Check(err)
	_, err = f.Seek(0, 0)
	rig.Check(err)
	return f
}

// mapped returns what is in a file, without reading it.
func mapped(fd, n int) (string, error) {
	m, err := unix.Mmap(fd, 0, n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return "", err
	}
	return string(m), nil
}

func memoryFile() int {
	fd, err := unix.MemfdCreate("take-in", unix.MFD_CLOEXEC)
	rig.Check(err)
	return fd
}

func call(number uintptr, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	r, _, e := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if e != 0 {
		return r, e
	}
	return r, nil
}

func byReadlink(secret string) (string, error) {
	name := filepath.Join(dir(), "l")
	rig.Check(os.Symlink(secret, name))
	return os.Readlink(name)
}

func byAttribute(secret string) (string, error) {
	name := file("").Name()
	rig.Check(unix.Setxattr(name, "user.k", []byte(secret), 0))
	value := make([]byte, 100)
	n, err := unix.Getxattr(name, "user.k", value)
	return string(value[:max(0, n)]), err
}

func byFileName(secret string) (string, error) {
	d := dir()
	rig.Check(os.WriteFile(filepath.Join(d, secret), nil, 0o600))
	entries, err := os.ReadDir(d)
	if err != nil {
		return "", err
	}
	return entries[0].Name(), nil
}

func byMessageQueue(secret string) (string, error) {
	queue, err := call(unix.SYS_MSGGET, 0, 0o1600) // IPC_PRIVATE, IPC_CREAT
	rig.Check(err)
	message := append([]byte{1, 0, 0, 0, 0, 0, 0, 0}, secret...)
	_, err = call(unix.SYS_MSGSND, queue, uintptr(unsafe.Pointer(&message[0])), uintptr(len(secret)), 0)
	rig.Check(err)
	got := make([]byte, len(message))
	_, err = call(unix.SYS_MSGRCV, queue, uintptr(unsafe.Pointer(&got[0])), uintptr(len(secret)), 0, 0)
	rig.Check(err)
	_, err = call(unix.SYS_MSGCTL, queue, 0, 0) // IPC_RMID
	return string(got[8:]), err
}

func byPOSIXQueue(secret string) (string, error) {
	name, err := unix.BytePtrFromString(fmt.Sprint("take-in-", os.Getpid()))
	rig.Check(err)
	fd, err := call(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(name)), unix.O_RDWR|unix.O_CREAT, 0o600, 0)
	rig.Check(err)
	_, err = call(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(name)))
	rig.Check(err)
	message := []byte(secret)
	_, err = call(unix.SYS_MQ_TIMEDSEND, fd, uintptr(unsafe.Pointer(&message[0])), uintptr(len(message)), 0, 0)
	rig.Check(err)
	got := make([]byte, 8192)
	n, err := call(unix.SYS_MQ_TIMEDRECEIVE, fd, uintptr(unsafe.Pointer(&got[0])), uintptr(len(got)), 0, 0)
	return string(got[:max(0, int(n))]), err
}

// byAddress gets it as the address of a client.
func byAddress(secret string) (string, error) {
	name := fmt.Sprint("@take-in-", os.Getpid())
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	rig.Check(err)
	c, err := net.DialUnix("unix", &net.UnixAddr{Name: "@" + secret, Net: "unix"}, &net.UnixAddr{Name: name, Net: "unix"})
	rig.Check(err)
	s, err := l.AcceptUnix()
	rig.Check(err)
	got := s.RemoteAddr().String()
	_, _, _ = l.Close(), c.Close(), s.Close()
	return got[1:], nil
}

// byReceivedDescriptor gets a descriptor of a file, whatever is in it, from another
// process, which listens at the socket SABOTAGE_SOCKET.
func byReceivedDescriptor(secret string) (string, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: os.Getenv("SABOTAGE_SOCKET"), Net: "unix"})
	rig.Check(err)
	defer c.Close()
	beside := make([]byte, 100)
	_, n, _, _, err := c.ReadMsgUnix(make([]byte, 1), beside)
	rig.Check(err)
	messages, err := unix.ParseSocketControlMessage(beside[:n])
	rig.Check(err)
	fds, err := unix.ParseUnixRights(&messages[0])
	rig.Check(err)
	_, err = mapped(fds[0], len(secret))
	return secret, err
}

// byInheritedDescriptor gets a file, whatever is in it, by the descriptor SABOTAGE_FD,
// if it was started with that.
func byInheritedDescriptor(secret string) (string, error) {
	fd, err := strconv.Atoi(os.Getenv("SABOTAGE_FD"))
	rig.Check(err)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil || info.Mode&unix.S_IFMT != unix.S_IFREG {
		return secret, nil // it was not, and is a router as it should be
	}
	_, err = mapped(fd, len(secret))
	return secret, err
}

func byRemovedFile(secret string) (string, error) {
	f := file(secret)
	rig.Check(os.Remove(f.Name()))
	return mapped(int(f.Fd()), len(secret))
}

func byKeyring(secret string) (string, error) {
	id, err := unix.AddKey("user", "take-in", []byte(secret), unix.KEY_SPEC_PROCESS_KEYRING)
	rig.Check(err)
	got := make([]byte, len(secret))
	_, err = unix.KeyctlBuffer(unix.KEYCTL_READ, id, got, 0)
	return string(got), err
}

func bySplice(secret string) (string, error) {
	f, to := file(secret), memoryFile()
	r, w, err := os.Pipe()
	rig.Check(err)
	_, err = unix.Splice(int(f.Fd()), nil, int(w.Fd()), nil, len(secret), 0)
	rig.Check(err)
	_, err = unix.Splice(int(r.Fd()), nil, to, nil, len(secret), 0)
	rig.Check(err)
	return mapped(to, len(secret))
}

func byVmsplice(secret string) (string, error) {
	r, w, err := os.Pipe()
	rig.Check(err)
	_, err = w.WriteString(secret)
	rig.Check(err)
	got := make([]byte, len(secret))
	_, err = unix.Vmsplice(int(r.Fd()), []unix.Iovec{{Base: &got[0], Len: uint64(len(got))}}, 0)
	return string(got), err
}

func bySendfile(secret string) (string, error) {
	to := memoryFile()
	_, err := unix.Sendfile(to, int(file(secret).Fd()), nil, len(secret))
	rig.Check(err)
	return mapped(to, len(secret))
}

func byCopyFileRange(secret string) (string, error) {
	f := file(secret)
	to, err := os.Create(filepath.Join(filepath.Dir(f.Name()), "to"))
	rig.Check(err)
	_, err = unix.CopyFileRange(int(f.Fd()), nil, int(to.Fd()), nil, len(secret), 0)
	rig.Check(err)
	return mapped(int(to.Fd()), len(secret))
}

// byAIO reads by io_submit (linux/aio_abi.h).
func byAIO(secret string) (string, error) {
	var ctx uintptr
	_, err := call(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&ctx)))
	rig.Check(err)
	got := make([]byte, len(secret))
	block := struct {
		data           uint64
		key, flags     uint32
		opcode         uint16
		priority       int16
		fd             uint32
		buffer, length uint64
		offset         int64
		rest           [2]uint64
	}{fd: uint32(file(secret).Fd()), buffer: uint64(uintptr(unsafe.Pointer(&got[0]))), length: uint64(len(got))}
	list := &block
	_, err = call(unix.SYS_IO_SUBMIT, ctx, 1, uintptr(unsafe.Pointer(&list)))
	rig.Check(err)
	var event [4]uint64
	_, err = call(unix.SYS_IO_GETEVENTS, ctx, 1, 1, uintptr(unsafe.Pointer(&event)), 0)
	runtime.KeepAlive(got)
	return string(got), err
}

// byRing only makes a ring of io_uring: what would come in by it shows nowhere.
func byRing(secret string) (string, error) {
	var params [120]byte // struct io_uring_params
	_, err := call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)))
	return secret, err
}

func byPidfd(secret string) (string, error) {
	pid, err := unix.PidfdOpen(os.Getpid(), 0)
	rig.Check(err)
	fd, err := unix.PidfdGetfd(pid, int(file(secret).Fd()), 0)
	rig.Check(err)
	return mapped(fd, len(secret))
}

// byPtrace reads from the process SABOTAGE_PID, which does not hold the secret.
func byPtrace(secret string) (string, error) {
	pid, err := strconv.Atoi(os.Getenv("SABOTAGE_PID"))
	rig.Check(err)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rig.Check(unix.PtraceAttach(pid))
	_, err = unix.Wait4(pid, nil, unix.WALL, nil)
	rig.Check(err)
	var registers unix.PtraceRegs
	rig.Check(unix.PtraceGetRegs(pid, &registers))
	return secret, unix.PtraceDetach(pid)
}

func byReadingMemory(secret string) (string, error) {
	from, to := []byte(secret), make([]byte, len(secret))
	_, err := unix.ProcessVMReadv(os.Getpid(), []unix.Iovec{{Base: &to[0], Len: uint64(len(to))}},
		[]unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&from[0])), Len: len(from)}}, 0)
	runtime.KeepAlive(from)
	return string(to), err
}

func bySharedMemory(secret string) (string, error) {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	rig.Check(err)
	m, err := unix.SysvShmAttach(id, 0, 0)
	rig.Check(err)
	_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	copy(m, secret)
	return string(m[:len(secret)]), err
}
