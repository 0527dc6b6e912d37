// Package hostile holds the tests with peers and service managers that mean harm:
// broken bytes, messages that are not allowed, and more of everything than the
// limits allow.
package hostile
