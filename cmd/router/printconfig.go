package main

import _ "embed"

// defaultsYAML is what --print-config prints: every key with its default and
// what it is for. Tests keep it true: it is read back, gives the defaults, and
// has each key that the readers in this package know.
//
//go:embed defaults.yaml
var defaultsYAML string
