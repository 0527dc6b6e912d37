package buildversion

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	commit := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0123abcd"}}
	for name, c := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"a release":         {debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: commit}, "v1.2.3"},
		"a checkout":        {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: commit}, "0123abcd"},
		"no commit either":  {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "devel"},
		"nothing is known":  {debug.BuildInfo{}, "devel"},
		"a commit and no v": {debug.BuildInfo{Settings: commit}, "0123abcd"},
	} {
		if got := of(&c.info); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
