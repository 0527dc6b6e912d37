package cluster

import (
	"errors"
	"testing"
	"testing/synctest"
)

// Many that come during one round trip wait for one more, which begins after they came,
// and get its error.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x shared
		trips, release, failed := 0, make(chan struct{}), errors.New("failed")
		roundTrip := func() error {
			if trips++; trips == 1 {
				<-release
				return nil
			}
			return failed
		}
		go func() {
			if err := x.do(roundTrip); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		for range 100 {
			go func() {
				if err := x.do(roundTrip); err != failed {
					t.Error("got the answer of a round trip that began before it came")
				}
			}()
		}
		synctest.Wait()
		close(release)
		synctest.Wait()
		if trips != 2 {
			t.Errorf("%d round trips", trips)
		}
		if x.do(roundTrip) != failed || trips != 3 {
			t.Error("nobody can ask any more")
		}
	})
}
