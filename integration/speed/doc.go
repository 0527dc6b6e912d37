// Package speed holds the benchmarks of the whole router. Benchmarks of one
// package are in that package; integration/bench is the program that compares
// with nats-server.
package speed
