package scope

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/blindfold-wamp/blindfold/internal/values"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// The attributes of a message ("Messages").
const (
	scheme     = "x_blindfold_1"
	serializer = "cbor"
	cipherName = "aes256gcm"
)

const (
	streamSize = 12
	headSize   = streamSize + 4
	tagSize    = 16
	// minPayload is a message with an empty body.
	minPayload = headSize + ed25519.SignatureSize + 12 + tagSize
)

// kind is the kind of a message ("Body").
type kind uint64

const (
	kindEvent kind = iota
	kindEventToSome
	kindCall
	kindCallInputsFollow
	kindInput
	kindLastInput
	kindResult
	kindProgress
	kindError
	kinds // how many there are
)

// right returns what the sender has to be allowed.
func (k kind) right() Rights {
	switch k {
	case kindEvent, kindEventToSome:
		return Publish
	case kindCall, kindCallInputsFollow, kindInput, kindLastInput:
		return Call
	}
	return Register
}

// bound reports whether the message belongs to a call that has begun.
func (k kind) bound() bool { return k >= kindInput }

// fits reports whether a message of that kind may come as on, where begun tells
// that its call has.
func (k kind) fits(on *wamp.Subject, begun bool) bool {
	switch on.Type {
	case wamp.TypePublish:
		return k == kindEvent || k == kindEventToSome
	case wamp.TypeCall:
		return k == callKind(on.Progress, begun)
	case wamp.TypeYield:
		return k == resultKind(on.Progress)
	}
	return k == kindError
}

func callKind(progress, begun bool) kind {
	switch {
	case !begun && progress:
		return kindCallInputsFollow
	case !begun:
		return kindCall
	case progress:
		return kindInput
	}
	return kindLastInput
}

func resultKind(progress bool) kind {
	if progress {
		return kindProgress
	}
	return kindResult
}

// stream is what one sender numbers its messages under.
type stream [streamSize]byte

// body is what a message says.
type body struct {
	kind     kind
	sender   uint64
	time     uint64 // milliseconds since the epoch's not before
	hint     [4]byte
	args     []any
	kwargs   map[string]any
	index    uint64
	callHint [4]byte
}

// encodeContent returns the CBOR of args and of kwargs, one behind the other.
func encodeContent(args []any, kwargs map[string]any) ([]byte, error) {
	args, kwargs, err := values.Payload(args, kwargs)
	if err != nil {
		return nil, ErrValue.because(err.Error())
	}
	if len(args) == 0 && len(kwargs) == 0 {
		return []byte{majorArray << 5, majorMap << 5}, nil
	}
	if args == nil {
		args = []any{}
	}
	out, err := values.Encoding.Marshal(args)
	if err != nil {
		return nil, ErrValue.because("no CBOR for it")
	}
	if len(kwargs) == 0 {
		return append(out, majorMap<<5), nil
	}
	more, err := values.Encoding.Marshal(kwargs)
	if err != nil {
		return nil, ErrValue.because("no CBOR for it")
	}
	return append(out, more...), nil
}

// encode returns the CBOR of the body; content is that of its args and kwargs.
func (b *body) encode(content []byte) []byte {
	n := uint64(6)
	if b.kind.bound() {
		n = 8
	}
	out := appendHead(make([]byte, 0, len(content)+40), majorArray, n)
	out = appendUint(out, uint64(b.kind))
	out = appendUint(out, b.sender)
	out = appendUint(out, b.time)
	out = appendBytes(out, b.hint[:])
	out = append(out, content...)
	if b.kind.bound() {
		out = appendUint(out, b.index)
		out = appendBytes(out, b.callHint[:])
	}
	return out
}

var errBody = ErrMalformed.because("the body does not parse")

func parseBody(data []byte) (*body, error) {
	r := &reader{rest: data}
	n := r.head(majorArray)
	b := &body{kind: kind(r.uint()), sender: r.uint(), time: r.uint()}
	copy(b.hint[:], r.fixed(4))
	if r.broken || b.kind >= kinds || b.time > maxMillis || n != 6 && n != 8 || (n == 8) != b.kind.bound() {
		return nil, errBody
	}
	var args, kwargs any
	var err error
	if args, r.rest, err = value(r.rest); err != nil {
		return nil, err
	}
	if kwargs, r.rest, err = value(r.rest); err != nil {
		return nil, err
	}
	var isList, isDict bool
	b.args, isList = args.([]any)
	b.kwargs, isDict = kwargs.(map[string]any)
	if n == 8 {
		b.index = r.uint()
		copy(b.callHint[:], r.fixed(4))
	}
	if !isList || !isDict || !r.done() {
		return nil, errBody
	}
	return b, nil
}

// value reads one value of a payload.
func value(data []byte) (v any, rest []byte, err error) {
	if rest, err = values.Decoding.UnmarshalFirst(data, &v); err != nil {
		return nil, nil, errBody
	}
	if v, err = values.FromCBOR(v); err != nil {
		return nil, nil, ErrMalformed.because(err.Error())
	}
	return v, rest, nil
}

// leaf is what the signature covers ("Signature").
func leaf(epoch *[32]byte, s stream, number uint32, call *[32]byte, uri *[32]byte, body []byte) [32]byte {
	h := sha256.New()
	var b [1 + 32 + headSize]byte
	copy(b[1:], epoch[:])
	copy(b[33:], s[:])
	binary.BigEndian.PutUint32(b[33+streamSize:], number)
	h.Write(b[:])
	h.Write(call[:])
	h.Write(uri[:])
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

const messageContext = "blindfold message 1\n"

// signedRoot is what Ed25519 signs.
func signedRoot(root *[32]byte) []byte {
	return append(append(make([]byte, 0, len(messageContext)+32), messageContext...), root[:]...)
}

// newAEAD returns the cipher of a stream in an epoch.
func newAEAD(secret *[32]byte, epoch *[32]byte, s stream) cipher.AEAD {
	block, err := aes.NewCipher(hkdfKey(secret, epoch, s))
	if err != nil {
		panic("scope: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("scope: " + err.Error())
	}
	return aead
}

// hkdfKey returns the key of a stream in an epoch.
func hkdfKey(secret *[32]byte, epoch *[32]byte, s stream) []byte {
	key, err := hkdf.Key(sha256.New, secret[:], s[:], "blindfold message key 1\n"+string(epoch[:]), 32)
	if err != nil {
		panic("scope: " + err.Error()) // only for lengths out of range
	}
	return key
}

// header returns stream ‖ number, the nonce and the additional data.
func header(epoch *[32]byte, s stream, number uint32) (head [headSize]byte, nonce [12]byte, aad [32 + headSize]byte) {
	copy(head[:], s[:])
	binary.BigEndian.PutUint32(head[streamSize:], number)
	copy(nonce[8:], head[streamSize:])
	copy(aad[:], epoch[:])
	copy(aad[32:], head[:])
	return head, nonce, aad
}

// padded returns the length that Padmé gives to n.
func padded(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1
	s := bits.Len(uint(e))
	mask := 1<<(e-s) - 1
	return (n + mask) &^ mask
}

// sealPlain returns the payload of a signed body.
func sealPlain(aead cipher.AEAD, epoch *[32]byte, s stream, number uint32, signature []byte, proof []byte, body []byte) []byte {
	n := padded(len(signature) + len(proof) + len(body) + 1)
	head, nonce, aad := header(epoch, s, number)
	payload := make([]byte, headSize, headSize+n+tagSize)
	copy(payload, head[:])
	plain := payload[headSize : headSize : headSize+n]
	plain = append(append(append(append(plain, signature...), proof...), body...), 0x80)
	plain = plain[:n] // zeros, as made
	return aead.Seal(payload, nonce[:], plain, aad[:])
}

// plaintext is an opened message in its parts.
type plaintext struct {
	signature []byte
	proof     proof
	body      []byte
}

func parsePlain(data []byte) (p plaintext, err error) {
	data = bytes.TrimRight(data, "\x00")
	if len(data) < ed25519.SignatureSize+2 || data[len(data)-1] != 0x80 {
		return p, ErrMalformed.because("the padding")
	}
	data = data[:len(data)-1]
	p.signature, data = data[:ed25519.SignatureSize], data[ed25519.SignatureSize:]
	p.proof, p.body, err = parseProof(data)
	return p, err
}
