package passthrough

import "github.com/blindfold-wamp/blindfold/wamp"

// Every refusal but those of a schema is made once: making one on the way of a
// message would cost more than all the rest, and none of them can repeat what a
// client sent.

// The options or the payload break the rules of a form.
var (
	bothForms             = violation("enc_* and ppt_* options are both there: declare one form")
	keyWithoutAlgo        = violation("enc_key without enc_algo: set enc_algo, or leave enc_key out")
	serializerWithoutAlgo = violation("enc_serializer without enc_algo: set enc_algo, or leave enc_serializer out")
	badAlgo               = violation("enc_algo is neither cryptobox, mqtt, xbr nor a custom name (x_ and at least two of a-z, 0-9, _ that begin with a letter)")
	badSerializer         = violation("enc_serializer is neither json, msgpack, cbor, ubjson, flatbuffers nor a custom name (x_ and at least two of a-z, 0-9, _ that begin with a letter)")
	algoWithList          = violation("enc_algo with a list of arguments: the payload has to be one binary in the place of Arguments, without ArgumentsKw")
	binaryWithKwargs      = violation("a binary in the place of Arguments with something behind it: it has to be the last element")
	schemeWithBinary      = violation("ppt_* options with a binary in the place of Arguments: put the binary into a list, or use enc_algo")
	withoutScheme         = violation("ppt_serializer, ppt_cipher or ppt_keyid without ppt_scheme: set ppt_scheme, or leave them out")
	schemeWithKwargs      = violation("ppt_scheme with ArgumentsKw: the payload has to be one element within Arguments")
	schemeWithList        = violation("ppt_scheme with several arguments: the payload has to be one element within Arguments")
)

// The rules of a URI.
var (
	cleartext = &wamp.Refusal{
		Reason: wamp.ReasonCleartext, URI: wamp.ErrCleartextRefused,
		Text: "this URI takes opaque payloads only: encrypt the payload, and declare it with enc_algo or ppt_scheme",
	}
	cleartextElement = &wamp.Refusal{
		Reason: wamp.ReasonCleartext, URI: wamp.ErrCleartextRefused,
		Text: "this URI takes opaque payloads only, and the element under ppt_scheme is not a binary: set ppt_serializer and ppt_cipher in the client so that it encodes and encrypts the payload",
	}
	validationOpaque = &wamp.Refusal{
		Reason: wamp.ReasonValidation, URI: wamp.ErrValidationRefused,
		Text: "payloads on this URI are validated, and an opaque one cannot be: send it in the clear, or let the router's rule pass opaque payloads",
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
				Text: "payload in the form of " + form.String() + " without having announced it: announce " + where,
			}
			unsupported[form][r] = &wamp.Refusal{
				Reason: wamp.ReasonUnsupported, URI: wamp.ErrFeatureNotSupported,
				Text: "the receiver does not take payloads in the form of " + form.String() + ": it has to announce " + where,
			}
		}
	}
	for from := range conversions {
		for to := range conversions[from] {
			conversions[from][to] = &wamp.Refusal{
				Reason: wamp.ReasonConversion, URI: wamp.ErrConversionRefused,
				Text: "the payload is opaque and was sent as " + wamp.Serializer(from).String() +
					", the receiver's session uses " + wamp.Serializer(to).String() +
					": connect both with the same serializer, or set the router's conversion to reframe",
			}
		}
	}
}

func violation(text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonAttributes, URI: wamp.ErrProtocolViolation, Text: text, Fatal: true}
}
