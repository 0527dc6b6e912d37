package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// natsDialect speaks NATS's text protocol
// (https://docs.nats.io/reference/reference-protocols/nats-protocol), with
// payloads as long as WAMP's, a request being a publication with a reply
// subject.
type natsDialect struct{}

func (natsDialect) handshake(c *conn) error {
	if _, err := c.Write([]byte("CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"name\":\"bench\"}\r\nPING\r\n")); err != nil {
		return err
	}
	return c.await(kindJoined, 1)
}

func (natsDialect) confirmations(int) (kind, int) { return kindJoined, 1 }

func (natsDialect) subscribe(dst []byte, id int, t topic, last bool) []byte {
	dst = fmt.Appendf(dst, "SUB %s %d\r\n", t.uri, id)
	if last {
		dst = append(dst, "PING\r\n"...)
	}
	return dst
}

func (d natsDialect) register(dst []byte, id int, procedure string, last bool) []byte {
	return d.subscribe(dst, id, topic{uri: procedure}, last)
}

func inbox(caller int) string { return "_INBOX." + strconv.Itoa(caller) }

func (natsDialect) listen(c *conn, caller int) error {
	return c.subscribe(topic{uri: inbox(caller)})
}

func (natsDialect) publications(topics []string, w payload) *slab {
	body := noise(w.size)
	return fill(topics, func(dst []byte, name string) ([]byte, part) {
		dst = fmt.Appendf(dst, "PUB %s %d\r\n", name, w.size)
		return append(append(dst, body...), "\r\n"...), part{}
	})
}

func (natsDialect) calls(procedures []string, w payload, caller int) *slab {
	body := noise(w.size)
	return fill(procedures, func(dst []byte, name string) ([]byte, part) {
		dst = fmt.Appendf(dst, "PUB %s %s %d\r\n", name, inbox(caller), w.size)
		return append(append(dst, body...), "\r\n"...), part{}
	})
}

func (natsDialect) answerer(w payload) func(dst []byte, f *frame) []byte {
	rest := append([]byte(" "+strconv.Itoa(w.size)+"\r\n"), noise(w.size)...)
	rest = append(rest, "\r\n"...)
	return func(dst []byte, f *frame) []byte {
		dst = append(append(dst, "PUB "...), f.data...)
		return append(dst, rest...)
	}
}

func (natsDialect) pong(dst []byte, _ *frame) []byte { return append(dst, "PONG\r\n"...) }

// head reads one line: MSG subject sid [reply] size, or a word of the protocol.
func (natsDialect) head(b []byte) (frame, bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 1 {
		return frame{}, false
	}
	line := b[:end-1]
	f := frame{size: end + 1}
	switch {
	case bytes.HasPrefix(line, []byte("MSG ")):
		space := bytes.LastIndexByte(line, ' ')
		size, digits := 0, line[space+1:]
		for _, c := range digits {
			size = size*10 + int(c-'0')
		}
		f.size += size + 2
		f.kind = kindEvent
		if rest := line[4:space]; bytes.Count(rest, []byte{' '}) == 2 {
			f.kind = kindInvoked
			f.data = rest[bytes.LastIndexByte(rest, ' ')+1:]
		}
	case bytes.Equal(line, []byte("PING")):
		f.kind = kindPing
	case bytes.Equal(line, []byte("PONG")):
		f.kind = kindJoined
	case bytes.HasPrefix(line, []byte("-ERR")):
		f.kind, f.data = kindRefused, line
	}
	return f, true
}
