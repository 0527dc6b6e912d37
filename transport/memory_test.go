package transport

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// A Pipe carries everything that a socket does, of any size, both ways.
func TestPipe(t *testing.T) {
	client, server := Pipe(wamp.CBOR)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		echo(server)
	}()
	client.SetReadDeadline(time.Now().Add(patience))
	for _, n := range []int{0, 1, pipeSize, 3 * pipeSize, 1 << 20} {
		body := bytes.Repeat([]byte("x"), n)
		sent := make(chan error, 1)
		go func() {
			_, err := client.Write([][]byte{client.Framing().AppendFrame(nil, OpMessage, body)}, patience)
			sent <- err
		}()
		if f := receive(t, client); !bytes.Equal(f.Body, body) {
			t.Errorf("%d bytes came back as %d", n, len(f.Body))
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	if i := server.Info(); i.Transport != "memory" || i.Serializer != wamp.CBOR {
		t.Errorf("%+v", i)
	}
	client.Close()
	<-ended
	if _, err := server.Read(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

// What was given to a Pipe is the caller's again.
func TestPipeCopies(t *testing.T) {
	client, server := Pipe(wamp.CBOR)
	defer client.Close()
	frame := FramingMemory.AppendFrame(nil, OpMessage, []byte("before"))
	if n, err := client.TryWrite([][]byte{frame}); err != nil || n != len(frame) {
		t.Fatal(n, err)
	}
	copy(frame[len(frame)-6:], "after!")
	if f, err := server.Read(); err != nil || string(f.Body) != "before" {
		t.Errorf("%q, %v", f.Body, err)
	}
}

func TestPipeIsBounded(t *testing.T) {
	client, server := Pipe(wamp.CBOR)
	defer client.Close()
	defer server.Close()
	total := 0
	for range 1000 {
		n, err := client.TryWrite([][]byte{make([]byte, 1000)})
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if total != pipeSize {
		t.Errorf("%d bytes fit", total)
	}
}
