package router

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Whoever is turned away can be found: by the address, as a session can.
func TestLogNamesWhoWasTurnedAway(t *testing.T) {
	var out bytes.Buffer
	r, err := New(Config{Observers: []Observer{LogTo(slog.New(slog.NewTextHandler(&out, nil)))},
		Realms: []RealmConfig{{Name: "realm1", Authenticators: []Authenticator{Anonymous("guest")}}}})
	if err != nil {
		t.Fatal(err)
	}
	client, server := transport.Pipe(wamp.JSON)
	server.Info().Address = "192.0.2.7:4711"
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Accept(server)
	}()
	hello := []byte(`[1,"realm1",{"roles":{"caller":{}},"authmethods":["ticket"]}]`)
	if _, err := client.Write([][]byte{client.Framing().AppendFrame(nil, transport.OpMessage, hello)}, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(); err != nil { // ABORT
		t.Fatal(err)
	}
	_ = client.Close()
	<-done
	if line := out.String(); !strings.Contains(line, "turned away") || !strings.Contains(line, "address=192.0.2.7:4711") {
		t.Error(line)
	}
}

// Of refusals for one reason there are ten lines in ten seconds, and then the number
// of those left out; none shows a payload.
func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := LogTo(slog.New(slog.NewTextHandler(&out, nil)))
		payload, err := codec.EncodePayload(wamp.JSON, []any{"CANARY"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		refused := func(reason wamp.Reason) {
			log.Observe(&Observation{Kind: Refused, Peer: &wamp.Peer{}, Refusal: &wamp.Refusal{Reason: reason, Text: "no"},
				Transit: &wamp.Transit{URI: "com.example", Message: &wamp.Publish{Topic: "com.example", Payload: payload}}})
		}
		lines := func() []string {
			written := strings.Split(strings.TrimSpace(out.String()), "\n")
			out.Reset()
			return written
		}
		for range 15 {
			refused(wamp.ReasonCleartext)
		}
		refused(wamp.ReasonUnauthorized)
		written := lines()
		if len(written) != 11 || strings.Contains(strings.Join(written, ""), "CANARY") {
			t.Errorf("%d lines: %q", len(written), written)
		}
		time.Sleep(logWindowLength)
		refused(wamp.ReasonCleartext)
		if written := lines(); len(written) != 1 || !strings.Contains(written[0], "left_out=5") {
			t.Errorf("later: %q", written)
		}
	})
}
