// Command sbom lists what a Go program was built of, as a CycloneDX 1.6 document
// in JSON: what the toolchain wrote into the binary, and nothing else. So it can be
// created and checked by anyone who has the binary.
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

const usage = `usage: sbom BINARY [FILE]

Writes the CycloneDX SBOM of a Go program to FILE, or to standard output. The same
binary gives the same bytes: there is no serial number, and a time only if
SOURCE_DATE_EPOCH (seconds since 1970) gives one.
`

func main() {
	if len(os.Args) != 2 && len(os.Args) != 3 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %v\n", err)
		os.Exit(1)
	}
}

func run(binary string, file []string, stdout io.Writer) error {
	bom, err := describe(binary, os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	encoder := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := encoder.EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return err
	}
	if len(file) > 0 {
		return os.WriteFile(file[0], out.Bytes(), 0o644)
	}
	_, err = stdout.Write(out.Bytes())
	return err
}

// describe makes the document of a binary. epoch is when, or "".
func describe(binary, epoch string) (*cdx.BOM, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", binary, err)
	}
	program := programOf(info, sha256.Sum256(content))
	components := []cdx.Component{standardLibrary(info.GoVersion)}
	for _, m := range info.Deps {
		c, err := module(m)
		if err != nil {
			return nil, err
		}
		components = append(components, c)
	}
	// A binary does not say which module needs which: it holds them all.
	held := make([]string, len(components))
	for i, c := range components {
		held[i] = c.BOMRef
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &program}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: program.BOMRef, Dependencies: &held}}
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		bom.Metadata.Timestamp = time.Unix(seconds, 0).UTC().Format(time.RFC3339)
	}
	return bom, nil
}

// programOf is the component that the document is about.
func programOf(info *debug.BuildInfo, sum [sha256.Size]byte) cdx.Component {
	version := info.Main.Version
	if version == "(devel)" {
		version = "" // nobody knows; the revision, if there is one, is among the properties
	}
	ref := purl(info.Main.Path, version)
	if folder := strings.TrimPrefix(strings.TrimPrefix(info.Path, info.Main.Path), "/"); folder != "" {
		ref += "#" + folder
	}
	properties := make([]cdx.Property, len(info.Settings))
	for i, s := range info.Settings {
		properties[i] = cdx.Property{Name: "go:build:" + s.Key, Value: s.Value}
	}
	return cdx.Component{
		BOMRef:             ref,
		Type:               cdx.ComponentTypeApplication,
		Group:              info.Main.Path,
		Name:               path.Base(info.Path),
		Version:            version,
		Hashes:             sha256Of(sum[:]),
		Licenses:           &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		PackageURL:         ref,
		ExternalReferences: &[]cdx.ExternalReference{{Type: cdx.ERTypeVCS, URL: "https://" + info.Main.Path}},
		Properties:         &properties,
	}
}

// standardLibrary is named as vulnerability databases name it.
func standardLibrary(goVersion string) cdx.Component {
	version, _, _ := strings.Cut(strings.TrimPrefix(goVersion, "go"), " ") // experiments stand behind a space
	ref := purl("stdlib", version)
	return cdx.Component{
		BOMRef:     ref,
		Type:       cdx.ComponentTypeLibrary,
		Name:       "stdlib",
		Version:    version,
		CPE:        "cpe:2.3:a:golang:go:" + version + ":-:*:*:*:*:*:*",
		PackageURL: ref,
	}
}

func module(m *debug.Module) (cdx.Component, error) {
	if m.Replace != nil {
		m = m.Replace
	}
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
	if err != nil || len(sum) != sha256.Size {
		return cdx.Component{}, fmt.Errorf("%s has no checksum: it was built from a folder, not from a released module", m.Path)
	}
	ref := purl(m.Path, m.Version)
	return cdx.Component{
		BOMRef:     ref,
		Type:       cdx.ComponentTypeLibrary,
		Name:       m.Path,
		Version:    m.Version,
		Hashes:     sha256Of(sum), // go.sum's h1: SHA-256 over the names and hashes of the module's files
		PackageURL: ref,
	}, nil
}

func sha256Of(sum []byte) *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
}

// purl is the package URL of a Go module, whose path it has in lower case.
func purl(path, version string) string {
	ref := "pkg:golang/" + strings.ToLower(path)
	if version != "" {
		ref += "@" + url.QueryEscape(version)
	}
	return ref
}
