//go:build race

package transport

const raceEnabled = true // under which pools drop what they are given
