// Package spec holds the tests of what the WAMP specification asks of a router,
// feature by feature, for clear and for opaque payloads: calls, publications, the
// meta API, history, closing, request ids, and the conversion of payloads. The
// router runs in the test's process; peers send single messages.
package spec
