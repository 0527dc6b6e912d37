package metrics

import (
	"math/rand/v2"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The histogram counts as the library's does with the same bounds.
func TestHistogramAgainstTheLibrary(t *testing.T) {
	ours := newSizes("realm1", "PUBLISH")
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", Buckets: prometheus.ExponentialBuckets(64, 4, 10)})
	for _, n := range []uint64{0, 1, 63, 64, 65, 255, 256, 257, 1 << 24, 1<<24 + 1, 1 << 40} {
		ours.observe(n)
		theirs.Observe(float64(n))
	}
	for range 10000 {
		n := rand.Uint64() >> rand.IntN(64)
		n >>= 24
		ours.observe(n)
		theirs.Observe(float64(n))
	}
	got, want := written(t, ours), written(t, theirs)
	if got.GetSampleCount() != want.GetSampleCount() || len(got.GetBucket()) != len(want.GetBucket()) {
		t.Fatalf("%v samples in %d buckets, want %v in %d", got.GetSampleCount(), len(got.GetBucket()), want.GetSampleCount(), len(want.GetBucket()))
	}
	for i, b := range got.GetBucket() {
		w := want.GetBucket()[i]
		if b.GetUpperBound() != w.GetUpperBound() || b.GetCumulativeCount() != w.GetCumulativeCount() {
			t.Errorf("up to %v: %d; want up to %v: %d", b.GetUpperBound(), b.GetCumulativeCount(), w.GetUpperBound(), w.GetCumulativeCount())
		}
	}
}

func written(t *testing.T, c prometheus.Collector) *dto.Histogram {
	t.Helper()
	ch := make(chan prometheus.Metric, 1)
	c.Collect(ch)
	var m dto.Metric
	if err := (<-ch).Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetHistogram()
}
