package main

import _ "embed"

// defaultsYAML is the output of --print-config: every key with its default and its
// meaning. Tests read it back, compare it with defaults(), and compare its keys with
// those that the readers in this package know.
//
//go:embed defaults.yaml
var defaultsYAML string
