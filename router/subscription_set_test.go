package router

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Holdings find what a map would.
func TestHoldings(t *testing.T) {
	var h subscriptionSet
	want := map[wamp.ID]*member{}
	for range 2000 {
		id := wamp.ID(rand.IntN(64))
		if m := want[id]; h.get(id) != m {
			t.Fatalf("of(%d) is %v, want %v", id, h.get(id), m)
		} else if m != nil {
			h.remove(m)
			delete(want, id)
		} else {
			m := &member{subscription: &subscription{id: id}}
			h.add(m)
			want[id] = m
		}
		if len(h) != len(want) {
			t.Fatalf("%d are held, want %d", len(h), len(want))
		}
	}
}

// Each call allocates one. A field more would take the allocator's next larger size.
func TestInvocationSize(t *testing.T) {
	if size := unsafe.Sizeof(invocation{}); size > 128 {
		t.Errorf("an invocation is %d bytes, more than 128", size)
	}
}

// There may be very many idle sessions. A field more would take the allocator's
// next larger size.
func TestSessionSize(t *testing.T) {
	if size := unsafe.Sizeof(session{}); size > 512 {
		t.Errorf("a session is %d bytes, more than 512", size)
	}
}
