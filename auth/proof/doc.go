// Package proof is the arithmetic of WAMP's authentication methods, which the
// side that proves (package answer) and the side that checks (package auth)
// share: secrets that don't show, WAMP-CRA's signatures, SCRAM's keys, and what
// binds a proof to a TLS connection. It decides nothing and keeps nothing.
package proof
