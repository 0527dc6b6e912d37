//go:build race

package routertest

// RaceEnabled is whether the race detector makes everything ten times slower.
const RaceEnabled = true
