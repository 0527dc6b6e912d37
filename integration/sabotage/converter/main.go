//go:build sabotage

// Command converter is a router that converts opaque payloads for receivers with
// another serializer.
package main

import (
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/passthrough"
)

func main() {
	rig.Run(rig.Sabotage{Rules: func(c *passthrough.Config) { c.Conversion = passthrough.Reframe }})
}
