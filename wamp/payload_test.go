package wamp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

const secret = "s3cr3t"

// revealer decodes payloads to the secret, so that it shows where something decodes.
type revealer struct{}

func (revealer) Serializer() wamp.Serializer { return wamp.JSON }

func (revealer) DecodePayload([]byte, int, wamp.ValueLimits) ([]any, map[string]any, error) {
	return []any{secret}, nil, nil
}

func payloads() map[string]wamp.Payload {
	tail := []byte(`["` + secret + `"]`)
	facts := wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1, Args: 1, Size: len(tail)}
	opaque, bare := facts, facts
	opaque.Opaque = true
	bare.Shape = wamp.ShapeBinary
	return map[string]wamp.Payload{
		"clear":  wamp.NewPayload(revealer{}, tail, facts),
		"opaque": wamp.NewPayload(revealer{}, tail, opaque),
		"bare":   wamp.NewPayload(revealer{}, tail, bare),
	}
}

// No way of printing or logging shows what a payload holds: not its text, nor
// its bytes as numbers or in hex.
func TestPayloadIsNeverShown(t *testing.T) {
	hidden := []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), "115 51", "0x73"}
	for kind, p := range payloads() {
		shown := map[string]string{}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "% x", "%q", "%d", "%t", "%p", "%T"} {
			shown["payload "+verb] = fmt.Sprintf(verb, p)
			shown["pointer "+verb] = fmt.Sprintf(verb, &p)
			shown["message "+verb] = fmt.Sprintf(verb, wamp.Publish{Payload: p})
			shown["pointer to message "+verb] = fmt.Sprintf(verb, &wamp.Publish{Payload: p})
			shown["list "+verb] = fmt.Sprintf(verb, []any{p, &p, map[string]any{"k": p}})
		}
		var text, structured bytes.Buffer
		for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, nil)), slog.New(slog.NewJSONHandler(&structured, nil))} {
			log.Info("m", "payload", p, "pointer", &p, "message", &wamp.Publish{Payload: p}, "value", wamp.Publish{Payload: p}, "list", []any{p})
		}
		shown["slog text"], shown["slog JSON"] = text.String(), structured.String()
		for name, v := range map[string]any{"payload": p, "pointer": &p, "message": &wamp.Publish{Payload: p}} {
			out, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			shown["JSON of "+name] = string(out)
		}
		for how, s := range shown {
			for _, h := range hidden {
				if strings.Contains(s, h) {
					t.Errorf("%s: %s shows %s", kind, how, s)
				}
			}
		}
		if want := "payload(" + map[string]string{"clear": "clear", "opaque": "opaque", "bare": "opaque"}[kind] + ", 10 B)"; p.String() != want {
			t.Errorf("%s: %s, want %s", kind, p, want)
		}
		if !strings.Contains(shown["slog text"], "payload(") || !strings.Contains(shown["JSON of message"], "payload(") {
			t.Errorf("%s: the payload is not described: %s, %s", kind, shown["slog text"], shown["JSON of message"])
		}
	}
}

func TestOpaqueIsNotDecoded(t *testing.T) {
	for kind, p := range payloads() {
		args, kwargs, err := p.Decode()
		if kind == "clear" {
			if err != nil || len(args) != 1 || args[0] != secret {
				t.Errorf("%s: %v, %v", kind, args, err)
			}
			continue
		}
		if !errors.Is(err, wamp.ErrOpaque) || args != nil || kwargs != nil || !p.Opaque() {
			t.Errorf("%s: %v, %v, %v", kind, args, kwargs, err)
		}
		c := p.Clone()
		if _, _, err := c.Decode(); !errors.Is(err, wamp.ErrOpaque) {
			t.Errorf("%s: its clone: %v", kind, err)
		}
	}
}

func TestPayloadClone(t *testing.T) {
	tail := []byte(`["a"]`)
	p := wamp.NewPayload(revealer{}, tail, wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1, Args: 1, Size: 5})
	c := p.Clone()
	if c.Digest() != p.Digest() {
		t.Error("a clone has the digest of its original")
	}
	tail[2] = 'b'
	if string(p.AppendTail(nil)) != `["b"]` || string(c.AppendTail(nil)) != `["a"]` {
		t.Errorf("%s, %s", p.AppendTail(nil), c.AppendTail(nil))
	}
}

func TestNoPayload(t *testing.T) {
	var p wamp.Payload
	args, kwargs, err := p.Decode()
	if args != nil || kwargs != nil || err != nil || p.Serializer() != 0 || p.Opaque() || p.String() != "payload(none)" {
		t.Errorf("%v, %v, %v, %v", args, kwargs, err, p)
	}
}
