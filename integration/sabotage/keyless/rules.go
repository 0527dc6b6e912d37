//go:build sabotage && linux

package main

import (
	"strings"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// allowClear lets clear text through, whatever its rules ask for.
func allowClear() rig.Sabotage {
	return rig.Sabotage{Rules: func(c *passthrough.Config) { c.Require = nil }}
}

// convert converts opaque payloads for receivers with another serializer.
func convert() rig.Sabotage {
	return rig.Sabotage{Rules: func(c *passthrough.Config) { c.Conversion = passthrough.Reframe }}
}

// refuseAll refuses everything on the URI that requires sealing, sealed or not.
func refuseAll() rig.Sabotage {
	return intercept(func(t *wamp.RoutedMessage) error {
		if strings.HasPrefix(string(t.URI), "com.blindfold.verify.required") {
			return &wamp.Refusal{Reason: wamp.ReasonInvalid, URI: "com.example.error.refused"}
		}
		return nil
	})
}

// refuseStrangers says of all that it refuses that it is not allowed.
func refuseStrangers() rig.Sabotage {
	return rig.Sabotage{Refusal: func(r *wamp.Refusal) { r.URI = wamp.ErrNotAuthorized }}
}

// skipValidation lets opaque payloads through where payloads are validated.
func skipValidation() rig.Sabotage {
	return rig.Sabotage{Rules: func(c *passthrough.Config) {
		for i := range c.Validation {
			c.Validation[i].Opaque = passthrough.Pass
		}
	}}
}

// otherErrorURIs is a router as it should be, with error URIs of its own.
func otherErrorURIs() rig.Sabotage {
	return rig.Sabotage{Refusal: func(r *wamp.Refusal) { r.URI = "com.example.error.refused" }}
}
