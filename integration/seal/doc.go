// Package seal holds the tests of the command seal: scripts of what it does, and
// seal verify against this router and against sabotaged ones.
package seal
