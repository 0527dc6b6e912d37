package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notify reports the server's state to the service manager, if NOTIFY_SOCKET names
// one (sd_notify(3)).
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' { // an abstract socket
		path = "\x00" + path[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte(state))
}

// reloading is the state during a reload. It carries the time of the kernel's
// monotonic clock.
func reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000)
}

// firstSocket is the descriptor of the first socket that the service manager
// passes (sd_listen_fds(3)).
const firstSocket = 3

// passedSocket returns the listener that the service manager opened, by its name
// or by its number, counted from 0.
func passedSocket(name string) (net.Listener, error) {
	pid, _ := strconv.Atoi(os.Getenv("LISTEN_PID"))
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if pid != os.Getpid() || count <= 0 {
		return nil, fmt.Errorf("systemd:%s: the service manager passed no socket to this process", name)
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range count {
		if strconv.Itoa(i) != name && (i >= len(names) || names[i] != name) {
			continue
		}
		if listens, err := unix.GetsockoptInt(firstSocket+i, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
			return nil, fmt.Errorf("systemd:%s: the passed descriptor is not a listening socket", name)
		}
		f := os.NewFile(uintptr(firstSocket+i), "systemd:"+name)
		defer func() { _ = f.Close() }() // net.FileListener has a copy
		l, err := net.FileListener(f)
		if err != nil {
			return nil, fmt.Errorf("systemd:%s: %w", name, err)
		}
		return l, nil
	}
	return nil, fmt.Errorf("systemd:%s: no socket of that name was passed; passed: %d (%s)", name, count, strings.Join(names, ", "))
}
