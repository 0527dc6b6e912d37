package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// tlsRefusal is the refusal of a connection whose TLS handshake failed. Its text has
// the reason, and repeats nothing that the peer sent. Package crypto/tls has types for
// few of its errors; for the others the text decides, and a test notices if a new
// version of Go words them in another way.
func tlsRefusal(err error) *wamp.Refusal {
	return rejected(wamp.ReasonProtocol, wamp.ErrProtocolViolation, "TLS handshake failed: "+tlsCause(err))
}

func tlsCause(err error) string {
	var plain tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &plain):
		return "the client does not speak TLS: its URL must begin with wss or rss"
	case errors.As(err, &certificate):
		return "the client's certificate " + certificateFault(certificate.Err)
	case errors.As(err, &op) && op.Op == "remote error":
		switch alert := op.Err.Error(); alert {
		case "tls: unknown certificate authority", "tls: bad certificate", "tls: unknown certificate":
			return "the client does not accept the router's certificate (" + strings.TrimPrefix(alert, "tls: ") + "): wrong authority or host name"
		case "tls: expired certificate":
			return "the client says that the router's certificate has expired"
		default: // the name of an alert of RFC 8446, section 6, or its number
			return "the client ended it with the alert: " + strings.TrimPrefix(alert, "tls: ")
		}
	case errors.Is(err, io.EOF), op != nil:
		return "the client closed the connection"
	}
	for _, c := range tlsCauses {
		if strings.HasPrefix(err.Error(), c.text) {
			return c.cause
		}
	}
	return "the client's messages are not valid"
}

var tlsCauses = []struct{ text, cause string }{
	{"tls: client offered only unsupported versions", "the client's TLS is older than version 1.2"},
	{"tls: no cipher suite supported by both client and server", "the client and the router have no cipher suite in common"},
	{"tls: client didn't provide a certificate", "this listener requires a client certificate, and the client has none"},
	{"tls: client requested unsupported application protocols", "the client asks for another protocol (ALPN)"},
}

func certificateFault(err error) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "has expired, or is not valid yet"
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "is not one for clients (extended key usage)"
	case errors.As(err, &unknown):
		return "is of an authority that client_ca does not have"
	}
	return "is not valid"
}
