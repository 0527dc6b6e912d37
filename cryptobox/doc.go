// Package cryptobox encrypts WAMP payloads from end to end: Curve25519 boxes
// (NaCl crypto_box: X25519, XSalsa20, Poly1305) with keys selected by URI. It is
// compatible with the KeyRing of Autobahn|Python, and knows no router: Box,
// Passthru and Forms are sealers to plug into a client.
//
// A KeyRing holds the keys. Box seals in the transparency form (enc_algo, what
// Autobahn and Crossbar speak), Passthru in the passthru form (ppt_scheme, the
// WAMP specification), Forms opens either. A Scrambler, independent of these,
// hides the URIs themselves.
//
// # What it keeps, and what not
//
// Who has neither of the private keys can neither read a payload nor make one
// that opens, and a payload opens only under the URI that it was sealed for. A
// URI that has a key is never sent in the clear, whatever fails: an error, and
// nothing is sent.
//
// The format is Autobahn's, with its limits. It has no forward secrecy: a private
// key that gets out opens what was recorded before. Whoever holds the originator's
// and a responder's public key and one of the private keys can seal as either of
// the two, since a box has one secret for both directions; so a router that
// passes a payload back to the peer that sealed it, or delivers it again, is not
// noticed: where that matters, put a counter and a direction in the arguments.
// Sizes, times and, without a Scrambler, URIs are the router's to see.
//
// # The keyring file
//
// KeyRing.Save writes and LoadKeyRing reads a JSON file, UTF-8:
//
//	{
//	  "format": "blindfold-keyring",
//	  "version": 1,
//	  "keys": [
//	    {
//	      "prefix": "com.app.",
//	      "originator": {"private": "…", "public": "…"},
//	      "responder": {"public": "…"}
//	    }
//	  ],
//	  "scramble": [
//	    {"prefix": "com.app.", "key": "…"}
//	  ]
//	}
//
// Each entry of keys is one key; of those with the same prefix the first is the
// newest. Keys are 32 bytes in standard base64 with padding. Of each half, the
// public key may be left out where the private one is there, and at least one
// half has its private key. The entries of scramble, if there are any, are the keys
// of a Scrambler, one for a prefix. Unknown and duplicate members are errors, and so is
// another version. The file's mode is 0600; one that is open to the group or to
// others is refused.
package cryptobox
