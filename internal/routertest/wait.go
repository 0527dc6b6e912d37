package routertest

import (
	"context"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Context returns a context that ends after Timeout, or with the test.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	t.Cleanup(cancel)
	return ctx
}

// Receive waits for what must come on a channel.
func Receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Timeout):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

// NoError fails the test if there is an error.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WaitUntil polls, for what gives no event to wait for.
func WaitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Timeout); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// EachPayload runs a subtest for each serializer, with a clear payload and with an
// opaque one of each form.
func EachPayload(t *testing.T, story func(t *testing.T, s wamp.Serializer, form wamp.Form)) {
	for _, s := range wamp.Serializers {
		for _, form := range []wamp.Form{wamp.FormNone, wamp.FormTransparency, wamp.FormPassthru} {
			t.Run(s.String()+"/"+form.String(), func(t *testing.T) { story(t, s, form) })
		}
	}
}
