// Package boltstore is an eventstore.Store in a file (go.etcd.io/bbolt).
package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/router/eventstore"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// File is an eventstore.Store in one file, which no other store shares. One goroutine
// writes to it: events that are appended during a write are committed together in the
// next transaction. A publisher waits only if more than 8 MiB wait to be written.
type File struct {
	name   string
	logger *slog.Logger
	db     *bbolt.DB

	mu      sync.Mutex
	waiting []entry
	size    int // bytes waiting
	// How many events have been appended, and how many of them stored, or lost.
	appended, stored uint64
	written          sync.Cond // size fell, or stored grew
	work             sync.Cond // something waits, or the file closes
	closed           bool
	done             sync.WaitGroup
}

// entry is a record on its way to the file.
type entry struct {
	log    *fileLog
	record []byte
}

// maxWaiting is how many bytes may wait to be written.
const maxWaiting = 8 << 20

// New returns a store in the file of that name, which Open opens, and makes if there
// is none. What can't be stored is logged.
func New(name string, logger *slog.Logger) *File {
	f := &File{name: name, logger: logger}
	f.written.L, f.work.L = &f.mu, &f.mu
	return f
}

// Open implements eventstore.Store. What is in the file from before stays, up to the
// bounds of its rule.
func (f *File) Open(rules []eventstore.Rule) ([]eventstore.Log, error) {
	var err error
	f.db, err = bbolt.Open(f.name, 0o600, &bbolt.Options{Timeout: time.Second})
	var failed *os.PathError
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("history.file: %s: another process has it open", f.name)
	case errors.As(err, &failed):
		return nil, fmt.Errorf("history.file: %s: %w", f.name, failed.Err)
	case err != nil:
		return nil, fmt.Errorf("history.file: %s: %w", f.name, err)
	}
	f.done.Go(f.write)
	logs := make([]eventstore.Log, len(rules))
	for i, rule := range rules {
		if logs[i], err = f.log(rule); err != nil {
			return nil, err
		}
	}
	return logs, nil
}

// Close implements eventstore.Store.
func (f *File) Close() error {
	if f.db == nil {
		return nil
	}
	f.mu.Lock()
	f.closed = true
	f.work.Signal()
	f.mu.Unlock()
	f.done.Wait()
	return f.db.Close()
}

func (f *File) append(l *fileLog, record []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.size > maxWaiting && !f.closed {
		f.written.Wait()
	}
	if f.closed {
		return
	}
	f.waiting = append(f.waiting, entry{l, record})
	f.size += len(record)
	f.appended++
	f.work.Signal()
}

// sync blocks until every event appended before the call is in the file; later appends
// do not extend the wait.
func (f *File) sync() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.awaitLocked(f.appended)
}

// awaitLocked waits until the first n events are in the file. f.mu is held.
func (f *File) awaitLocked(n uint64) {
	for f.stored < n {
		f.written.Wait()
	}
}

// write is the goroutine.
func (f *File) write() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for len(f.waiting) == 0 {
			if f.closed {
				return
			}
			f.work.Wait()
		}
		batch := f.waiting
		f.waiting, f.size = nil, 0
		f.mu.Unlock()
		if err := f.store(batch); err != nil {
			f.logger.Error("cannot write to the history file", "events_lost", len(batch), "error", err)
		}
		f.mu.Lock()
		f.stored += uint64(len(batch))
		f.written.Broadcast()
	}
}

// store writes a batch in one transaction.
func (f *File) store(batch []entry) error {
	counts := make(map[*fileLog]count)
	err := f.db.Update(func(tx *bbolt.Tx) error {
		for _, e := range batch {
			count, begun := counts[e.log]
			if !begun {
				count = e.log.count
			}
			b := tx.Bucket(e.log.bucket)
			seq, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := b.Put(binary.BigEndian.AppendUint64(nil, seq), e.record); err != nil {
				return err
			}
			count.n++
			count.size += len(e.record)
			if counts[e.log], err = e.log.trim(b, count); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for l, count := range counts {
		l.count = count
	}
	return nil
}

// fileLog is an eventstore.Log in a bucket of the file.
type fileLog struct {
	file   *File
	rule   eventstore.Rule
	bucket []byte
	count  count // the writing goroutine's
}

type count struct{ n, size int }

func countIn(b *bbolt.Bucket) (count count, err error) {
	err = b.ForEach(func(_, record []byte) error {
		count.n++
		count.size += len(record)
		return nil
	})
	return count, err
}

// log opens the log of one rule. What is there from before stays, up to the
// rule's limits.
func (f *File) log(rule eventstore.Rule) (*fileLog, error) {
	l := &fileLog{file: f, rule: rule, bucket: []byte(rule.Match.String() + " " + string(rule.URI))}
	err := f.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(l.bucket)
		if err != nil {
			return err
		}
		if l.count, err = countIn(b); err != nil {
			return err
		}
		l.count, err = l.trim(b, l.count)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("history.file: %w", err)
	}
	return l, nil
}

// trim removes the oldest events that are over the limits.
func (l *fileLog) trim(b *bbolt.Bucket, count count) (count, error) {
	for c := b.Cursor(); count.n > l.rule.Limit || count.size > l.rule.Bytes; {
		key, record := c.First()
		if key == nil {
			break
		}
		count.n--
		count.size -= len(record)
		if err := b.Delete(key); err != nil {
			return count, err
		}
	}
	return count, nil
}

// Append implements eventstore.Log.
func (l *fileLog) Append(e *eventstore.Event) {
	record, err := e.Append(nil)
	if err != nil {
		l.file.logger.Error("cannot store an event", "error", err)
		return
	}
	if len(record) <= l.rule.Bytes {
		l.file.append(l, record)
	}
}

// Scan implements eventstore.Log.
func (l *fileLog) Scan(reverse bool, f func(*eventstore.Event) bool) error {
	l.file.sync()
	return l.file.db.View(func(tx *bbolt.Tx) error {
		var reader eventstore.Reader
		c := tx.Bucket(l.bucket).Cursor()
		first, next := c.First, c.Next
		if reverse {
			first, next = c.Last, c.Prev
		}
		for key, record := first(); key != nil; key, record = next() {
			e, err := reader.Read(append([]byte(nil), record...))
			if err != nil {
				return err
			}
			if !f(e) {
				break
			}
		}
		return nil
	})
}

// Check implements eventstore.Log.
func (l *fileLog) Check() error {
	l.file.sync()
	var count count
	err := l.file.db.View(func(tx *bbolt.Tx) (err error) {
		count, err = countIn(tx.Bucket(l.bucket))
		return err
	})
	if err == nil && (count.n > l.rule.Limit || count.size > l.rule.Bytes) {
		err = fmt.Errorf("history of %q: %d events, %d bytes", string(l.rule.URI), count.n, count.size)
	}
	if errors.Is(err, bbolterrors.ErrDatabaseNotOpen) {
		return nil // the router is closed
	}
	return err
}
