// Package interop holds the tests with the clients that others wrote:
// Autobahn|Python, Autobahn|JS and wampy. js and testdata/autobahn are the
// programs that these clients run.
package interop
