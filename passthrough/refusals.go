package passthrough

import "github.com/blindfold-wamp/blindfold/wamp"

// Every refusal, except those of a schema, is created once. Creating one per message
// would cost more than everything else, and a constant text cannot repeat what a client
// sent.

// The options or the payload break the rules of a form.
var (
	bothForms             = violation("both enc_* and ppt_* options are set: declare one form only")
	keyWithoutAlgo        = violation("enc_key without enc_algo: set enc_algo, or leave enc_key out")
	serializerWithoutAlgo = violation("enc_serializer without enc_algo: set enc_algo, or leave enc_serializer out")
	badAlgo               = violation("enc_algo must be cryptobox, mqtt, xbr or a custom name (x_ followed by a letter and at least one of a-z, 0-9, _)")
	badSerializer         = violation("enc_serializer must be json, msgpack, cbor, ubjson, flatbuffers or a custom name (x_ followed by a letter and at least one of a-z, 0-9, _)")
	algoWithList          = violation("enc_algo with a list of arguments: the payload must be one binary in place of Arguments, without ArgumentsKw")
	binaryWithKwargs      = violation("a binary in place of Arguments with something behind it: the binary must be the last element")
	schemeWithBinary      = violation("ppt_* options with a binary in place of Arguments: put the binary into a list, or use enc_algo")
	withoutScheme         = violation("ppt_serializer, ppt_cipher or ppt_keyid without ppt_scheme: set ppt_scheme, or leave them out")
	schemeWithKwargs      = violation("ppt_scheme with ArgumentsKw: the payload must be one element within Arguments")
	schemeWithList        = violation("ppt_scheme with several arguments: the payload must be one element within Arguments")
)

// The rules of a URI.
var (
	cleartext = &wamp.Refusal{
		Reason: wamp.ReasonCleartext, URI: wamp.ErrCleartextRefused,
		Text: "this URI accepts only opaque payloads: encrypt the payload, and declare it with enc_algo or ppt_scheme",
	}
	cleartextElement = &wamp.Refusal{
		Reason: wamp.ReasonCleartext, URI: wamp.ErrCleartextRefused,
		Text: "this URI accepts only opaque payloads, and the element under ppt_scheme is not a binary: set ppt_serializer and ppt_cipher in the client so that it encodes and encrypts the payload",
	}
	validationOpaque = &wamp.Refusal{
		Reason: wamp.ReasonValidation, URI: wamp.ErrValidationRefused,
		Text: "payloads on this URI are validated, which is impossible for an opaque one: send it in the clear, or set opaque: pass in the router's rule",
	}
)

// By form and role, and by the serializers of sender and receiver.
var (
	unannounced [3][roles]*wamp.Refusal
	unsupported [3][roles]*wamp.Refusal
	conversions [len(wamp.Serializers) + 1][len(wamp.Serializers) + 1]*wamp.Refusal
)

func init() {
	features := map[wamp.Form]wamp.Feature{
		wamp.FormTransparency: wamp.PayloadTransparency,
		wamp.FormPassthru:     wamp.PayloadPassthruMode,
	}
	for form, feature := range features {
		for r, name := range roleNames {
			where := feature.String() + " in HELLO.Details.roles." + name + ".features"
			unannounced[form][r] = &wamp.Refusal{
				Reason: wamp.ReasonUnannounced, URI: wamp.ErrProtocolViolation, Fatal: true,
				Text: "payload in the form " + form.String() + ", which this session has not announced: announce " + where,
			}
			unsupported[form][r] = &wamp.Refusal{
				Reason: wamp.ReasonUnsupported, URI: wamp.ErrFeatureNotSupported,
				Text: "the receiver does not support payloads in the form " + form.String() + ": it must announce " + where,
			}
		}
	}
	for from := range conversions {
		for to := range conversions[from] {
			conversions[from][to] = &wamp.Refusal{
				Reason: wamp.ReasonConversion, URI: wamp.ErrConversionRefused,
				Text: "the payload is opaque and was sent in " + wamp.Serializer(from).String() +
					", the receiver's session uses " + wamp.Serializer(to).String() +
					": connect both with the same serializer, or set conversion: reframe in the router",
			}
		}
	}
}

func violation(text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonAttributes, URI: wamp.ErrProtocolViolation, Text: text, Fatal: true}
}
