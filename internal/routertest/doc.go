// Package routertest is what tests that need a whole router share.
//
//   - NewWorld starts a router in the test's process, with listeners; World.Join
//     opens a session of a Peer, which sends and expects message by message, and
//     World.Client one of package client.
//   - StartProcess runs the built program with a configuration, on free ports;
//     JoinProcess opens a session with it.
//   - Main, in TestMain, fails a package whose tests leave goroutines.
//
// Everything ends with the test. Tests tell stories about named peers: Alice
// publishes and calls, Bob subscribes and is called, Mallory means harm.
package routertest
