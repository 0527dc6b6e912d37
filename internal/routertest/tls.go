package routertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority issues certificates for a test.
type Authority struct {
	t    testing.TB
	dir  string // of the files: ca.pem, and NAME.pem and NAME-key.pem
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority for the time of the test.
func NewAuthority(t testing.TB) *Authority {
	a := &Authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key = a.sign("ca", template)
	return a
}

// Issue makes a certificate for 127.0.0.1, as a server and as a client.
func (a *Authority) Issue(name string) tls.Certificate {
	a.t.Helper()
	cert, key := a.sign(name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *Authority) sign(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	NoError(a.t, err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	NoError(a.t, err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	issuer, with := a.cert, a.key
	if issuer == nil {
		issuer, with = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, with)
	NoError(a.t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	NoError(a.t, err)
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+"-key.pem", "PRIVATE KEY", pkcs8)
	cert, err := x509.ParseCertificate(der)
	NoError(a.t, err)
	return cert, key
}

func (a *Authority) write(name, kind string, der []byte) {
	a.t.Helper()
	NoError(a.t, os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// Trust is a client's configuration that trusts the authority, and no other.
func (a *Authority) Trust(certificates ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, Certificates: certificates}
}

// Listeners is the part of a configuration for TLS on both transports, where
// clients may show a certificate of the authority.
func (a *Authority) Listeners() string {
	a.Issue("router")
	return fmt.Sprintf(`
listeners:
  - websocket: 127.0.0.1:0
    tls: {cert: %[1]s/router.pem, key: %[1]s/router-key.pem, client_ca: %[1]s/ca.pem, client_certificates: optional}
  - rawsocket: 127.0.0.1:0
    tls: {cert: %[1]s/router.pem, key: %[1]s/router-key.pem, client_ca: %[1]s/ca.pem, client_certificates: optional}
admin: 127.0.0.1:0
`, a.dir)
}

// SelfSigned writes a self-signed certificate for 127.0.0.1 and its key, and
// returns it parsed.
func SelfSigned(t *testing.T, certFile, keyFile, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	return SelfSignedFor(t, certFile, keyFile, name, -time.Hour, time.Hour)
}

// SelfSignedFor is like SelfSigned. The certificate is valid between two times relative
// to now.
func SelfSignedFor(t testing.TB, certFile, keyFile, name string, from, until time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}
