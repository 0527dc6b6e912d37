// Package malicious has the tests of sealed scopes against a router that does all
// that a router can: drop, delay, repeat, reorder, reflect, misdirect, make up.
package malicious
