//go:build sabotage

// Command counter is a router that counts what it sees in payloads.
package main

import (
	"bytes"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func main() {
	dull := prometheus.NewCounter(prometheus.CounterOpts{Name: "dull_payloads_total", Help: "Payloads with long runs of the same byte."})
	rig.Run(rig.Sabotage{
		Metrics: []prometheus.Collector{dull},
		Interceptors: []router.Interceptor{rig.Receiver(func(t *wamp.RoutedMessage) error {
			if p, _ := rig.Carried(t); p != nil {
				tail := p.AppendTail(nil)
				if bytes.Contains(tail, make([]byte, 16)) || bytes.Contains(tail, []byte("AAAAAAAAAAAAAAAA")) {
					dull.Inc()
				}
			}
			return nil
		})},
	})
}
