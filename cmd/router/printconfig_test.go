package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/router"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// write writes a configuration, and what it refers to, and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := selfSigned(t)
	for name, content := range map[string]string{
		"router.yaml": text, "order.schema.json": `{"type": "object"}`, "alice.secret": "a secret of some length\n",
		"web.yaml": "{}\n", "cert.pem": cert, "ca.pem": cert, "key.pem": key, "node.creds": "x\n", "node.nk": "x\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "router.yaml")
}

func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", secret)
}

// What is printed as the defaults is the defaults.
func TestPrintConfigGivesTheDefaults(t *testing.T) {
	got, err := load(write(t, defaultsYAML))
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.limits = router.DefaultLimits()
	want.files, want.realmsSet = got.files, true
	want.realms[0].static = got.realms[0].static // of no principals
	// What is off unless given is not there.
	for i := range reflect.TypeFor[router.Limits]().NumField() {
		g, w := reflect.ValueOf(&got.limits).Elem().Field(i), reflect.ValueOf(&want.limits).Elem().Field(i)
		if g.IsZero() && w.CanSet() {
			w.SetZero()
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back:\n%+v\nwant:\n%+v", got, want)
	}
}

// optional turns the settings that are commented out into settings.
func optional(text string) string {
	text = regexp.MustCompile(`(?m)^( *)#((?:  )*)(- |[a-z_]+:)`).ReplaceAllString(text, "$1$2$3")
	return text
}

// Each key that the server knows is there, and what is there is known.
func TestPrintConfigHasEveryKey(t *testing.T) {
	text := optional(defaultsYAML)
	if _, err := load(write(t, text)); err != nil {
		t.Fatalf("with all options: %v\n%s", err, text)
	}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	there := map[string][]string{} // keys by the path of their mapping
	note(root.Content[0], "configuration", there)
	out, err := yaml.Marshal(&root) // now with an unknown key in each mapping
	if err != nil {
		t.Fatal(err)
	}
	_, err = load(write(t, string(out)))
	if err == nil {
		t.Fatal("unknown keys were taken")
	}
	known := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m):\d+: (.*)\bzzz: unknown key; known here: (.*)$`).FindAllStringSubmatch(err.Error(), -1) {
		path := strings.TrimSuffix(regexp.MustCompile(`\[\d+\]`).ReplaceAllString("configuration."+m[1], "[]"), ".")
		known[path] = strings.Split(m[2], ", ")
	}
	if len(known) < 10 {
		t.Fatalf("only %d mappings were found: %v\n%v", len(known), known, err)
	}
	for _, path := range slices.Sorted(maps.Keys(known)) {
		parent := regexp.MustCompile(`\w+(\[\])?$`).FindString(path)
		besides := regexp.MustCompile(`(?m)^.*\b` + strings.TrimSuffix(parent, "[]") + `\b.*#.*$|^ *#.*\{.*$`)
		for _, key := range known[path] {
			// Of keys that exclude each other a comment may tell.
			if !slices.Contains(there[path], key) && !regexp.MustCompile(`\b`+key+`\b`).MatchString(strings.Join(besides.FindAllString(defaultsYAML, -1), "\n")) {
				t.Errorf("defaults.yaml does not tell of %s in %s", key, path)
			}
		}
	}
}

func note(n *yaml.Node, path string, there map[string][]string) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			note(c, path+"[]", there)
		}
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			there[path] = append(there[path], n.Content[i].Value)
			note(n.Content[i+1], path+"."+n.Content[i].Value, there)
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "zzz"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "1"})
	}
}

func TestPrintConfig(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run([]string{"--print-config"}, &out, &errs); status != 0 || out.String() != defaultsYAML || errs.Len() != 0 {
		t.Errorf("status %d, %d bytes, %s", status, out.Len(), errs.String())
	}
}

// docs/configuration.md shows the same; go test ./cmd/router -update writes it.
func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/configuration.md"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile("(?s)(<!-- defaults.yaml -->\n```yaml\n).*?(```)")
	if !section.Match(content) {
		t.Fatalf("%s has no place for the defaults", file)
	}
	want := section.ReplaceAllFunc(content, func(m []byte) []byte {
		parts := section.FindSubmatch(m)
		return fmt.Appendf(nil, "%s%s%s", parts[1], defaultsYAML, parts[2])
	})
	if bytes.Equal(content, want) {
		return
	}
	if !*update {
		t.Fatalf("%s is not current: go test ./cmd/router -run Reference -update", file)
	}
	if err := os.WriteFile(file, want, 0o644); err != nil {
		t.Fatal(err)
	}
}
