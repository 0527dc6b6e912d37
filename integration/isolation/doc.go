// Package isolation holds the test that no message reaches anybody it is not for:
// hundreds of peers in several realms do everything at once, and each message
// carries who sent it, to whom, and for what.
package isolation
