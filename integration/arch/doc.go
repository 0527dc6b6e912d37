// Package arch holds the tests of what package may import what, and of the other
// laws that keep the router unable to read payloads.
package arch
