package process

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// KeepDescriptors marks the descriptors of this program, but for 0 to 2, to be
// closed in the programs that it starts. Those that it opened itself are so
// already; those that it was started with are not.
func KeepDescriptors() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
