package proof

import (
	"math"
	"testing"
)

func TestInteger(t *testing.T) {
	for _, v := range []any{7, int64(7), uint64(7), 7.0} {
		if n, ok := Integer(v); n != 7 || !ok {
			t.Errorf("%T: %d, %v", v, n, ok)
		}
	}
	for _, v := range []any{int64(0), float64(1<<31 - 1), uint64(1<<31 - 1)} {
		if _, ok := Integer(v); !ok {
			t.Errorf("%T %v is refused", v, v)
		}
	}
	for _, v := range []any{-1, int64(-1), int64(1 << 31), int64(math.MinInt64), uint64(1 << 31), uint64(math.MaxUint64), -1.0, 0.5, math.NaN(), math.Inf(1), 1e300, "7", nil, true} {
		if n, ok := Integer(v); ok {
			t.Errorf("%T %v is taken for %d", v, v, n)
		}
	}
}
