package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"sync/atomic"
)

// readTLS reads a listener's certificate, and what it asks of clients'.
func readTLS(v value) *tls.Config {
	var cert, key, clientCA string
	ask := tls.NoClientCert
	given := false
	v.mapping(
		filePath("cert", &cert),
		filePath("key", &key),
		filePath("client_ca", &clientCA),
		field{"client_certificates", func(v value) {
			given = true
			// any: those that principals are known by need no authority.
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
			v.fail("client_ca: no certificate in %s", clientCA)
		}
		if !given {
			ask = tls.RequireAndVerifyClientCert
		}
	} else if ask == tls.RequireAndVerifyClientCert || ask == tls.VerifyClientCertIfGiven {
		v.fail("client_certificates: required and optional need a client_ca")
	}
	c.ClientAuth = ask
	return c
}

// tlsListener is TLS over a listener, with a configuration that can be replaced.
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
		// Not used, as the above always answers; without one there would be no listener.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &t.config.Load().Certificates[0], nil },
	})
	return t
}
