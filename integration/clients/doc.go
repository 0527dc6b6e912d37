// Package clients holds the tests in which all the clients that seal talk to each
// other through the router: Go, Autobahn|Python with blindfold_seal, Autobahn|JS and
// wampy.js with @blindfold/seal, in Node.js and in a browser. make clients installs
// the others.
package clients
