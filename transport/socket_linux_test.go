package transport

import (
	"errors"
	"os"
	"testing"
	"time"
)

// Waiting for a peer that takes nothing is waiting, not trying again and again.
func TestWriteWaitsWithoutSpinning(t *testing.T) {
	ours, _ := pair(t, "tcp", FramingRaw)
	s := ours.stream.(*socket)
	big := make([]byte, 64<<20)
	n, err := ours.TryWrite([][]byte{big})
	if err != nil {
		t.Fatal(err)
	}
	tries, try := 0, s.onWrite
	s.onWrite = func(fd uintptr) bool {
		tries++
		return try(fd)
	}
	if _, err := ours.Write([][]byte{big[n:]}, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if tries > 100 {
		t.Errorf("the socket was tried %d times", tries)
	}
}
