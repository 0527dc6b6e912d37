//go:build race

package integration

// raceEnabled is whether the race detector makes everything ten times slower.
const raceEnabled = true
