package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"sync/atomic"
)

// readTLS reads a listener's certificate and what it requires of client
// certificates.
func readTLS(v value) *tls.Config {
	var cert, key, clientCA string
	ask := tls.NoClientCert
	given := false
	v.mapping(
		certificatePath("cert", &cert),
		filePath("key", &key),
		certificatePath("client_ca", &clientCA),
		field{"client_certificates", func(v value) {
			given = true
			// "any" needs no authority: principals name the certificates.
			choice("", &ask, []string{"required", "optional", "any"},
				[]tls.ClientAuthType{tls.RequireAndVerifyClientCert, tls.VerifyClientCertIfGiven, tls.RequireAnyClientCert}).read(v)
		}},
	)
	if cert == "" || key == "" {
		v.fail("needs cert and key")
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		v.fail("%v", err)
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if clientCA != "" {
		pem, err := os.ReadFile(clientCA)
		if err != nil {
			v.fail("client_ca: %v", err)
			return nil
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			v.fail("client_ca: %s contains no certificate (PEM)", clientCA)
		}
		if !given {
			ask = tls.RequireAndVerifyClientCert
		}
	} else if ask == tls.RequireAndVerifyClientCert || ask == tls.VerifyClientCertIfGiven {
		v.fail("client_certificates: required and optional need client_ca")
	}
	c.ClientAuth = ask
	return c
}

// tlsListener is a TLS listener whose configuration can be replaced while it runs.
type tlsListener struct {
	net.Listener
	config atomic.Pointer[tls.Config]
}

func newTLSListener(l net.Listener, c *tls.Config) *tlsListener {
	t := &tlsListener{}
	t.config.Store(c)
	t.Listener = tls.NewListener(l, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.config.Load(), nil },
		// tls.NewListener wants a certificate, although GetConfigForClient always answers.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &t.config.Load().Certificates[0], nil },
	})
	return t
}
