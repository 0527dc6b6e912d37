package client

import (
	"context"
	"reflect"
	"sync"
)

// busy holds the authenticators of handshakes under way. One may remember what
// was said so far (SCRAM does), and sessions that share a Config all reconnect at
// once when a router comes back.
var busy = struct {
	sync.Mutex
	until map[Authenticator]chan struct{}
}{until: make(map[Authenticator]chan struct{})}

// occupy waits until no other handshake uses any of auth, and takes them all
// until release is called.
func occupy(ctx context.Context, auth []Authenticator) (release func(), err error) {
	for {
		taken, done := tryOccupy(auth)
		if taken == nil {
			return func() { vacate(auth, done) }, nil
		}
		select {
		case <-taken:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryOccupy returns until when one of auth is taken, or else takes them all until
// done is closed.
func tryOccupy(auth []Authenticator) (taken <-chan struct{}, done chan struct{}) {
	busy.Lock()
	defer busy.Unlock()
	for _, a := range auth {
		if remembers(a) && busy.until[a] != nil {
			return busy.until[a], nil
		}
	}
	done = make(chan struct{})
	for _, a := range auth {
		if remembers(a) {
			busy.until[a] = done
		}
	}
	return nil, done
}

func vacate(auth []Authenticator, done chan struct{}) {
	busy.Lock()
	defer busy.Unlock()
	for _, a := range auth {
		if remembers(a) {
			delete(busy.until, a)
		}
	}
	close(done)
}

// remembers reports whether a is, or holds, something that a handshake could
// leave a trace in, and that can be told from others. Methods that are no more
// than their name, like anonymous, are not.
func remembers(a Authenticator) bool {
	v := reflect.ValueOf(a)
	return v.Comparable() && pointsTo(v)
}

func pointsTo(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return true
	case reflect.Interface:
		return pointsTo(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if pointsTo(v.Field(i)) {
				return true
			}
		}
	}
	return false
}
