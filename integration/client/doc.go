// Package client holds the tests of package client against a router: sessions,
// sealing, authentication, TLS, reconnecting, closing.
package client
