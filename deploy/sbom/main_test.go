package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The document of each of our programs is one that CycloneDX's schema takes, and
// lists what "go version -m" does: no module more, none less.
func TestListsWhatTheBinaryHolds(t *testing.T) {
	testenv.SkipSlow(t, "a minute, as it builds everything with -trimpath")
	t.Setenv("SOURCE_DATE_EPOCH", "")
	schema := cycloneDXSchema(t)
	for _, pkg := range []string{"cmd/router", "cmd/seal"} {
		binary := filepath.Join(t.TempDir(), "program")
		output(t, "go", "build", "-trimpath", "-o", binary, "../../"+pkg)
		text := document(t, binary)
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(instance); err != nil {
			t.Errorf("%s: %v", pkg, err)
		}
		bom := new(cdx.BOM)
		if err := cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(bom); err != nil {
			t.Fatal(err)
		}
		if got, want := lines(t, bom), versionLines(t, binary); !slices.Equal(got, want) {
			t.Errorf("%s: listed:\n%s\nbuilt of:\n%s", pkg, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		program := bom.Metadata.Component
		sum, _, _ := strings.Cut(output(t, "sha256sum", binary), " ")
		if (*program.Hashes)[0].Value != sum {
			t.Errorf("%s: the hash %v is not the binary's, %s", pkg, *program.Hashes, sum)
		}
		if bom.SerialNumber != "" || bom.Metadata.Timestamp != "" {
			t.Errorf("%s: the document has a serial number %q or a time %q", pkg, bom.SerialNumber, bom.Metadata.Timestamp)
		}
		if again := document(t, binary); !bytes.Equal(text, again) {
			t.Errorf("%s: the same binary gives another document", pkg)
		}
	}
}

// lines says a document in the words of "go version -m".
func lines(t *testing.T, bom *cdx.BOM) []string {
	t.Helper()
	program := bom.Metadata.Component
	_, folder, _ := strings.Cut(program.PackageURL, "#")
	out := []string{"path " + program.Group + "/" + folder}
	refs := map[string]bool{}
	for _, c := range *bom.Components {
		if c.Type != cdx.ComponentTypeLibrary || c.BOMRef != c.PackageURL || refs[c.BOMRef] || !strings.HasPrefix(c.PackageURL, "pkg:golang/") {
			t.Errorf("%s: type %s, purl %s, reference %s", c.Name, c.Type, c.PackageURL, c.BOMRef)
		}
		refs[c.BOMRef] = true
		if c.Name == "stdlib" {
			out = append(out, "go"+c.Version)
			continue
		}
		sum, err := hex.DecodeString((*c.Hashes)[0].Value)
		if err != nil {
			t.Error(err)
		}
		out = append(out, "dep "+c.Name+" "+c.Version+" h1:"+base64.StdEncoding.EncodeToString(sum))
	}
	for _, p := range *program.Properties {
		out = append(out, "build "+strings.TrimPrefix(p.Name, "go:build:")+"="+p.Value)
	}
	held := *bom.Dependencies
	if len(held) != 1 || held[0].Ref != program.BOMRef || len(*held[0].Dependencies) != len(refs) {
		t.Errorf("the program does not hold all: %+v", held)
	}
	slices.Sort(out)
	return out
}

func versionLines(t *testing.T, binary string) []string {
	t.Helper()
	var out []string
	first, rest, _ := strings.Cut(output(t, "go", "version", "-m", binary), "\n")
	for line := range strings.Lines(rest) {
		if words := strings.Fields(line); words[0] != "mod" { // see TestNames
			out = append(out, strings.Join(words, " "))
		}
	}
	_, version, _ := strings.Cut(first, ": ")
	out = append(out, strings.Fields(version)[0])
	slices.Sort(out)
	return out
}

// A release has its version, what is between releases none; what was built of a
// folder in place of a module can't be named.
func TestNames(t *testing.T) {
	for version, want := range map[string]string{
		"(devel)":      "pkg:golang/example.org/mod#cmd/x",
		"v1.2.3":       "pkg:golang/example.org/mod@v1.2.3#cmd/x",
		"v1.2.3+dirty": "pkg:golang/example.org/mod@v1.2.3%2Bdirty#cmd/x",
	} {
		info := &debug.BuildInfo{Path: "example.org/Mod/cmd/x", Main: debug.Module{Path: "example.org/Mod", Version: version}}
		c := programOf(info, [32]byte{})
		if c.PackageURL != want || c.Name != "x" || strings.Contains(c.Version, "devel") {
			t.Errorf("%s: %s, version %q", version, c.PackageURL, c.Version)
		}
	}
	if c := standardLibrary("go1.26.0 X:nodwarf5"); c.PackageURL != "pkg:golang/stdlib@1.26.0" {
		t.Error(c.PackageURL)
	}
	sum := "h1:" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	other := &debug.Module{Path: "example.org/a", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/b", Version: "v2.0.0", Sum: sum}}
	if c, err := module(other); err != nil || c.PackageURL != "pkg:golang/example.org/b@v2.0.0" {
		t.Errorf("%s, %v", c.PackageURL, err)
	}
	if _, err := module(&debug.Module{Path: "example.org/a", Version: "v1.0.0", Replace: &debug.Module{Path: "../b"}}); err == nil {
		t.Error("a folder in place of a module was taken")
	}
}

// A time is there only if SOURCE_DATE_EPOCH gives it.
func TestTimeIsGiven(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bom, err := describe(own, "1700000000")
	if err != nil {
		t.Fatal(err)
	}
	if got := bom.Metadata.Timestamp; got != "2023-11-14T22:13:20Z" {
		t.Errorf("time %q", got)
	}
	if _, err := describe(own, "yesterday"); err == nil {
		t.Error("a time that is none was taken")
	}
	if _, err := describe("main.go", ""); err == nil {
		t.Error("a file that is no program was taken")
	}
}

func document(t *testing.T, binary string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sbom.json")
	if err := run(binary, []string{file}, nil); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// cycloneDXSchema is the schema of CycloneDX 1.6, which comes with the library.
func cycloneDXSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	folder := filepath.Join(strings.TrimSpace(output(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go")), "schema")
	compiler := jsonschema.NewCompiler()
	for id, name := range map[string]string{
		"bom-1.6.schema.json":  "bom-1.6.schema.json",
		"spdx.schema.json":     "spdx.schema.json",
		"jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+id, parsed); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}
