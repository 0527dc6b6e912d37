// Package faults holds the tests of what goes wrong without ill will: readers
// that freeze, processes and networks that stop, clocks that jump, thousands that
// reconnect at once, a router that shuts down or reads a new configuration.
package faults
