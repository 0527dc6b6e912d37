package proof

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
)

// The channel bindings. They tie a proof to a connection, so that it is useless on
// another one.
const (
	// TLSUnique is the first Finished message (RFC 5929). Package crypto/tls provides it
	// only up to TLS 1.2, because it is undefined for TLS 1.3 (RFC 9266).
	TLSUnique = "tls-unique"
	// TLSExporter is keying material (RFC 9266): TLS 1.3, or 1.2 with the
	// extended master secret.
	TLSExporter = "tls-exporter"
)

// Binding returns the data of a channel binding as its RFC defines it, or false if the
// connection does not support it. state may be nil.
func Binding(kind string, state *tls.ConnectionState) ([]byte, bool) {
	if state == nil || !state.HandshakeComplete {
		return nil, false
	}
	switch kind {
	case TLSUnique:
		return state.TLSUnique, len(state.TLSUnique) > 0
	case TLSExporter:
		data, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		return data, err == nil
	}
	return nil, false
}

// ChannelID returns the 32 bytes that cryptosign combines with its challenge:
// of tls-unique, which is shorter, the SHA-256, as Autobahn and Crossbar do (the
// specification only says that there are 32 bytes).
func ChannelID(kind string, state *tls.ConnectionState) ([]byte, bool) {
	data, ok := Binding(kind, state)
	if ok && kind == TLSUnique {
		sum := sha256.Sum256(data)
		data = sum[:]
	}
	return data, ok
}

// CryptosignMessage returns what cryptosign signs: the challenge, combined with
// channelID if there is one (WAMP, "Computing the Signature"). Both are 32 bytes.
func CryptosignMessage(challenge, channelID []byte) []byte {
	if channelID == nil {
		return challenge
	}
	message := make([]byte, len(challenge))
	subtle.XORBytes(message, challenge, channelID)
	return message
}
