package ops

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

// What blindfold credentials prints is a configuration with which a client logs in that
// is started as it says.
func TestCredentials(t *testing.T) {
	for _, method := range []string{"cryptosign", "ticket", "scram", "wampcra"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			credentials := func(args ...string) (string, error) {
				cmd := exec.Command(routertest.RouterBinary(t), append([]string{"credentials", method}, args...)...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			out, err := credentials("--authid", "alice.example", "--role", "user")
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if again, err := credentials("--authid", "alice.example"); err == nil || !strings.Contains(again, "exists") {
				t.Errorf("a secret was replaced: %v, %s", err, again)
			}
			p := routertest.StartProcess(t, routertest.Config+`
realms:
  - name: realm1
    roles: [{name: user, permissions: [{uri: com., match: prefix, allow: [publish]}]}]
`+regexp.MustCompile(`(?m)^`).ReplaceAllString(out, "    "))
			seal := func(secret string) (string, error) {
				_, line, _ := strings.Cut(out, "seal ... ")
				args := append([]string{"publish", "com.example.topic", "x", "--clear", "--url", p.URLs["rawsocket"]}, strings.Fields(line)...)
				if secret != "" {
					args[len(args)-1] = "file:" + secret
				}
				cmd := exec.Command(routertest.SealBinary(t), args...)
				cmd.Dir = dir
				answer, err := cmd.CombinedOutput()
				return string(answer), err
			}
			if answer, err := seal(""); err != nil {
				t.Errorf("%v: %s", err, answer)
			}
			other := filepath.Join(dir, "other")
			if out, err := credentials("--authid", "alice.example", "--out", other); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if answer, err := seal(other); err == nil {
				t.Errorf("another secret is accepted: %s", answer)
			}
		})
	}
}
