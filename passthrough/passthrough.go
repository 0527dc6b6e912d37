// Package passthrough enforces the rules for opaque payloads: payloads that the router
// must not read, which their sender declares in one of two forms. With payload
// transparency (enc_algo and so on; Autobahn, Crossbar), the payload is one bare binary
// instead of the arguments. With payload passthru mode (ppt_scheme and so on; WAMP,
// "Payload Passthru Mode"), it is one element in the list of arguments.
//
// An [Interceptor] is installed in a realm of package router. It refuses payloads from
// the sender that would end the session of a receiver. It refuses to deliver an opaque
// payload that would have to be decoded for the receiver. It never reads one.
//
// # Senders
//
// PUBLISH, CALL, YIELD and ERROR are refused, in this order:
//
//   - with an ABORT, for options or a payload that break the rules of their form
//     (wamp.ReasonAttributes), or for a form that the sender did not announce for
//     its role (wamp.ReasonUnannounced). A sender that announces only
//     payload_encryption_cryptobox may use enc_algo "cryptobox". A bare binary
//     without enc_algo is allowed;
//   - with an ERROR, for a payload that is not opaque on a URI of Config.Require
//     (wamp.ReasonCleartext);
//   - with an ERROR, for a PUBLISH or CALL that violates a rule of Config.Validation
//     (wamp.ReasonValidation, wamp.ReasonInvalid).
//
// # Required encryption
//
// A URI of Config.Require is a topic, or a procedure for calls and their results and
// errors. A PUBLISH or CALL without any payload is refused there as well: it reveals
// nothing, but its client has no key for the URI, and it is better if it fails now than
// on the first call with arguments. A YIELD or ERROR without any payload is accepted,
// because clients return nothing, cancel and fail in their own ways, and an empty reply
// reveals nothing. An empty payload that is declared opaque is accepted too. One element
// under ppt_scheme that is not a binary can be read by everyone on its way, so it counts
// as clear. The router cannot know whether a binary is really encrypted.
//
// # Validation
//
// A rule of Config.Validation applies to PUBLISH and CALL, not to results and errors. All
// rules whose pattern matches apply. The schema validates
//
//	{"args": [...], "kwargs": {...}}
//
// with both keys always present. In it, a binary is a base64 string (standard alphabet,
// padded), whatever the serializer: {"type": "string", "contentEncoding": "base64"}
// matches it. Numbers that JSON cannot represent (NaN, infinities), nesting beyond
// [MaxDepth] and more values than Validation.Elements fail every schema. The text of a
// refusal says where and by which keyword a payload failed, never what it contained.
package passthrough

import (
	"errors"
	"fmt"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Refuse is the zero value, and default, of Conversion and OpaquePolicy.
const Refuse = 0

// Conversion says what happens to an opaque payload if receiver and sender use different
// serializers.
type Conversion uint8

// Reframe changes the framing of an opaque binary (JSON string, MessagePack bin,
// CBOR byte string) for the receiver. The bytes of the binary never change.
const Reframe Conversion = 1

// UnmarshalText reads "refuse" or "reframe".
func (c *Conversion) UnmarshalText(text []byte) error {
	switch string(text) {
	case "refuse":
		*c = Refuse
	case "reframe":
		*c = Reframe
	default:
		return errors.New(`conversion must be "refuse" or "reframe"`)
	}
	return nil
}

// OpaquePolicy says what happens to an opaque payload on a URI with a validation rule.
type OpaquePolicy uint8

// Pass accepts opaque payloads without validation: a client can bypass the rule by
// declaring a payload opaque.
const Pass OpaquePolicy = 1

// UnmarshalText reads "refuse" or "pass".
func (o *OpaquePolicy) UnmarshalText(text []byte) error {
	switch string(text) {
	case "refuse":
		*o = Refuse
	case "pass":
		*o = Pass
	default:
		return errors.New(`opaque must be "refuse" or "pass"`)
	}
	return nil
}

// Config configures an Interceptor. The zero Config enforces the rules of the forms and
// refuses conversions.
type Config struct {
	Conversion Conversion
	// Require names the URIs on which only opaque payloads are allowed.
	Require []Rule
	// Validation names the URIs on which clear payloads must match a schema.
	Validation []Validation
}

// Rule selects the URIs that URI matches under Match.
type Rule struct {
	URI   wamp.URI
	Match wamp.Match
}

// Validation requires that payloads on its URIs match Schema.
type Validation struct {
	URI    wamp.URI
	Match  wamp.Match
	Schema *Schema
	Opaque OpaquePolicy
	// Elements is how many values a payload may have, at most MaxValues. The router needs
	// up to 256 bytes for each. Default DefaultValues. If several rules match a URI, the
	// smallest number counts.
	Elements int
}

// Interceptor is a router.Interceptor and a router.Announcer. It is immutable: realms may
// share it, and it may be called concurrently.
type Interceptor struct {
	conversion Conversion
	require    table[struct{}]
	validation table[*Validation]
}

// New returns an Interceptor. The error names the rule that is wrong. Config is not kept.
func New(c Config) (*Interceptor, error) {
	if c.Conversion > Reframe {
		return nil, errors.New("passthrough: conversion must be Refuse or Reframe")
	}
	i := &Interceptor{conversion: c.Conversion}
	for n, r := range c.Require {
		if err := checkPattern(r.URI, r.Match); err != nil {
			return nil, fmt.Errorf("passthrough: require[%d]: %w", n, err)
		}
		i.require.add(r.URI, r.Match, struct{}{})
	}
	for n, v := range c.Validation {
		if err := checkPattern(v.URI, v.Match); err != nil {
			return nil, fmt.Errorf("passthrough: validation[%d]: %w", n, err)
		}
		if v.Schema == nil {
			return nil, fmt.Errorf("passthrough: validation[%d]: the schema is missing", n)
		}
		if v.Opaque > Pass {
			return nil, fmt.Errorf("passthrough: validation[%d]: opaque must be Refuse or Pass", n)
		}
		if v.Elements < 0 || v.Elements > MaxValues {
			return nil, fmt.Errorf("passthrough: validation[%d]: elements must be from 1 to %d", n, MaxValues)
		}
		if v.Elements == 0 {
			v.Elements = DefaultValues
		}
		i.validation.add(v.URI, v.Match, &v)
	}
	return i, nil
}

func checkPattern(uri wamp.URI, m wamp.Match) error {
	if m > wamp.MatchWildcard {
		return errors.New("unknown match policy")
	}
	if !uri.Valid(m) {
		return fmt.Errorf("%q is not a URI to match by %s", string(uri), m)
	}
	return nil
}

// Features returns the features that the router announces in a realm with the Interceptor.
func (*Interceptor) Features() []wamp.Feature {
	return []wamp.Feature{wamp.PayloadPassthruMode, wamp.PayloadTransparency, wamp.PayloadEncryptionCryptobox}
}
