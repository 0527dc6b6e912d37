package isolation

import (
	"bytes"
	"crypto/sha256"
	bits "encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// stamp is what each payload of TestMessagesReachOnlyTheirReceivers says of itself: who sent it,
// what it belongs to, and all that its receivers are to find beside it.
type stamp struct {
	Sender  uint32 // a member's number
	Seq     uint64 // of its sender's, from 1
	To, For uint64 // of an answer: the caller's number, and the Seq of what it answers
	Part    uint16 // of an answer: how many came before

	URI    uint8 // an index of crowdURIs
	Form   wamp.Form
	Key    uint8 // of what the attributes and the transaction_hash are made
	Target uint8 // of what the lists of receivers are made
	Lists  uint8
	Flags  uint8
}

const (
	stampDisclose = 1 << iota
	stampToMe     // exclude_me: false
	stampRetain
	stampProgress      // receive_progress
	stampMore          // progress: of a progressive call
	stampForbidden     // sent after it was forbidden
	stampListKinds = 7 // see listed
	blockSize      = 1 << 18
)

var crowdURIs = [...]wamp.URI{"com.crowd.t0", "com.crowd.t1", "com.crowd.shown", "com.crowd.kept", "com.crowd.quiet",
	"com.crowd.flip", "com.crowd.echo", "com.crowd.pre.echo", "com.crowd.wild"}

const (
	uriT0 = iota
	uriT1
	uriShown // the authorizer discloses who publishes or calls
	uriKept
	uriQuiet
	uriFlip // now allowed, now not
	uriEcho // shared
	uriPre  // registered as a prefix
	uriWild // registered as a wildcard
)

var stampSize = bits.Size(stamp{})

// payload makes the payload of a stamp, about size bytes: the stamp, a SHA-256 of
// it and the rest, and the rest.
func (st *stamp) payload(s wamp.Serializer, random *rand.Rand, block []byte, size int) (wamp.Payload, error) {
	size = max(size, stampSize+sha256.Size)
	data := make([]byte, 0, size)
	data, _ = bits.Append(data, bits.BigEndian, st)
	rest := size - stampSize - sha256.Size
	start := random.IntN(len(block) - rest)
	h := sha256.New()
	h.Write(data)
	h.Write(block[start : start+rest])
	data = append(h.Sum(data), block[start:start+rest]...)
	if st.Form != wamp.FormNone {
		return codec.BinaryPayload(s, st.Form, data), nil
	}
	var kwargs map[string]any
	if st.Key%2 == 1 {
		kwargs = map[string]any{"seq": int64(st.Seq)}
	}
	return codec.EncodePayload(s, []any{data}, kwargs)
}

// readStamp reads a payload, and says what is wrong with it.
func readStamp(p *wamp.Payload) (st stamp, err error) {
	var data []byte
	if data, _ = codec.Binary(p); !p.Opaque() {
		args, kwargs, err := p.Decode()
		if err != nil || len(args) != 1 {
			return st, fmt.Errorf("a clear payload of %d arguments, %v", len(args), err)
		}
		data, _ = args[0].([]byte)
		defer func() {
			if st.Key%2 == 1 && kwargs["seq"] != int64(st.Seq) || len(kwargs) != int(st.Key%2) {
				err = fmt.Errorf("%+v with the keywords %v", st, kwargs)
			}
		}()
	}
	if len(data) < stampSize+sha256.Size {
		return st, fmt.Errorf("%d bytes are no stamp", len(data))
	}
	_, _ = bits.Decode(data, bits.BigEndian, &st)
	h := sha256.New()
	h.Write(data[:stampSize])
	h.Write(data[stampSize+sha256.Size:])
	if !bytes.Equal(h.Sum(nil), data[stampSize:stampSize+sha256.Size]) {
		return st, fmt.Errorf("%d bytes that say %+v differ from what was sent", len(data), st)
	}
	if form := formOf(p); form != st.Form {
		return st, fmt.Errorf("%+v in form %v", st, form)
	}
	return st, nil
}

func formOf(p *wamp.Payload) wamp.Form {
	switch {
	case p.Shape() == wamp.ShapeBinary:
		return wamp.FormTransparency
	case p.Opaque():
		return wamp.FormPassthru
	}
	return wamp.FormNone
}

func (st *stamp) uri() wamp.URI       { return crowdURIs[st.URI] }
func (st *stamp) has(flag uint8) bool { return st.Flags&flag != 0 }

func (st *stamp) attributes() wamp.Attributes {
	switch st.Form {
	case wamp.FormTransparency:
		return wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json", EncKey: fmt.Sprint("key", st.Key)}
	case wamp.FormPassthru:
		return wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor", PPTKeyID: fmt.Sprint("key", st.Key)}
	}
	return wamp.Attributes{}
}

// hash is the transaction_hash that it is sent with; hash 3 is "changed" by an
// interceptor.
func (st *stamp) hash() string {
	if st.Key%4 == 0 {
		return ""
	}
	return fmt.Sprint("hash", st.Key%4)
}

func (st *stamp) flag(flag uint8) wamp.Flag {
	if st.has(flag) {
		return wamp.True
	}
	return wamp.Unset
}

// sizes are about where the router goes about payloads in another way.
var sizes = [...]int{100, 1000, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10}

func randomSize(r *rand.Rand) int {
	n := len(sizes)
	if r.IntN(8) > 0 {
		n -= 2
	}
	return sizes[r.IntN(n)] + r.IntN(1200) - 600
}

// next makes the stamp after st: mostly with the same options.
func (st *stamp) next(r *rand.Rand, uris ...uint8) {
	st.Seq++
	if r.IntN(10) < 5 {
		return
	}
	switch r.IntN(6) {
	case 0:
		st.URI = uris[r.IntN(len(uris))]
	case 1:
		st.Form = wamp.Form(r.IntN(3))
	case 2:
		st.Key = uint8(r.IntN(8))
	case 3:
		st.Lists, st.Target = uint8(max(0, r.IntN(2*stampListKinds)-stampListKinds)), uint8(r.IntN(crowdStable))
	case 4:
		st.Flags = uint8(r.IntN(stampForbidden)) &^ stampMore
	case 5:
		*st = stamp{Sender: st.Sender, Seq: st.Seq, URI: uris[r.IntN(len(uris))], Form: wamp.Form(r.IntN(3)), Key: st.Key}
	}
}
