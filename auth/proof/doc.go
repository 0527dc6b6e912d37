// Package proof has the computations of WAMP's authentication methods that the client's
// side (package answer) and the router's side (package auth) share: secrets that redact
// themselves, the signatures of WAMP-CRA, the keys of SCRAM, and the binding of a proof
// to a TLS connection. It makes no decisions and keeps no state.
package proof
