package router

import (
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// The timeout of a call is the time between its results: each restarts it.
func TestTimeoutIsBetweenResults(t *testing.T) {
	r := silentRouter(t)
	defer r.timeouts.close()
	callee, caller := attach(r, wamp.CBOR, transport.FramingRaw), attach(r, wamp.CBOR, transport.FramingRaw)
	say(callee, frame(t, wamp.CBOR, &wamp.Register{Request: 1, Procedure: "com.example.procedure"}))
	say(caller, frame(t, wamp.CBOR, &wamp.Call{Request: 1, Procedure: "com.example.procedure", Options: wamp.CallOptions{ReceiveProgress: wamp.True, Timeout: 3600_000}}))
	inv := caller.calls[1]
	deadline := func() time.Time {
		r.timeouts.mu.Lock()
		defer r.timeouts.mu.Unlock()
		return inv.timer.deadline
	}
	before := deadline()
	for range 3 {
		say(callee, frame(t, wamp.CBOR, &wamp.Yield{Request: 1, Options: wamp.ResultDetails{Progress: true}}))
		if now := deadline(); !now.After(before) || now.Sub(before) > time.Minute {
			t.Errorf("the deadline was %v, and is %v after a result", before, now)
		}
		before = deadline()
	}
	say(callee, frame(t, wamp.CBOR, &wamp.Yield{Request: 1}))
	if inv.timer.restart(); inv.timer.index >= 0 {
		t.Error("a call that has ended has a timeout")
	}
}

// deadlined remembers the deadline of a connection.
type deadlined struct {
	sink
	at time.Time
}

func (c *deadlined) SetReadDeadline(at time.Time) error { c.at = at; return nil }

// A session that waits is pinged no more, nor ended for its silence, as soon as the
// limits say never; and pinged as soon as they say so again.
func TestPingIsReloaded(t *testing.T) {
	config := func(every time.Duration) Config {
		return Config{Realms: []RealmConfig{{Name: "realm1"}}, Limits: Limits{PingEvery: every, PingTimeout: time.Hour}}
	}
	r, err := New(config(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	s, w := attach(r, wamp.CBOR, transport.FramingRaw), new(keepalive)
	conn := &deadlined{sink: sink{framing: transport.FramingRaw}}
	s.out.Conn = conn
	reload := func(every time.Duration) {
		t.Helper()
		if err := r.Reload(config(every)); err != nil {
			t.Fatal(err)
		}
		if conn.at.IsZero() != (every < 0) {
			t.Errorf("pinged every %v, the deadline is %v", every, conn.at)
		}
	}
	w.rearm(s)
	reload(-1)
	reload(2 * time.Hour)
	if !w.onSilence(s) || !w.pinged {
		t.Fatal("a silent session is not pinged")
	}
	w.rearm(s)
	reload(-1)
	if !w.onSilence(s) { // it has passed just before
		t.Error("the session is ended for its silence")
	}
	conn.at = time.Now() // set by its goroutine, as of the limits before
	if w.rearm(s); !conn.at.IsZero() || w.pinged {
		t.Errorf("the deadline is %v", conn.at)
	}
	reload(time.Hour)
	if w.onSilence(s); !w.pinged || w.onSilence(s) {
		t.Error("a session may be silent for ever")
	}
}
