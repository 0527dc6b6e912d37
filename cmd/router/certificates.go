package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"
)

// expiresSoon is how long before its end a certificate is warned of. ACME clients
// renew before that. The alert BlindfoldCertificateExpires has the same time.
const expiresSoon = 14 * 24 * time.Hour

// checkCertificates warns of each certificate in a PEM text that is not valid at the
// time now, or will soon not be. It does not report what it cannot parse: the code that
// loads the certificates does.
func (v value) checkCertificates(text []byte, now time.Time) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			continue
		}
		name := c.Subject.String()
		switch {
		case now.After(c.NotAfter):
			v.warn("the certificate of %q expired at %s", name, c.NotAfter.Format(time.RFC3339))
		case now.Before(c.NotBefore):
			v.warn("the certificate of %q is not valid before %s", name, c.NotBefore.Format(time.RFC3339))
		case c.NotAfter.Sub(now) < expiresSoon:
			v.warn("the certificate of %q expires at %s: renew it", name, c.NotAfter.Format(time.RFC3339))
		}
	}
}

// certificatePath is a filePath whose file contains certificates.
func certificatePath(key string, dst *string) field {
	return field{key, func(v value) {
		filePath(key, dst).read(v)
		text, _ := os.ReadFile(*dst)
		v.checkCertificates(text, time.Now())
	}}
}

// webTLS is what a web configuration of the admin address says about its certificate.
type webTLS struct {
	File   string `yaml:"cert_file"`
	Inline string `yaml:"cert"` // PEM
}

// readWebTLS reads a web configuration. It need not set up TLS: set is false then.
func readWebTLS(name string) (tls webTLS, set bool) {
	text, _ := os.ReadFile(name)
	var c struct {
		TLS webTLS `yaml:"tls_server_config"`
	}
	if yaml.Unmarshal(text, &c) != nil {
		return webTLS{}, false
	}
	if c.TLS.File != "" && !filepath.IsAbs(c.TLS.File) {
		c.TLS.File = filepath.Join(filepath.Dir(name), c.TLS.File)
	}
	return c.TLS, c.TLS != webTLS{}
}
