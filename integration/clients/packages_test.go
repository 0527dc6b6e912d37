package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// The packages' own tests, vectors among them, and their types.

func TestPythonPackage(t *testing.T) {
	testenv.SkipSlow(t, "20 s")
	for _, python := range []string{newPython, debianPython} {
		if _, err := os.Stat(python); err != nil {
			testenv.SkipMissing(t, "the Python clients are not installed: make clients")
		}
		interpreter, err := filepath.Abs(python)
		routertest.NoError(t, err)
		run(t, "../../python", interpreter, "-B", "-m", "unittest", "discover", "-s", "tests", "-t", "tests")
	}
	mypy, err := filepath.Abs("peers/venv/bin/mypy")
	routertest.NoError(t, err)
	run(t, "../../python", mypy, "--cache-dir", t.TempDir(), "src/blindfold_seal")
}

func TestJavaScriptPackage(t *testing.T) {
	npm := testenv.Tool(t, "npm", "npm")
	if _, err := os.Stat("../../js/node_modules/esbuild"); err != nil {
		testenv.SkipMissing(t, "the JavaScript package is not installed: make clients")
	}
	run(t, "../../js", npm, "test")
}

func run(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(routertest.Context(t), program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %v: %v\n%s", program, args, err, out)
	}
}
