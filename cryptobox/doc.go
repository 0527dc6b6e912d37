// Package cryptobox encrypts WAMP payloads from end to end: Curve25519 boxes
// (NaCl crypto_box: X25519, XSalsa20, Poly1305) with keys selected by URI. It is
// compatible with the KeyRing of Autobahn|Python. It does not depend on a router: Box,
// Passthru and Forms are values for client.Config.Sealer.
//
// A KeyRing holds the keys. Box seals in the transparency form (enc_algo, used by
// Autobahn and Crossbar), Passthru in the passthru form (ppt_scheme, the WAMP
// specification), and Forms opens both. A Scrambler, independent of these, hides the
// URIs themselves.
//
// # Security properties
//
// Without one of the two private keys, nobody can read a payload or create one that
// opens. A payload opens only under the URI that it was sealed for. If a URI has a key,
// its payloads are never sent in the clear: if sealing fails, nothing is sent.
//
// The format is Autobahn's, with its limits. It has no forward secrecy: with a leaked
// private key, payloads recorded before can be opened. A box has one secret for both
// directions, so each side can seal as either of the two. A payload that the router
// returns to its sender, or delivers twice, is not detected: if that matters, put a
// direction and a counter into the arguments. The router sees sizes, times and, without
// a Scrambler, URIs.
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
// Each entry of keys is one key. Among keys with the same prefix, the first is the
// newest. Keys are 32 bytes in standard base64 with padding. A half may omit the public
// key if it has the private one, and at least one half must have its private key. The
// entries of scramble, if any, are the keys of a Scrambler, one per prefix. Unknown and
// duplicate members and other versions are errors. The file has mode 0600. A file that
// is accessible by the group or by others is refused.
package cryptobox
