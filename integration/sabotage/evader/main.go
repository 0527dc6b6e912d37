//go:build sabotage

// Command evader is a router whose validation is escaped by declaring a payload
// opaque.
package main

import (
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/passthrough"
)

func main() {
	rig.Run(rig.Sabotage{Rules: func(c *passthrough.Config) {
		for i := range c.Validation {
			c.Validation[i].Opaque = passthrough.Pass
		}
	}})
}
