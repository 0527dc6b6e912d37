package main

import (
	"fmt"
	"io"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// bench is one case: some work over one transport and serializer, and what is
// asked of it.
type bench struct {
	Name       string
	transport  string
	serializer wamp.Serializer
	fanout     *fanout
	calling    *calling
	idling     *idling
	bars       bars
}

// bars are what the router must reach, as ratios to nats-server in the same
// run; zero asks nothing.
type bars struct {
	Rate  float64 `json:"rate,omitempty"`              // at least
	CPU   float64 `json:"cpu,omitempty"`               // at most
	P99   float64 `json:"p99,omitempty"`               // at most
	Bytes float64 `json:"bytes_per_session,omitempty"` // at most; no ratio
}

const kB = 1000

func sizeName(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

// cases are the bars that this project sets itself.
func cases(quick bool) (out []bench) {
	sizes := []int{256, 4096}
	forms := []string{"passthru", "transparency"}
	serializers := []wamp.Serializer{wamp.MsgPack, wamp.CBOR}
	add := func(name, transport string, s wamp.Serializer, form string, size int, b bench) {
		b.Name = fmt.Sprintf("%s/%s/%s/%s/%s", name, transport, s, form, sizeName(size))
		b.transport, b.serializer = transport, s
		p := payload{size: size, form: form}
		if b.fanout != nil {
			b.fanout.payload, b.fanout.topics = p, []string{"com.bench.topic"}
		} else {
			b.calling.payload, b.calling.procedures = p, []string{"com.bench.procedure"}
		}
		out = append(out, b)
	}
	for _, subscribers := range []int{16, 100} {
		for _, s := range serializers {
			for _, form := range forms {
				for _, size := range sizes {
					asked := bars{Rate: 1.3, CPU: 0.7}
					if size > 1024 {
						asked = bars{Rate: 1.1, CPU: 0.9}
					}
					add(fmt.Sprintf("fanout-%d", subscribers), "rawsocket", s, form, size,
						bench{fanout: &fanout{subscribers: subscribers, window: 64}, bars: asked})
				}
			}
		}
	}
	for _, s := range []wamp.Serializer{wamp.MsgPack, wamp.JSON} {
		for _, size := range sizes {
			asked := bars{Rate: 1.2}
			if s == wamp.JSON {
				asked.Rate = 1.0
			}
			add("fanout-16", "websocket", s, "passthru", size,
				bench{fanout: &fanout{subscribers: 16, window: 64}, bars: asked})
		}
	}
	for _, s := range serializers {
		add("one-to-one", "rawsocket", s, "passthru", 256,
			bench{fanout: &fanout{subscribers: 1, window: 512}, bars: bars{Rate: 1.3}})
	}
	for _, s := range serializers {
		for _, size := range sizes {
			asked := bars{Rate: 1.0, P99: 1.2}
			if size > 1024 {
				asked.Rate = 0.8
			}
			add("calls", "rawsocket", s, "passthru", size, bench{calling: &calling{callers: 4, window: 16}, bars: asked})
		}
	}
	add("calls-paced", "rawsocket", wamp.MsgPack, "passthru", 256,
		bench{calling: &calling{callers: 4, window: 16, pace: 10_000}, bars: bars{P99: 1.2}})
	for _, size := range sizes {
		add("calls-one", "rawsocket", wamp.MsgPack, "passthru", size,
			bench{calling: &calling{callers: 1, window: 1}, bars: bars{P99: 1.1}})
	}
	for _, size := range sizes {
		add("burst-16", "rawsocket", wamp.MsgPack, "passthru", size,
			bench{fanout: &fanout{subscribers: 16, window: 4096, burst: true}})
	}
	idle := idling{sessions: 10_000, wait: 30 * time.Second}
	if quick {
		idle = idling{sessions: 500, wait: time.Second}
	}
	for transport, most := range map[string]float64{"rawsocket": 8 * kB, "websocket": 10 * kB} {
		out = append(out, bench{Name: "idle/" + transport, transport: transport, serializer: wamp.MsgPack,
			idling: &idle, bars: bars{Bytes: most}})
	}
	if last := out[len(out)-2:]; last[0].Name > last[1].Name { // a map has no order
		last[0], last[1] = last[1], last[0]
	}
	return out
}

// list prints the names.
func list(w io.Writer) {
	for _, c := range cases(false) {
		fmt.Fprintln(w, c.Name)
	}
	for _, c := range curves() {
		fmt.Fprintln(w, c.Name, "(with --growth)")
	}
}
