package router

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// LogTo returns an Observer that logs each session that opens or closes, and each
// refusal and skipped delivery: of these at most ten for each reason in ten seconds,
// with the number of those left out. No payload is logged.
//
// The keys mean the same in every line: reason is a wamp.Reason or an End, text is what
// the client gets, cause is for the operator only. For a login that did not succeed,
// authid is the principal whose proof was requested. The name that the client claimed
// can be any text, even a password: only a keyed digest of it is logged,
// claimed_digest. The same text has the same digest until the program ends.
func LogTo(log *slog.Logger) Observer { return newLogObserver(log, false) }

// LogNamesTo is LogTo with the names that clients claim in full, under the key claimed.
func LogNamesTo(log *slog.Logger) Observer { return newLogObserver(log, true) }

func newLogObserver(log *slog.Logger, names bool) Observer {
	l := &logObserver{log: log, names: names, seen: make(map[logKey]*logWindow)}
	_, _ = rand.Read(l.key[:])
	return l
}

type logObserver struct {
	log   *slog.Logger
	names bool     // log claimed names in full
	key   [32]byte // of the digests

	mu   sync.Mutex
	seen map[logKey]*logWindow // bounded: kinds and reasons are fixed
}

type logKey struct {
	kind   Kind
	reason wamp.Reason
}

type logWindow struct {
	since         time.Time
	lines, hidden int
}

const (
	logWindowLength = 10 * time.Second
	logWindowLines  = 10
)

func (l *logObserver) Observe(e *Observation) {
	switch e.Kind {
	case SessionOpened, SessionClosed:
		l.session(e)
	case Refused:
		l.refusal(slog.LevelWarn, "refused", e)
	case Dropped:
		l.refusal(slog.LevelWarn, "delivery skipped", e)
	case Slowed:
		l.refusal(slog.LevelInfo, "slowed down", e)
	case Rejected:
		l.refusal(slog.LevelInfo, "connection turned away", e)
	case AuthenticatorFailed:
		l.refusal(slog.LevelWarn, "authenticator failed", e)
	}
}

func (l *logObserver) session(e *Observation) {
	switch {
	case !l.log.Enabled(context.Background(), slog.LevelInfo):
	case e.Kind == SessionOpened:
		l.log.Info("session opened", append(peerAttrs(e.Peer), "agent", short(e.Peer.Agent), "address", e.Peer.Address)...)
	default:
		attrs := append(peerAttrs(e.Peer), "reason", string(e.End))
		if e.Refusal != nil {
			attrs[len(attrs)-1] = string(e.Refusal.Reason)
			attrs = append(attrs, "text", short(e.Refusal.Text))
		}
		l.log.Info("session closed", attrs...)
	}
}

// loginAttrs describes a login that did not succeed.
func (l *logObserver) loginAttrs(attrs []any, login *Login) []any {
	if login.Cause != "" {
		attrs = append(attrs, "cause", short(login.Cause))
	}
	if login.AuthID != "" {
		attrs = append(attrs, "authid", login.AuthID)
	}
	switch {
	case login.Claimed == "":
	case l.names:
		attrs = append(attrs, "claimed", short(login.Claimed))
	default:
		mac := hmac.New(sha256.New, l.key[:])
		mac.Write([]byte(login.Claimed))
		attrs = append(attrs, "claimed_digest", hex.EncodeToString(mac.Sum(nil)[:6]))
	}
	return attrs
}

func (l *logObserver) refusal(level slog.Level, what string, e *Observation) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	hidden, write := l.window(logKey{e.Kind, e.Refusal.Reason})
	if !write {
		return
	}
	attrs := []any{"reason", string(e.Refusal.Reason), "text", short(e.Refusal.Text)}
	if e.Peer != nil {
		attrs = append(attrs, peerAttrs(e.Peer)...)
	}
	if e.Peer == nil && e.Realm != "" {
		attrs = append(attrs, "realm", e.Realm)
	}
	if e.Method != "" {
		attrs = append(attrs, "method", e.Method)
	}
	if e.Login != nil {
		attrs = l.loginAttrs(attrs, e.Login)
	}
	if c := e.Connection; c != nil {
		if c.Transport != "" {
			attrs = append(attrs, "transport", c.Transport)
		}
		attrs = append(attrs, "address", c.Address)
		if c.Origin != "" {
			attrs = append(attrs, "origin", short(c.Origin))
		}
	}
	if e.Routed != nil && e.Routed.Message != nil {
		attrs = append(attrs, "type", e.Routed.Message.Type().String(), "uri", short(string(e.Routed.URI)))
		if p := e.Routed.Payload(); p != nil {
			attrs = append(attrs, "payload", *p)
		}
	}
	if hidden > 0 {
		attrs = append(attrs, "left_out", hidden)
	}
	l.log.Log(context.Background(), level, what, attrs...)
}

// short shortens a text that a peer sent, which may be thousands of bytes long and come
// again and again.
func short(text string) string {
	const limit = 255
	if len(text) <= limit {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:limit], ""), len(text))
}

// window counts a line. It reports whether to write it, and how many lines before it
// were left out.
func (l *logObserver) window(key logKey) (hidden int, write bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.seen[key]
	if w == nil {
		w = &logWindow{}
		l.seen[key] = w
	}
	if now := time.Now(); now.Sub(w.since) >= logWindowLength {
		hidden = w.hidden
		*w = logWindow{since: now}
	}
	if w.lines >= logWindowLines {
		w.hidden++
		return 0, false
	}
	w.lines++
	return hidden, true
}

func peerAttrs(p *wamp.Peer) []any {
	return []any{"realm", p.Realm, "session", uint64(p.Session), "authid", p.AuthID, "authrole", p.AuthRole,
		"transport", p.Transport, "serializer", p.Serializer.String()}
}
