package verify

import (
	"crypto/sha256"

	"fmt"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// maxLost is after how many lost messages the comparison ends: each costs a peer's
// timeout.
const maxLost = 3

// passes is how often each serializer and form is tried: a router may behave
// differently after some time.
const passes = 4

// identity compares each payload's bytes on the wire at the sending and at the
// receiving socket.
func (t *tester) identity(c *Result) {
	tally := &identityTally{want: t.o.Messages}
	combinations := len(wamp.Serializers) * len(wamp.Forms)
	steps := passes * combinations
	n, share := 0, (t.o.Messages+steps-1)/steps
	for step := range steps {
		s := wamp.Serializers[step/len(wamp.Forms)%len(wamp.Serializers)]
		form := wamp.Forms[step%len(wamp.Forms)]
		before := tally.compared
		for tally.compared-before < share && tally.lost < maxLost && t.ctx.Err() == nil {
			// Each pass uses another pair of the router's URLs.
			if err := t.compare(s, form, n+step/combinations, share-(tally.compared-before), tally, c); err != nil {
				tally.lost++
				c.fail("a message was lost or refused: %v", err)
			}
			n++
		}
	}
	if tally.differ > 0 {
		c.fail("%d of %d payloads differ", tally.differ, tally.compared)
	}
	if tally.compared < t.o.Messages {
		c.fail("only %d of %d messages could be compared", tally.compared, t.o.Messages)
	}
	c.note("%d payloads, %d B, by 3 serializers, 2 forms, each in %d ways to write it", tally.compared, tally.bytes, encodingStyles)
	c.note("SHA-256 over all digests: sent %x, received %x", tally.sent, tally.received)
	c.pass("%d payloads came out with the bytes they went in with", tally.compared)
}

// identityTally counts what was compared.
type identityTally struct {
	want, compared, differ, lost int
	bytes                        int64
	sent, received               [sha256.Size]byte // chained over all payloads
}

// compare sends n payloads, or a few more, between two new peers.
func (t *tester) compare(s wamp.Serializer, form wamp.Form, nth, n int, tally *identityTally, c *Result) error {
	p, err := t.newPair(fmt.Sprintf("identity%d", nth), s, form, nth)
	if err != nil {
		return err
	}
	defer p.close()
	for done := 0; done < n; done += perRound {
		if t.ctx.Err() != nil {
			return t.ctx.Err()
		}
		if err := p.round(t.seal, func(h delivery) { tally.add(t, p, h, c) }); err != nil {
			return fmt.Errorf("%s, after %d messages: %w", p.name(), tally.compared, err)
		}
		t.o.Progress(ByteIdentity, min(tally.compared, tally.want), tally.want)
	}
	return p.leave()
}

func (y *identityTally) add(t *tester, p *pair, h delivery, c *Result) {
	t.addSealed(h.sent.content)
	sent, got := h.sent.payload.Digest(), h.got.Digest()
	y.compared++
	y.bytes += int64(h.sent.payload.WireSize())
	y.sent, y.received = chain(y.sent, sent), chain(y.received, got)
	if sent != got {
		y.differ++
		why := "the binary itself is the same, but was encoded again"
		if err := t.opens(p, h); err != nil {
			why = "it cannot be opened: " + err.Error()
		}
		c.note("message %d (%s, %s): %d B with SHA-256 %x became %d B with %x: %s", y.compared, p.name(), h.kind,
			h.sent.payload.WireSize(), sent[:8], h.got.WireSize(), got[:8], why)
	}
	if h.attributes != h.sent.attributes {
		c.fail("message %d (%s, %s): the attributes beside the payload differ", y.compared, p.name(), h.kind)
	}
}

func chain(a, b [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append(a[:], b[:]...))
}
