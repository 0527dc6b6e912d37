package ops

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// The manifests are what Kubernetes accepts, and the configuration in them is what the
// router accepts. (The ServiceMonitor is not Kubernetes' own: nobody here has its schema.)
func TestKubernetesManifests(t *testing.T) {
	const manifests = "../../deploy/kubernetes/blindfold.yaml"
	content, err := os.ReadFile(manifests)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for in := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var m struct {
			Kind string
			Data map[string]string
		}
		if in.Decode(&m) != nil {
			break
		}
		kinds[m.Kind] = true
		for name, text := range m.Data {
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(routertest.RouterBinary(t), "--check", "--config", file).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", name, err, out)
			}
		}
	}
	for _, kind := range []string{"ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} {
		if !kinds[kind] {
			t.Errorf("there is no %s", kind)
		}
	}
	validate := "venv/bin/kubernetes-validate"
	if _, err := os.Stat(validate); err != nil {
		testenv.SkipMissing(t, "kubernetes-validate (.ci/install)")
	}
	if out, err := exec.Command(validate, "--strict", manifests).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, bytes.Replace(content, []byte("maxUnavailable"), []byte("mostUnavailable"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(validate, "--strict", bad).CombinedOutput(); err == nil || !strings.Contains(string(out), "mostUnavailable") {
		t.Errorf("the validator takes anything: %s", out)
	}
}
