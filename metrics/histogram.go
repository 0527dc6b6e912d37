package metrics

import (
	"math/bits"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// histogram counts whole numbers in buckets whose bounds are powers of two. Finding the
// bucket needs no search: observing is two atomic additions. The library's histogram
// supports any bounds and exemplars, but costs several times as much, and every message
// pays for it.
type histogram struct {
	desc   *prometheus.Desc
	labels []string
	unit   float64 // of the numbers observed, in that of the metric
	first  int     // log2 of the first bucket's upper bound
	step   int     // log2 of what a bound is times the one before
	counts []atomic.Uint64
	sum    atomic.Uint64
}

// newHistogram makes a histogram with bounds unit × 2^first × 2^(step × i), for i
// below buckets.
func newHistogram(desc *prometheus.Desc, unit float64, first, step, buckets int, labels ...string) *histogram {
	return &histogram{desc: desc, labels: labels, unit: unit, first: first, step: step,
		counts: make([]atomic.Uint64, buckets+1)} // and one without bound
}

func (h *histogram) observe(n uint64) {
	i := 0
	if n > 1<<h.first {
		i = min((bits.Len64(n-1)-h.first-1)/h.step+1, len(h.counts)-1)
	}
	h.counts[i].Add(1)
	h.sum.Add(n)
}

// add adds the counts of another histogram with the same bounds.
func (h *histogram) add(other *histogram) {
	for i := range h.counts {
		h.counts[i].Add(other.counts[i].Load())
	}
	h.sum.Add(other.sum.Load())
}

// total returns how many numbers were observed.
func (h *histogram) total() (n uint64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Describe and Collect make it a prometheus.Collector.
func (h *histogram) Describe(ch chan<- *prometheus.Desc) { ch <- h.desc }

func (h *histogram) Collect(ch chan<- prometheus.Metric) {
	buckets := make(map[float64]uint64, len(h.counts))
	total := uint64(0)
	for i := range h.counts {
		total += h.counts[i].Load()
		if i < len(h.counts)-1 {
			buckets[h.unit*float64(uint64(1)<<(h.first+i*h.step))] = total
		}
	}
	ch <- prometheus.MustNewConstHistogram(h.desc, total, h.unit*float64(h.sum.Load()), buckets, h.labels...)
}

// opaqueSizes collects the metrics of opaque payloads of all realms. A message is counted
// once, in the histogram of its type, form and scheme. The other metrics are sums of
// these histograms.
type opaqueSizes struct{ m *Metrics }

func (opaqueSizes) Describe(ch chan<- *prometheus.Desc) {
	ch <- messagesDesc
	ch <- bytesDesc
	ch <- sizeDesc
}

func (c opaqueSizes) Collect(ch chan<- prometheus.Metric) {
	for name, r := range *c.m.realms.Load() {
		for t := range carriers {
			all := newSizes(name, typeNames[t])
			for f, form := range wamp.Forms {
				for s, scheme := range schemes {
					h := r.opaque[t][f][s]
					n := h.total()
					if n == 0 {
						continue // it appears with its first message
					}
					all.add(h)
					labels := []string{name, typeNames[t], form.String(), scheme}
					ch <- prometheus.MustNewConstMetric(messagesDesc, prometheus.CounterValue, float64(n), labels...)
					ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.CounterValue, float64(h.sum.Load()), labels...)
				}
			}
			all.Collect(ch)
		}
	}
}

var (
	messagesDesc = prometheus.NewDesc("blindfold_opaque_messages_total",
		"Messages with an opaque payload that were routed.", []string{"realm", "type", "form", "scheme"}, nil)
	bytesDesc = prometheus.NewDesc("blindfold_opaque_payload_bytes_total",
		"Content bytes of the opaque payloads that were routed.", []string{"realm", "type", "form", "scheme"}, nil)
	sizeDesc = prometheus.NewDesc("blindfold_opaque_payload_size_bytes",
		"Content bytes of the opaque payloads that were routed.", []string{"realm", "type"}, nil)
	routeDesc = prometheus.NewDesc("blindfold_route_seconds",
		"Time from the arrival of a message's frame to its handing to the last receiver's queue.", nil, nil)
)

// newSizes counts bytes from 64 B to 16 MiB.
func newSizes(realm, messageType string) *histogram {
	return newHistogram(sizeDesc, 1, 6, 2, 10, realm, messageType)
}

// newRoute counts nanoseconds from about 1 µs to about 1 s.
func newRoute() *histogram { return newHistogram(routeDesc, 1e-9, 10, 1, 21) }
