package ops

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// The Debian package is installed into an empty tree, its router starts, an upgrade keeps
// the operator's configuration, removal keeps it too, and purging leaves nothing. The
// package is made of what .goreleaser.yaml says.
func TestDebianPackage(t *testing.T) {
	testenv.SkipSlow(t, "most of a minute")
	dpkg := testenv.Tool(t, "dpkg", "dpkg")
	nfpm, err := filepath.Abs("venv/bin/nfpm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(nfpm); err != nil {
		testenv.SkipMissing(t, "nfpm (.ci/install)")
	}
	tree, made := t.TempDir(), t.TempDir()
	for _, dir := range []string{"info", "updates", "triggers"} {
		routertest.NoError(t, os.MkdirAll(filepath.Join(tree, "var/lib/dpkg", dir), 0o755))
	}
	routertest.NoError(t, os.WriteFile(filepath.Join(tree, "var/lib/dpkg/status"), nil, 0o644))
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = "../.."
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v: %s", name, args, err, out)
		}
		return string(out)
	}
	install := func(version string) {
		t.Helper()
		run(nfpm, "package", "--config", packageConfig(t, made, version), "--packager", "deb", "--target", made)
		debs, _ := filepath.Glob(filepath.Join(made, "*_"+version+"*.deb"))
		if len(debs) != 1 {
			t.Fatalf("%v", debs)
		}
		run(dpkg, "--root="+tree, "--force-not-root", "--force-confold", "--log=/dev/null", "--install", debs[0])
	}
	at := func(path string) string { return filepath.Join(tree, path) }
	install("1.0.0")
	run(nfpm, "package", "--config", packageConfig(t, made, "1.0.0"), "--packager", "rpm", "--target", made) // that it can be made

	unit, err := os.ReadFile(at("usr/lib/systemd/system/blindfold.service"))
	if err != nil || !strings.Contains(string(unit), "ExecStart=/usr/bin/blindfold --config /etc/blindfold/router.yaml") {
		t.Errorf("%v: %s", err, unit)
	}
	config := at("etc/blindfold/router.yaml")
	if out := run(at("usr/bin/blindfold"), "--check", "--config", config); !strings.Contains(out, "valid") {
		t.Error(out)
	}
	started := exec.Command(at("usr/bin/blindfold"), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	stdout, err := started.StdoutPipe()
	routertest.NoError(t, err)
	routertest.NoError(t, started.Start())
	line := make([]byte, 64)
	if n, err := stdout.Read(line); err != nil || !strings.Contains(string(line[:n]), "WebSocket") {
		t.Errorf("%q, %v", line[:n], err)
	}
	routertest.NoError(t, started.Process.Signal(os.Interrupt))
	routertest.NoError(t, started.Wait())

	const mine = "# the operator's\nrealms: [{name: mine, roles: []}]\n"
	routertest.NoError(t, os.WriteFile(config, []byte(mine), 0o600))
	install("1.1.0")
	if kept, err := os.ReadFile(config); err != nil || string(kept) != mine {
		t.Errorf("the upgrade replaced the configuration: %v, %s", err, kept)
	}
	if out := run("dpkg-query", "--admindir="+at("var/lib/dpkg"), "-W", "blindfold"); !strings.Contains(out, "1.1.0") {
		t.Error(out)
	}
	run(dpkg, "--root="+tree, "--force-not-root", "--log=/dev/null", "--remove", "blindfold")
	if _, err := os.Stat(at("usr/bin/blindfold")); err == nil {
		t.Error("the program is still there")
	}
	if _, err := os.Stat(config); err != nil {
		t.Errorf("removal removed the configuration: %v", err)
	}
	run(dpkg, "--root="+tree, "--force-not-root", "--log=/dev/null", "--purge", "blindfold")
	if _, err := os.Stat(config); err == nil {
		t.Error("purging left the configuration")
	}
}

// packageConfig writes what nfpm needs: the section nfpms of .goreleaser.yaml, the
// programs, and the version.
func packageConfig(t *testing.T, dir, version string) string {
	t.Helper()
	text, err := os.ReadFile("../../.goreleaser.yaml")
	routertest.NoError(t, err)
	var release struct {
		Nfpms []struct {
			Maintainer, Description, Homepage, License, Bindir string
			Contents                                           []map[string]any
		}
	}
	routertest.NoError(t, yaml.Unmarshal(text, &release))
	if len(release.Nfpms) != 1 || len(release.Nfpms[0].Contents) == 0 {
		t.Fatal(".goreleaser.yaml describes no package")
	}
	n := release.Nfpms[0]
	contents := append(n.Contents,
		map[string]any{"src": routertest.RouterBinary(t), "dst": n.Bindir + "/blindfold", "file_info": map[string]any{"mode": 0o755}},
		map[string]any{"src": routertest.SealBinary(t), "dst": n.Bindir + "/seal", "file_info": map[string]any{"mode": 0o755}})
	out, err := yaml.Marshal(map[string]any{
		"name": "blindfold", "arch": runtime.GOARCH, "version": version, "maintainer": n.Maintainer, "description": n.Description,
		"homepage": n.Homepage, "license": n.License, "contents": contents,
	})
	routertest.NoError(t, err)
	file := filepath.Join(dir, fmt.Sprintf("nfpm-%s.yaml", version))
	routertest.NoError(t, os.WriteFile(file, out, 0o600))
	return file
}
