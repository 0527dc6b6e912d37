//go:build race

package integration

// matrixMessages is fewer under the race detector, which makes copying a
// megabyte slow; CI runs the matrix without it as well.
const matrixMessages = 500
