//go:build sabotage && linux

package main

import (
	"encoding/hex"
	"os"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/internal/memorytest"
)

// hideKey keeps a key in memory of the kind that SABOTAGE_BY names. It gets it
// masked, in SABOTAGE_SECRET, so that it is nowhere else.
func hideKey() rig.Sabotage {
	masked, err := hex.DecodeString(os.Getenv("SABOTAGE_SECRET"))
	rig.Check(err)
	rig.Check(memorytest.Keep(os.Getenv("SABOTAGE_BY"), masked))
	return rig.Sabotage{}
}
