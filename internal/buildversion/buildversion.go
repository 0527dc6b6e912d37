// Package buildversion returns the version that the Go toolchain recorded in a
// binary.
package buildversion

import "runtime/debug"

// Get returns the version of the main module, or the commit that the binary was
// built from if there is no version, or "devel".
func Get() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return of(info)
}

func of(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "devel"
}
