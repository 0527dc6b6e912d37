package dashboard

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const (
	maxEnvelopes   = 64 // how many envelopes are kept
	routedPerLook  = 12 // how many envelopes of routed messages each request of the page allows to copy
	refusedPerLook = 4  // how many of refused or skipped ones
	looks          = 400 * time.Millisecond
	maxText        = 96      // bytes of a text from a client
	maxReason      = 400     // bytes of a refusal's text
	maxDigest      = 1 << 20 // larger payloads get no digest, which would delay the router
)

// Recorder is a router.Observer that copies a few envelopes while someone looks at the
// page: each call of Look allows some more. Otherwise it costs one atomic load per
// message. It keeps a bounded number of envelopes of bounded size, and never a payload.
// Its methods may be called concurrently.
type Recorder struct {
	// routed and refused are how many envelopes may still be copied. They are separate,
	// so that many of one kind do not hide the other.
	routed, refused atomic.Int32

	mu     sync.Mutex
	looked time.Time
	count  uint64 // of all copies; the next one is at count%keep
	ring   [maxEnvelopes]Envelope
}

// Envelope is what the router saw of a message. It contains no part of a payload.
type Envelope struct {
	Number     uint64     `json:"number"` // in the order of copying, from 1
	Time       int64      `json:"time"`   // milliseconds since 1970
	Outcome    string     `json:"outcome"`
	Reason     string     `json:"reason,omitempty"`
	Text       string     `json:"text,omitempty"` // the reason in words
	Realm      string     `json:"realm"`
	Type       string     `json:"type"`
	URI        string     `json:"uri"`
	From       Party      `json:"from"`
	To         *Party     `json:"to,omitempty"` // the receiver that was skipped, if Outcome is "skipped"
	Form       string     `json:"form"`
	Attributes [][]string `json:"attributes,omitempty"` // name and value
	Payload    Payload    `json:"payload"`
	Deliveries int        `json:"deliveries"`
	Micros     int64      `json:"micros"` // from arrival to the last queue
}

// Party is one end of a message.
type Party struct {
	Session    uint64 `json:"session"`
	AuthID     string `json:"authid"`
	AuthRole   string `json:"authrole"`
	Transport  string `json:"transport"`
	Serializer string `json:"serializer"`
}

// Payload is everything that is shown of a payload.
type Payload struct {
	Opaque bool   `json:"opaque"`
	Size   int    `json:"size"`             // content bytes
	SHA256 string `json:"sha256,omitempty"` // of the bytes on the wire
}

// Observe implements router.Observer.
func (r *Recorder) Observe(e *router.Observation) {
	allowed := &r.routed
	switch e.Kind {
	case router.Routed:
	case router.Refused, router.Dropped:
		allowed = &r.refused
	default:
		return
	}
	if allowed.Load() <= 0 || allowed.Add(-1) < 0 {
		return
	}
	copied := envelope(e, true)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	copied.Number = r.count
	r.ring[r.count%maxEnvelopes] = copied
}

// Look returns the envelopes after the one with that number, the oldest first, and allows
// some more to be copied.
func (r *Recorder) Look(after uint64) []Envelope {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.looked) >= looks {
		r.looked = now
		r.routed.Store(routedPerLook)
		r.refused.Store(refusedPerLook)
	}
	if after > r.count { // the number is that of a router that ran before this one
		after = 0
	}
	first := after + 1
	if r.count >= maxEnvelopes {
		first = max(first, r.count-maxEnvelopes+1)
	}
	out := []Envelope{}
	for n := first; n <= r.count; n++ {
		out = append(out, r.ring[n%maxEnvelopes])
	}
	return out
}

// envelope copies what the router saw of a message; digest says whether with the digest of
// the payload.
func envelope(e *router.Observation, digest bool) Envelope {
	c := Envelope{
		Time: time.Now().UnixMilli(), Realm: truncated(e.Realm), Type: "none", Form: wamp.FormNone.String(),
		Deliveries: e.Deliveries, Micros: e.Elapsed.Microseconds(),
		Outcome: [...]string{router.Routed: "routed", router.Refused: "refused", router.Dropped: "skipped"}[e.Kind],
	}
	if e.Refusal != nil {
		c.Reason, c.Text = string(e.Refusal.Reason), cut(e.Refusal.Text, maxReason)
	}
	from := e.Peer
	if e.Kind == router.Dropped {
		from = nil
		if e.Peer != nil {
			to := party(e.Peer)
			c.To = &to
		}
	}
	if t := e.Routed; t != nil {
		if t.From != nil {
			from = t.From
		}
		c.URI = truncated(string(t.URI))
		if t.Message != nil {
			c.Type = t.Message.Type().String()
		}
		if carrier, ok := t.Message.(wamp.Carrier); ok {
			p, a := carrier.Carried()
			c.Form = wamp.FormOf(a, p).String()
			c.Attributes = attributes(a)
			c.Payload = Payload{Opaque: p.Opaque(), Size: p.Size()}
			if digest && p.WireSize() <= maxDigest {
				sum := p.Digest()
				c.Payload.SHA256 = hex.EncodeToString(sum[:sha256.Size])
			}
		}
	}
	if from != nil {
		c.From = party(from)
	}
	return c
}

func party(p *wamp.Peer) Party {
	return Party{
		Session: uint64(p.Session), AuthID: truncated(p.AuthID), AuthRole: truncated(p.AuthRole),
		Transport: p.Transport, Serializer: p.Serializer.String(),
	}
}

func attributes(a *wamp.Attributes) (out [][]string) {
	for _, f := range [...]struct{ name, value string }{
		{"enc_algo", a.EncAlgo}, {"enc_key", a.EncKey}, {"enc_serializer", a.EncSerializer},
		{"ppt_scheme", a.PPTScheme}, {"ppt_serializer", a.PPTSerializer}, {"ppt_cipher", a.PPTCipher}, {"ppt_keyid", a.PPTKeyID},
	} {
		if f.value != "" {
			out = append(out, []string{f.name, truncated(f.value)})
		}
	}
	return out
}

// truncated returns a copy of a text, cut if it is very long.
func truncated(s string) string { return cut(s, maxText) }

func cut(s string, most int) string {
	if len(s) <= most {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
