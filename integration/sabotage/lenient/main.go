//go:build sabotage

// Command lenient is a router that lets clear text through, whatever its rules
// ask for.
package main

import (
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/passthrough"
)

func main() {
	rig.Run(rig.Sabotage{Rules: func(c *passthrough.Config) { c.Require = nil }})
}
