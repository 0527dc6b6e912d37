package boltstore

import (
	"testing"
	"time"
)

// A reader of a history waits for the events that were there at its call, and not for those
// while he waits: else he might wait as long as events come.
func TestHistorySync(t *testing.T) {
	f := &File{appended: 1}
	f.written.L, f.work.L = &f.mu, &f.mu
	asked, read := f.appended, make(chan struct{})
	go func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.awaitLocked(asked)
		close(read)
	}()
	f.mu.Lock()
	f.appended++ // another one comes
	f.stored++   // and the first is in the file
	f.written.Broadcast()
	f.mu.Unlock()
	select {
	case <-read:
	case <-time.After(10 * time.Second):
		t.Error("waits for an event that came later")
	}
	f.mu.Lock()
	f.stored++
	f.written.Broadcast()
	f.mu.Unlock()
	<-read
}
