package codec

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func benchPublish(s wamp.Serializer) *wamp.Publish {
	return &wamp.Publish{
		Request: 239714735,
		Options: wamp.PublishOptions{Attributes: wamp.Attributes{
			PPTScheme: "x_mine", PPTSerializer: "cbor", PPTCipher: "xsalsa20poly1305",
		}},
		Topic:   "com.example.sensors.temperature",
		Payload: BinaryPayload(s, wamp.FormPassthru, make([]byte, 256)),
	}
}

func BenchmarkDecodePublish(b *testing.B) {
	for _, s := range wamp.Serializers {
		b.Run(s.String(), func(b *testing.B) {
			frame, err := Append(nil, s, benchPublish(s))
			if err != nil {
				b.Fatal(err)
			}
			d := NewDecoder()
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(s, frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	for _, s := range wamp.Serializers {
		b.Run(s.String(), func(b *testing.B) {
			p := benchPublish(s)
			m := &wamp.Event{
				Subscription: 5512315355, Publication: 4429313566,
				Details: wamp.EventDetails{Attributes: p.Options.Attributes},
				Payload: p.Payload,
			}
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = Append(dst[:0], s, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkConvert(b *testing.B) {
	args := []any{int64(1), "two", 3.5, []byte("four"), map[string]any{"five": true}}
	for _, from := range wamp.Serializers {
		for _, to := range wamp.Serializers {
			if from == to {
				continue
			}
			b.Run(from.String()+"-"+to.String(), func(b *testing.B) {
				p, err := EncodePayload(from, args, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Convert(&p, to); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
