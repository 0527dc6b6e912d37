package transport

import (
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// What the table of addresses takes is what docs/limits.md says of each; and those that
// may connect as they like are forgotten.
func TestAddressesMemory(t *testing.T) {
	limits := Limits{ConnectRate: 1, PerAddress: 1}
	const n = 100_000
	var table addresses
	now := time.Now()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if refusal := table.acquire(a, limits, now); refusal != nil {
			t.Fatal(refusal)
		}
		table.release(a)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n; each > 256*3/2 || each < 16 {
		t.Errorf("an address takes %d bytes", each)
	}
	now = now.Add(time.Minute)
	for i := range table.sweepAt - len(table.known) + 1 {
		table.acquire(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), limits, now)
	}
	if len(table.known) > n {
		t.Errorf("%d addresses are kept that may go", len(table.known)-n)
	}
}
