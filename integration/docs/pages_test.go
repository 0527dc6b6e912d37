package docs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// docs are the pages of docs/, by their paths from here.
func docs(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".md") {
			return err
		}
		content, err := os.ReadFile(path)
		pages[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../../CONTRIBUTING.md", "../../CHANGELOG.md"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(content)
	}
	return pages
}

// Each configuration that is shown or shipped is one that the server takes.
func TestDocsConfigurations(t *testing.T) {
	configs := map[string]string{}
	for path, text := range docs(t) {
		for i, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
			text := m[1]
			if !regexp.MustCompile(`(?m)^(listeners|admin|log|limits|cluster|realms):`).MatchString(text) { // a part of a realm
				text = "realms:\n  - name: realm1\n" + regexp.MustCompile(`(?m)^`).ReplaceAllString(text, "    ")
			}
			configs[path+"#"+string(rune('1'+i))] = text
		}
	}
	if len(configs) < 3 {
		t.Fatalf("only %d configurations are shown", len(configs))
	}
	for _, name := range []string{"deploy/router.yaml", "deploy/cluster/blindfold.yaml"} {
		shipped, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		configs[name] = string(shipped)
	}
	dir := t.TempDir()
	cert, key := selfSigned(t)
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key, "order.schema.json": []byte(`{"type": "object"}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range configs {
		file := filepath.Join(dir, "router.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(routertest.RouterBinary(t), "--check", "--config", file)
		cmd.Env = append(os.Environ(), "BACKEND_TICKET=a long enough ticket")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// selfSigned makes a certificate and its key, in PEM.
func selfSigned(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// What is shown of Go stands in an example, which is compiled and run elsewhere.
func TestDocsShowTheExamples(t *testing.T) {
	for path, text := range docs(t) {
		for _, m := range regexp.MustCompile("(?s)(?:<!-- (\\S+) -->\n)?```go\n(.*?)```").FindAllStringSubmatch(text, -1) {
			if m[1] == "" {
				t.Errorf("%s: Go that does not say where it is from:\n%s", path, m[2])
				continue
			}
			source, err := os.ReadFile(filepath.Join("..", "..", m[1]))
			if err != nil {
				t.Errorf("%s: %v", path, err)
			} else if !strings.Contains(string(source), m[2]) {
				t.Errorf("%s: %s does not hold:\n%s", path, m[1], m[2])
			}
		}
	}
}

// Commands that are marked <!-- run --> do what they are to, against a router.
func TestDocsCommands(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "seal"), "../../cmd/seal").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := routertest.StartProcess(t, routertest.Config)
	environment := append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SEAL_URL="+server.URLs["websocket"])
	ran := 0
	for path, text := range docs(t) {
		for _, m := range regexp.MustCompile("(?s)<!-- run -->\n```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
			ran++
			shell := func(script string) (*exec.Cmd, *bytes.Buffer) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				t.Cleanup(cancel)
				cmd, out := exec.CommandContext(ctx, "sh", "-ec", script), new(bytes.Buffer)
				cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, environment, out, out
				return cmd, out
			}
			first, second, two := strings.Cut(m[1], "# another\n")
			one, oneOut := shell(first)
			if err := one.Start(); err != nil {
				t.Fatal(err)
			}
			if two {
				// The second terminal is for when the first one is ready.
				ready := regexp.MustCompile(`blindfold_(subscriptions|registrations)\{realm="realm1"\} 1\n`)
				for deadline := time.Now().Add(routertest.Timeout); !ready.MatchString(server.Get("/metrics")); time.Sleep(20 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("%s: %s\nsays %s", path, first, oneOut)
					}
				}
				other, otherOut := shell(second)
				if err := other.Run(); err != nil {
					t.Errorf("%s: %s\n%v: %s", path, second, err, otherOut)
				}
			}
			if err := one.Wait(); err != nil {
				t.Errorf("%s: %s\n%v: %s", path, first, err, oneOut)
			}
		}
	}
	if ran < 3 {
		t.Errorf("only %d blocks were run", ran)
	}
	if metrics := server.Get("/metrics"); !strings.Contains(metrics, `blindfold_opaque_messages_total{form="transparency",realm="realm1",scheme="cryptobox",type="PUBLISH"} 1`+"\n") {
		t.Error("what the commands sent was not sealed")
	}
}

// Links lead somewhere.
func TestDocsLinks(t *testing.T) {
	links := 0
	for path, text := range docs(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if links < 10 {
		t.Errorf("only %d links", links)
	}
}

// Each alert has a line about what to do.
func TestDocsNameEveryAlert(t *testing.T) {
	rules, err := os.ReadFile("../../deploy/prometheus/blindfold.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := docs(t)["../../docs/operations.md"]
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !strings.Contains(text, "| `"+m[1]+"` |") {
			t.Errorf("docs/operations.md says nothing of %s", m[1])
		}
	}
}

// The service unit is one that systemd understands, and hardened.
func TestServiceUnit(t *testing.T) {
	analyze := testenv.Tool(t, "systemd-analyze", "systemd")
	unit, err := os.ReadFile("../../deploy/systemd/blindfold.service")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "blindfold.service")
	text := strings.ReplaceAll(string(unit), "/usr/bin/blindfold", routertest.RouterBinary(t))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "blindfold.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, err := exec.Command(analyze, "security", "--offline=yes", "--threshold=20", file).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
