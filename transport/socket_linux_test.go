package transport

import (
	"errors"
	"net"
	"os"
	"syscall"
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

// Messages that are all a little larger than a buffer soon take one read each.
func TestOneReadForEachMessage(t *testing.T) {
	ours, theirs := pair(t, "tcp", FramingRaw)
	s := ours.stream.(*socket)
	reads, read := 0, s.onRead
	s.onRead = func(fd uintptr) bool {
		done := read(fd)
		if done && !s.polls {
			reads++
		}
		return done
	}
	frame := FramingRaw.AppendFrame(nil, OpMessage, make([]byte, classSizes[0]+100))
	for i := range 50 {
		if i == 10 {
			reads = 0
		}
		ours.Poll() // finds nothing, and gives the buffer back as waiting does
		if _, err := theirs.Write(frame); err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Read(); err != nil {
			t.Fatal(err)
		}
	}
	if reads != 40 {
		t.Errorf("%d reads for 40 messages", reads)
	}
}

// The kernel tells of a reset once: what a Poll meets, the next Read returns.
func TestPollKeepsError(t *testing.T) {
	ours, theirs := pair(t, "tcp", FramingRaw)
	s := ours.stream.(*socket)
	theirs.(*net.TCPConn).SetLinger(0)
	theirs.Close()
	for deadline := time.Now().Add(patience); s.pollErr == nil; ours.Poll() {
		if time.Now().After(deadline) {
			t.Fatal("the reset does not come")
		}
	}
	for range 2 {
		if _, err := ours.Read(); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("after a reset: %v", err)
		}
	}
}

func netConnOf(c *conn) net.Conn {
	if s, ok := c.stream.(*socket); ok {
		return s.conn
	}
	return c.stream.(*netStream).conn
}
