//go:build sabotage && linux

// Command keyless is a router that has no key, and no code to use one, and that is not
// blind all the same, or not what it should be: -as says how.
package main

import "github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"

func main() {
	rig.Main(map[string]func() rig.Sabotage{
		"alter-large":            alterLarge,
		"alter-late":             alterLate,
		"drop-some":              dropSome,
		"flip-bits":              flipBits,
		"re-encode":              reencode,
		"allow-clear":            allowClear,
		"convert":                convert,
		"refuse-all":             refuseAll,
		"refuse-strangers":       refuseStrangers,
		"skip-validation":        skipValidation,
		"other-error-uris":       otherErrorURIs,
		"count-payloads":         countPayloads,
		"echo-in-close-frame":    echoInCloseFrame,
		"echo-in-error":          echoInError,
		"log-payloads":           logPayloads,
		"keep-in-data":           keepInData,
		"keep-in-temporary-file": keepInTemporaryFile,
		"keep-in-removed-file":   keepInRemovedFile,
		"delegate":               delegate,
		"delegate-to-orphan":     delegateToOrphan,
		"hide-key":               hideKey,
		"take-in":                takeIn,
	})
}
