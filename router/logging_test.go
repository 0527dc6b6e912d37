package router

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// A rejected connection can be found by its address, like a session.
func TestLogNamesWhoWasTurnedAway(t *testing.T) {
	var out bytes.Buffer
	r, err := New(Config{Observers: []Observer{LogTo(slog.New(slog.NewTextHandler(&out, nil)))},
		Realms: []RealmConfig{{Name: "realm1", Authenticators: []Authenticator{noEntry{}}}}})
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
	hello := []byte(`[1,"realm1",{"roles":{"caller":{}},"authmethods":["CANARY","no"],"authid":"CANARY"}]`)
	if _, err := client.Write([][]byte{client.Framing().AppendFrame(nil, transport.OpMessage, hello)}, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(); err != nil { // ABORT
		t.Fatal(err)
	}
	_ = client.Close()
	<-done
	for _, want := range []string{"connection turned away", "realm=realm1 method=no ", "address=192.0.2.7:4711", " claimed_digest="} {
		if line := out.String(); !strings.Contains(line, want) || strings.Contains(line, "CANARY") {
			t.Errorf("no %s: %s", want, line)
		}
	}
}

// The log has what the client does not get: the cause, and the principal.
// What the client calls itself can be a password: it is there only if asked for.
func TestLogOfRefusedLogins(t *testing.T) {
	refused := func(claimed string) *Observation {
		return &Observation{Kind: Rejected, Realm: "realm1", Method: "ticket", Refusal: authenticationFailed,
			Login: &Login{Claimed: claimed, AuthID: "alice", Cause: "wrong proof"}}
	}
	var out bytes.Buffer
	log := LogTo(slog.New(slog.NewJSONHandler(&out, nil)))
	digests := map[string]string{}
	for _, claimed := range []string{"CANARY", "CANARY", "another"} {
		out.Reset()
		log.Observe(refused(claimed))
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		digest, _ := line["claimed_digest"].(string)
		if line["cause"] != "wrong proof" || line["authid"] != "alice" || len(digest) != 12 || strings.Contains(out.String(), claimed) {
			t.Error(out.String())
		}
		if before, seen := digests[claimed]; seen && before != digest {
			t.Error("the same name has two digests")
		}
		digests[claimed] = digest
	}
	if digests["CANARY"] == digests["another"] {
		t.Error("two names have the same digest")
	}
	out.Reset()
	LogNamesTo(slog.New(slog.NewJSONHandler(&out, nil))).Observe(refused("carol"))
	if !strings.Contains(out.String(), `"claimed":"carol"`) || strings.Contains(out.String(), "claimed_digest") {
		t.Error(out.String())
	}
}

// noEntry is an authenticator that lets nobody in.
type noEntry struct{}

func (noEntry) Method() string { return "no" }

func (noEntry) Authenticate(context.Context, *Handshake) (*Identity, error) {
	return nil, authenticationFailed
}

// So can one that never spoke WAMP.
func TestLogNamesWhoDidNotGetHere(t *testing.T) {
	for _, c := range []struct{ sent, want string }{
		{"~", ""},
		{"GET / HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n", "origin=http://evil.example"},
	} {
		line, address := logOfRejected(t, c.sent)
		if !strings.Contains(line, "turned away") || !strings.Contains(line, "address="+address) || !strings.Contains(line, c.want) {
			t.Error(line)
		}
	}
}

// logOfRejected returns the log of a router that turns away who sends that, and where
// this came from.
func logOfRejected(t *testing.T, sent string) (line, address string) {
	t.Helper()
	var out bytes.Buffer
	r, err := New(Config{Observers: []Observer{LogTo(slog.New(slog.NewTextHandler(&out, nil)))}, Realms: []RealmConfig{{Name: "realm1"}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	turned := make(chan struct{})
	s := &transport.Server{Handle: r.Accept, Rejected: func(refusal *wamp.Refusal, from *transport.Info) {
		r.Rejected(refusal, from)
		close(turned)
	}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l, transport.ListenOptions{})
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(sent)); err != nil {
		t.Fatal(err)
	}
	<-turned
	_ = s.Close()
	<-served
	return out.String(), c.LocalAddr().String()
}

// What no client gets is logged, with as many lines as refusals.
func TestLogTellsOfAuthenticatorsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := LogTo(slog.New(slog.NewTextHandler(&out, nil)))
		for range 50 {
			log.Observe(&Observation{Kind: AuthenticatorFailed, Realm: "realm1", Method: "wampcra", Connection: &transport.Info{Address: "192.0.2.7:4711"},
				Refusal: &wamp.Refusal{Reason: wamp.ReasonUnauthorized, Text: strings.Repeat("x", 10000)}})
		}
		if got := out.String(); strings.Count(got, "authenticator failed") != logWindowLines || len(got) > logWindowLines*500 ||
			!strings.Contains(got, "realm=realm1 method=wampcra address=192.0.2.7:4711") {
			t.Error(got)
		}
	})
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
				Routed: &wamp.RoutedMessage{URI: "com.example", Message: &wamp.Publish{Topic: "com.example", Payload: payload}}})
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
