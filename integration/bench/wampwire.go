package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// wampDialect speaks WAMP. Messages are encoded once; from then on only ids
// change.
type wampDialect struct {
	websocket  bool
	address    string // for the Host header
	path       string
	serializer wamp.Serializer
	realm      string
}

// Ids that stand in a template for those to come: each is as wide as it can be.
const (
	narrow wamp.ID = 0x7ffffffe
	wide   wamp.ID = 1<<53 - 1
)

// maskKey masks what we send over WebSocket. Any key will do here, and this one
// is not zero, which would be no work for the server.
var maskKey = [4]byte{0x5a, 0xc3, 0x17, 0xe8}

func (d *wampDialect) handshake(c *conn) error {
	var err error
	if d.websocket {
		err = d.upgrade(c)
	} else {
		err = d.greet(c)
	}
	if err != nil {
		return err
	}
	role := wamp.Role{Present: true, Features: wamp.NewFeatures(wamp.PayloadPassthruMode, wamp.PayloadTransparency, wamp.PayloadEncryptionCryptobox)}
	hello := &wamp.Hello{Realm: wamp.URI(d.realm), Details: wamp.HelloDetails{
		Roles: wamp.Roles{Publisher: role, Subscriber: role, Caller: role, Callee: role}}}
	if _, err := c.Write(d.frame(nil, hello)); err != nil {
		return err
	}
	return c.await(kindJoined, 1)
}

// greet is RawSocket's handshake; we take messages of up to 16 MiB.
func (d *wampDialect) greet(c *conn) error {
	if _, err := c.Write([]byte{0x7f, 0xf0 | byte(d.serializer), 0, 0}); err != nil {
		return err
	}
	var answer [4]byte
	if _, err := io.ReadFull(c.Conn, answer[:]); err != nil {
		return err
	}
	if answer[0] != 0x7f || answer[1]&0xf != byte(d.serializer) {
		return fmt.Errorf("the RawSocket handshake was answered with %x", answer)
	}
	return nil
}

func (d *wampDialect) upgrade(c *conn) error {
	_, err := fmt.Fprintf(c.Conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: wamp.2.%s\r\n\r\n", d.path, d.address, d.serializer)
	if err != nil {
		return err
	}
	// The server has nothing to say before our HELLO, so nothing of WAMP is
	// lost in this reader.
	r := bufio.NewReaderSize(c.Conn, 4096)
	for first := true; ; first = false {
		line, err := r.ReadString('\n')
		switch {
		case err != nil:
			return err
		case first && !strings.Contains(line, " 101 "):
			return errors.New("the WebSocket handshake was answered with " + printable([]byte(line)))
		case line == "\r\n":
			return nil
		}
	}
}

// frame appends a message, framed. It may only fail for what this program itself
// gets wrong.
func (d *wampDialect) frame(dst []byte, m wamp.Message) []byte {
	body, err := codec.Append(nil, d.serializer, m)
	if err != nil {
		panic(err)
	}
	return d.wrap(dst, 0, body)
}

// wrap appends a frame around body. op is RawSocket's: 0 a message, 2 a PONG.
func (d *wampDialect) wrap(dst []byte, op byte, body []byte) []byte {
	if !d.websocket {
		dst = binary.BigEndian.AppendUint32(dst, uint32(op)<<24|uint32(len(body)))
		return append(dst, body...)
	}
	first := byte(0x82)
	switch {
	case op == 2:
		first = 0x8a
	case d.serializer == wamp.JSON:
		first = 0x81
	}
	dst = append(dst, first)
	switch {
	case len(body) < 126:
		dst = append(dst, 0x80|byte(len(body)))
	case len(body) < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(len(body)))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(len(body)))
	}
	dst = append(dst, maskKey[:]...)
	at := len(dst)
	dst = append(dst, body...)
	for i := range body {
		dst[at+i] ^= maskKey[i&3]
	}
	return dst
}

// template appends a message that holds the id narrow or wide, and says where.
func (d *wampDialect) template(dst []byte, m wamp.Message, id wamp.ID) ([]byte, part) {
	body, err := codec.Append(nil, d.serializer, m)
	if err != nil {
		panic(err)
	}
	var needle []byte
	p := part{text: d.serializer == wamp.JSON}
	switch {
	case p.text:
		needle = strconv.AppendUint(nil, uint64(id), 10)
	case id == narrow:
		needle = binary.BigEndian.AppendUint32(nil, uint32(id))
	default:
		needle = binary.BigEndian.AppendUint64(nil, uint64(id))
	}
	at := bytes.Index(body, needle)
	if at < 0 {
		panic("a template without its id")
	}
	p.width = len(needle)
	dst = d.wrap(dst, 0, body)
	p.at = len(dst) - len(body) + at
	if d.websocket {
		for i := range p.mask {
			p.mask[i] = maskKey[(at+i)&3]
		}
	}
	p.end = len(dst)
	return dst, p
}

func (d *wampDialect) subscribe(dst []byte, id int, t topic, _ bool) []byte {
	return d.frame(dst, &wamp.Subscribe{Request: wamp.ID(id), Topic: wamp.URI(t.uri), Options: wamp.SubscribeOptions{Match: t.match}})
}

func (d *wampDialect) register(dst []byte, id int, procedure string, _ bool) []byte {
	// The callee of the run before may not be known to have gone.
	return d.frame(dst, &wamp.Register{Request: wamp.ID(id), Procedure: wamp.URI(procedure), Options: wamp.RegisterOptions{ForceReregister: wamp.True}})
}

func (d *wampDialect) confirmations(requests int) (kind, int) { return kindDone, requests }

func (d *wampDialect) listen(*conn, int) error { return nil }

// sealed makes a payload of random-looking bytes, and the attributes that
// declare it.
func (d *wampDialect) sealed(w payload) (wamp.Payload, wamp.Attributes) {
	if w.form == "transparency" {
		return codec.BinaryPayload(d.serializer, wamp.FormTransparency, noise(w.size)),
			wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}
	}
	return codec.BinaryPayload(d.serializer, wamp.FormPassthru, noise(w.size)),
		wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor", PPTCipher: "xsalsa20poly1305"}
}

func (d *wampDialect) publications(topics []string, w payload) *slab {
	sealed, attributes := d.sealed(w)
	return fill(topics, func(dst []byte, name string) ([]byte, part) {
		return d.template(dst, &wamp.Publish{Request: narrow, Topic: wamp.URI(name), Payload: sealed,
			Options: wamp.PublishOptions{Attributes: attributes}}, narrow)
	})
}

func (d *wampDialect) calls(procedures []string, w payload, _ int) *slab {
	sealed, attributes := d.sealed(w)
	return fill(procedures, func(dst []byte, name string) ([]byte, part) {
		return d.template(dst, &wamp.Call{Request: narrow, Procedure: wamp.URI(name), Payload: sealed,
			Options: wamp.CallOptions{Attributes: attributes}}, narrow)
	})
}

func (d *wampDialect) answerer(w payload) func(dst []byte, f *frame) []byte {
	sealed, attributes := d.sealed(w)
	yield, p := d.template(nil, &wamp.Yield{Request: wide, Payload: sealed, Options: wamp.ResultDetails{Attributes: attributes}}, wide)
	return func(dst []byte, f *frame) []byte {
		p.patch(yield, f.id)
		return append(dst, yield...)
	}
}

func (d *wampDialect) pong(dst []byte, f *frame) []byte { return d.wrap(dst, 2, f.data) }

// head reads the frame's head and the message's first two elements.
func (d *wampDialect) head(b []byte) (frame, bool) {
	var at, n int
	var control, closing, ping bool
	if d.websocket {
		if len(b) < 2 {
			return frame{}, false
		}
		at, n = 2, int(b[1]&0x7f)
		switch n {
		case 126:
			if len(b) < 4 {
				return frame{}, false
			}
			at, n = 4, int(binary.BigEndian.Uint16(b[2:]))
		case 127:
			if len(b) < 10 {
				return frame{}, false
			}
			at, n = 10, int(binary.BigEndian.Uint64(b[2:]))
		}
		op := b[0] & 0xf
		control, closing, ping = op >= 8, op == 8, op == 9
	} else {
		if len(b) < 4 {
			return frame{}, false
		}
		at, n = 4, int(binary.BigEndian.Uint32(b)&0xffffff)
		control, ping = b[0]&7 != 0, b[0]&7 == 1
	}
	f := frame{size: at + n}
	if control {
		if len(b) < f.size {
			return f, false
		}
		f.data = b[at:f.size]
		switch {
		case closing:
			f.kind = kindRefused
		case ping:
			f.kind = kindPing
		}
		return f, true
	}
	const elements = 32 // bytes that surely hold the type and the first id
	if len(b) < at+min(n, elements) {
		return f, false
	}
	body := b[at:min(len(b), f.size)]
	var kind uint64
	switch d.serializer {
	case wamp.JSON:
		kind, f.id = twoJSON(body)
	case wamp.MsgPack:
		kind, f.id = twoBinary(body, msgpackUint)
	default:
		kind, f.id = twoBinary(body, cborUint)
	}
	switch wamp.MessageType(kind) {
	case wamp.TypeEvent:
		f.kind = kindEvent
	case wamp.TypeResult:
		f.kind = kindResult
	case wamp.TypeInvocation:
		f.kind = kindInvoked
	case wamp.TypeWelcome:
		f.kind = kindJoined
	case wamp.TypeSubscribed, wamp.TypeRegistered:
		f.kind = kindDone
	case wamp.TypeAbort, wamp.TypeError, wamp.TypeGoodbye:
		f.kind = kindRefused
		f.data = body
		return f, len(b) >= f.size
	}
	return f, true
}

// twoBinary reads an array's first two elements; the second is 0 if it is no
// integer.
func twoBinary(b []byte, read func(b []byte) (v uint64, size int)) (first, second uint64) {
	if len(b) < 2 {
		return 0, 0
	}
	at := 1
	if b[0] == 0xdc || b[0] == 0x98 { // an array with its length behind: array 16, or CBOR's with one byte
		at = map[byte]int{0xdc: 3, 0x98: 2}[b[0]]
		if len(b) <= at {
			return 0, 0
		}
	}
	first, n := read(b[at:])
	second, _ = read(b[at+n:])
	return first, second
}

func msgpackUint(b []byte) (uint64, int) {
	switch {
	case len(b) == 0:
	case b[0] < 0x80:
		return uint64(b[0]), 1
	case (b[0] == 0xcc || b[0] == 0xd0) && len(b) >= 2:
		return uint64(b[1]), 2
	case (b[0] == 0xcd || b[0] == 0xd1) && len(b) >= 3:
		return uint64(binary.BigEndian.Uint16(b[1:])), 3
	case (b[0] == 0xce || b[0] == 0xd2) && len(b) >= 5:
		return uint64(binary.BigEndian.Uint32(b[1:])), 5
	case (b[0] == 0xcf || b[0] == 0xd3) && len(b) >= 9:
		return binary.BigEndian.Uint64(b[1:]), 9
	}
	return 0, 0
}

func cborUint(b []byte) (uint64, int) {
	switch {
	case len(b) == 0:
	case b[0] < 24:
		return uint64(b[0]), 1
	case b[0] == 24 && len(b) >= 2:
		return uint64(b[1]), 2
	case b[0] == 25 && len(b) >= 3:
		return uint64(binary.BigEndian.Uint16(b[1:])), 3
	case b[0] == 26 && len(b) >= 5:
		return uint64(binary.BigEndian.Uint32(b[1:])), 5
	case b[0] == 27 && len(b) >= 9:
		return binary.BigEndian.Uint64(b[1:]), 9
	}
	return 0, 0
}

func twoJSON(b []byte) (uint64, uint64) {
	var out [2]uint64
	at := 1
	for i := range out {
		for at < len(b) && (b[at] == ' ' || b[at] == ',') {
			at++
		}
		for ; at < len(b) && b[at] >= '0' && b[at] <= '9'; at++ {
			out[i] = out[i]*10 + uint64(b[at]-'0')
		}
	}
	return out[0], out[1]
}

// noise is n bytes without a pattern that a compressor or a lookup could use.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint64(0x9e3779b97f4a7c15)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}
