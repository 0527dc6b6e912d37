package router

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// historyFile keeps the histories of a realm in one file, with one goroutine
// that writes to it: whatever has come while it was writing goes in at once. A
// publisher waits only if much has.
type historyFile struct {
	db     *bbolt.DB
	logger *slog.Logger

	mu      sync.Mutex
	waiting []diskEntry
	size    int // bytes waiting
	// How many events have been appended, and how many of them stored, or lost.
	appended, stored uint64
	written          sync.Cond // size fell, or stored grew
	work             sync.Cond // something waits, or the file closes
	closed           bool
	done             sync.WaitGroup
}

type diskEntry struct {
	log    *diskLog
	record []byte
}

// maxWaiting is how many bytes may wait to be written.
const maxWaiting = 8 << 20

func openHistoryFile(name string, logger *slog.Logger) (*historyFile, error) {
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{Timeout: time.Second})
	var failed *os.PathError
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("history.file: %s: another process has it open", name)
	case errors.As(err, &failed):
		return nil, fmt.Errorf("history.file: %s: %w", name, failed.Err)
	case err != nil:
		return nil, fmt.Errorf("history.file: %s: %w", name, err)
	}
	f := &historyFile{db: db, logger: logger}
	f.written.L, f.work.L = &f.mu, &f.mu
	f.done.Go(f.write)
	return f, nil
}

// close writes what waits and closes the file.
func (f *historyFile) close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	f.closed = true
	f.work.Signal()
	f.mu.Unlock()
	f.done.Wait()
	return f.db.Close()
}

func (f *historyFile) append(l *diskLog, record []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.size > maxWaiting && !f.closed {
		f.written.Wait()
	}
	if f.closed {
		return
	}
	f.waiting = append(f.waiting, diskEntry{l, record})
	f.size += len(record)
	f.appended++
	f.work.Signal()
}

// sync waits until everything appended so far is in the file, whatever comes
// meanwhile.
func (f *historyFile) sync() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.await(f.appended)
}

// await waits until the first n events are in the file. f.mu is held.
func (f *historyFile) await(n uint64) {
	for f.stored < n {
		f.written.Wait()
	}
}

// write is the goroutine.
func (f *historyFile) write() {
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
func (f *historyFile) store(batch []diskEntry) error {
	counts := make(map[*diskLog]diskCount)
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

// diskLog is an eventLog in a bucket of the file.
type diskLog struct {
	file   *historyFile
	rule   HistoryRule
	bucket []byte
	count  diskCount // the writing goroutine's
}

type diskCount struct{ n, size int }

func countIn(b *bbolt.Bucket) (count diskCount, err error) {
	err = b.ForEach(func(_, record []byte) error {
		count.n++
		count.size += len(record)
		return nil
	})
	return count, err
}

// log opens the log of one rule. What is there from before stays, up to the
// rule's limits.
func (f *historyFile) log(rule HistoryRule) (*diskLog, error) {
	l := &diskLog{file: f, rule: rule, bucket: []byte(rule.Match.String() + " " + string(rule.URI))}
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
func (l *diskLog) trim(b *bbolt.Bucket, count diskCount) (diskCount, error) {
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

func (l *diskLog) append(k *kept) {
	record, err := appendKept(nil, k)
	if err != nil {
		l.file.logger.Error("cannot store an event", "error", err)
		return
	}
	if len(record) <= l.rule.Bytes {
		l.file.append(l, record)
	}
}

func (l *diskLog) scan(reverse bool, f func(*kept) bool) error {
	l.file.sync()
	return l.file.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(l.bucket).Cursor()
		first, next := c.First, c.Next
		if reverse {
			first, next = c.Last, c.Prev
		}
		for key, record := first(); key != nil; key, record = next() {
			k, err := restoreKept(append([]byte(nil), record...))
			if err != nil {
				return err
			}
			if !f(k) {
				break
			}
		}
		return nil
	})
}

func (l *diskLog) check() error {
	l.file.sync()
	var count diskCount
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

// A stored event: a version, its serializer, when it came (Unix milliseconds), the
// session that published it, and two messages of that serializer, the first after
// its length: a PUBLISH with the lists of receivers, and the EVENT. So its payload is stored as the bytes that
// came off the wire, behind an envelope that only package codec reads.
const keptVersion = 1

func appendKept(dst []byte, k *kept) ([]byte, error) {
	s := k.event.Payload.Serializer()
	if s == 0 {
		s = wamp.CBOR
	}
	dst = append(dst, keptVersion, byte(s))
	dst = binary.BigEndian.AppendUint64(dst, uint64(k.at.UnixMilli()))
	dst = binary.BigEndian.AppendUint64(dst, uint64(k.from))
	lists, err := codec.Append(nil, s, &wamp.Publish{Request: 1, Options: k.lists, Topic: k.event.Details.Topic})
	if err != nil {
		return nil, err
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(lists)))
	event := k.event
	event.Subscription = 1
	return codec.Append(append(dst, lists...), s, &event)
}

const keptHeader = 2 + 8 + 8 + 4

// restoreKept reads what appendKept wrote. The event's payload refers to b.
func restoreKept(b []byte) (*kept, error) {
	if len(b) < keptHeader || b[0] != keptVersion || !wamp.Serializer(b[1]).Valid() {
		return nil, errRecord
	}
	s := wamp.Serializer(b[1])
	k := &kept{
		at:   time.UnixMilli(int64(binary.BigEndian.Uint64(b[2:]))).UTC(),
		from: wamp.ID(binary.BigEndian.Uint64(b[10:])),
		size: len(b),
	}
	n := binary.BigEndian.Uint32(b[18:])
	if uint64(n) > uint64(len(b)-keptHeader) {
		return nil, errRecord
	}
	d := codec.NewDecoder()
	m, err := d.Decode(s, b[keptHeader:keptHeader+n])
	if err != nil {
		return nil, err
	}
	lists, ok := m.(*wamp.Publish)
	if !ok {
		return nil, errRecord
	}
	k.lists = lists.Options
	if m, err = d.Decode(s, b[keptHeader+n:]); err != nil {
		return nil, err
	}
	event, ok := m.(*wamp.Event)
	if !ok {
		return nil, errRecord
	}
	k.event = *event
	return k, nil
}

var errRecord = errors.New("history file: not an event of a version that this program knows")
