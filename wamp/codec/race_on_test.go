//go:build race

package codec

// raceEnabled: sync.Pool drops things at random under the race detector.
const raceEnabled = true
