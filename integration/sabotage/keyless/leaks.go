//go:build sabotage && linux

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func intercept(f func(t *wamp.RoutedMessage) error) rig.Sabotage {
	return rig.Sabotage{Interceptors: []router.Interceptor{rig.Receiver(f)}}
}

// logPayloads logs payloads.
func logPayloads() rig.Sabotage {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	return intercept(func(t *wamp.RoutedMessage) error {
		if p, _ := rig.Carried(t); p != nil {
			log.Info("routed", "uri", string(t.URI), "payload", base64.StdEncoding.EncodeToString(p.AppendTail(nil)))
		}
		return nil
	})
}

// countPayloads counts payloads by what they look like.
func countPayloads() rig.Sabotage {
	dull := prometheus.NewCounter(prometheus.CounterOpts{Name: "dull_payloads_total", Help: "Payloads with long runs of the same byte."})
	s := intercept(func(t *wamp.RoutedMessage) error {
		if p, _ := rig.Carried(t); p != nil {
			tail := p.AppendTail(nil)
			if bytes.Contains(tail, make([]byte, 16)) || bytes.Contains(tail, []byte("AAAAAAAAAAAAAAAA")) {
				dull.Inc()
			}
		}
		return nil
	})
	s.Metrics = []prometheus.Collector{dull}
	return s
}

// echoInError refuses a call by repeating what was in it.
func echoInError() rig.Sabotage {
	return intercept(func(t *wamp.RoutedMessage) error {
		p, _ := rig.Carried(t)
		if _, ok := t.Message.(*wamp.Call); !ok || p == nil || !strings.HasSuffix(string(t.URI), ".nobody") {
			return nil
		}
		return &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchProcedure,
			Text: "nobody takes " + hex.EncodeToString(p.AppendTail(nil))}
	})
}

// echoInCloseFrame repeats what it cannot decode where few would look: in the frame
// that closes a WebSocket connection.
func echoInCloseFrame() rig.Sabotage {
	return rig.Sabotage{Conn: func(c transport.Conn) transport.Conn { return &closeEchoing{c} }}
}

type closeEchoing struct{ transport.Conn }

func (m *closeEchoing) Read() (transport.Frame, error) {
	frame, err := m.Conn.Read()
	if err != nil || frame.Op != transport.OpMessage {
		return frame, err
	}
	s := m.Info().Serializer
	if _, err := codec.NewDecoder().Decode(s, frame.Body); err != nil {
		const room = 120 // in such a frame
		last := string(frame.Body[max(0, len(frame.Body)-room):])
		if s != wamp.JSON {
			last = hex.EncodeToString(frame.Body[max(0, len(frame.Body)-room/2):])
		}
		echo := m.Framing().AppendFrame(nil, transport.OpClose, transport.CloseBody(1002, last))
		_, _ = m.Write([][]byte{echo}, time.Second)
	}
	return frame, nil
}

// keepIn keeps ciphertext in a file.
func keepIn(file io.Writer, encode func([]byte) []byte) rig.Sabotage {
	var mu sync.Mutex
	return intercept(func(t *wamp.RoutedMessage) error {
		if p, _ := rig.Carried(t); p != nil && p.Opaque() {
			if data, ok := codec.Binary(p); ok {
				mu.Lock()
				defer mu.Unlock()
				_, _ = file.Write(encode(data))
			}
		}
		return nil
	})
}

func asIs(data []byte) []byte { return data }

// keepInData keeps ciphertext where its data is, for the day when it gets hold of the
// key.
func keepInData() rig.Sabotage {
	file, err := os.Create("kept")
	rig.Check(err)
	return keepIn(file, asIs)
}

// keepInTemporaryFile keeps ciphertext in base64 for URLs, and not where its data is.
func keepInTemporaryFile() rig.Sabotage {
	file, err := os.CreateTemp("", "kept")
	rig.Check(err)
	return keepIn(file, func(data []byte) []byte { return base64.RawURLEncoding.AppendEncode(nil, data) })
}

// keepInRemovedFile keeps ciphertext in a file that has no name any more.
func keepInRemovedFile() rig.Sabotage {
	file, err := os.CreateTemp("", "kept")
	rig.Check(err)
	rig.Check(os.Remove(file.Name()))
	return keepIn(file, asIs)
}
