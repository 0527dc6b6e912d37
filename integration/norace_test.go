//go:build !race

package integration

const matrixMessages = 5000
