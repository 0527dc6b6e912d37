// Package passthrough polices opaque payloads: those whose sender declared them
// to be none of the router's business, in one of two forms. Under payload
// transparency (enc_algo and its like; Autobahn, Crossbar) the payload is one
// bare binary in the place of the arguments. Under payload passthru mode
// (ppt_scheme and its like; WAMP, "Payload Passthru Mode") it is one element
// within the list of arguments.
//
// An [Interceptor] is installed in a realm of package router. It stops at the
// sender what would end the session of a receiver, and keeps an opaque payload
// from whoever could only get it by having it decoded. It never reads one.
//
// # Senders
//
// PUBLISH, CALL, YIELD and ERROR are refused, in this order:
//
//   - with an ABORT, for options or a payload that break the rules of their form
//     (wamp.ReasonAttributes), or for a form that the sender did not announce for
//     the role it acts in (wamp.ReasonUnannounced). Who announces
//     payload_encryption_cryptobox alone may use enc_algo "cryptobox". A bare
//     binary without enc_algo is legal;
//   - with an ERROR, for a payload that is not opaque on a URI of Config.Require
//     (wamp.ReasonCleartext);
//   - with an ERROR, for a PUBLISH or CALL that a rule of Config.Validation does
//     not let through (wamp.ReasonValidation, wamp.ReasonInvalid).
//
// # Required encryption
//
// A URI of Config.Require is the topic, or the procedure for a call and all that
// comes back from it. A PUBLISH or CALL without any payload is refused there as
// well: it hides nothing, but it comes from a client that has no key for the URI,
// who had better learn it now than with the first argument it passes. A YIELD or
// ERROR without any payload is let through, because clients return nothing,
// cancel and fail in ways of their own, and an empty reply tells nothing. So is an
// empty payload that is declared opaque. One element under ppt_scheme that is not
// a binary can be read by everyone on its way, so it counts as cleartext there.
// Whether a binary is really encrypted, the router cannot know.
//
// # Validation
//
// A rule of Config.Validation applies to PUBLISH and CALL, and not to what a call
// returns. All rules whose pattern matches apply. The schema sees
//
//	{"args": [...], "kwargs": {...}}
//
// with both keys always there. A binary is shown to it as a string of base64
// (standard alphabet, padded), the same for every serializer; write
// {"type": "string", "contentEncoding": "base64"} to ask for one. Numbers that
// JSON does not have (NaN, infinities), nesting beyond [MaxDepth] and more values
// than Validation.Elements fail every schema. The text of a refusal tells where and
// by which keyword a payload failed, never what was there.
package passthrough

import (
	"errors"
	"fmt"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Refuse is the zero value, and default, of Conversion and OpaquePolicy.
const Refuse = 0

// Conversion says what becomes of an opaque payload whose receiver uses another
// serializer than its sender.
type Conversion uint8

// Reframe changes the framing of an opaque binary (JSON string, MessagePack bin,
// CBOR byte string) for the receiver. The binary's own bytes never change.
const Reframe Conversion = 1

// UnmarshalText reads "refuse" or "reframe".
func (c *Conversion) UnmarshalText(text []byte) error {
	switch string(text) {
	case "refuse":
		*c = Refuse
	case "reframe":
		*c = Reframe
	default:
		return errors.New(`conversion is "refuse" or "reframe"`)
	}
	return nil
}

// OpaquePolicy says what becomes of an opaque payload on a URI with a validation
// rule.
type OpaquePolicy uint8

// Pass lets opaque payloads through unvalidated: whoever declares a payload opaque
// escapes the rule.
const Pass OpaquePolicy = 1

// UnmarshalText reads "refuse" or "pass".
func (o *OpaquePolicy) UnmarshalText(text []byte) error {
	switch string(text) {
	case "refuse":
		*o = Refuse
	case "pass":
		*o = Pass
	default:
		return errors.New(`opaque is "refuse" or "pass"`)
	}
	return nil
}

// Config is what an Interceptor is to do. The zero Config polices the forms, and
// refuses conversions.
type Config struct {
	Conversion Conversion
	// Require names the URIs where only opaque payloads are allowed.
	Require []Rule
	// Validation names the URIs where clear payloads have to pass a schema.
	Validation []Validation
}

// Rule names URIs: all that URI matches under Match.
type Rule struct {
	URI   wamp.URI
	Match wamp.Match
}

// Validation asks for payloads that pass Schema on the URIs that it names.
type Validation struct {
	URI    wamp.URI
	Match  wamp.Match
	Schema *Schema
	Opaque OpaquePolicy
	// Elements is how many values a payload may hold, at most MaxValues; the router
	// makes up to 256 bytes of each. Default DefaultValues. Where several rules match
	// a URI, the least counts.
	Elements int
}

// Interceptor is a router.Interceptor and a router.Announcer. It does not change
// once made, so it may be shared by realms and called concurrently.
type Interceptor struct {
	conversion Conversion
	require    table[struct{}]
	validation table[*Validation]
}

// New makes an Interceptor. The error names the rule that is wrong. Config is not
// kept.
func New(c Config) (*Interceptor, error) {
	if c.Conversion > Reframe {
		return nil, errors.New("passthrough: conversion is neither Refuse nor Reframe")
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
			return nil, fmt.Errorf("passthrough: validation[%d]: no schema", n)
		}
		if v.Opaque > Pass {
			return nil, fmt.Errorf("passthrough: validation[%d]: opaque is neither Refuse nor Pass", n)
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
		return errors.New("unknown matching policy")
	}
	if !uri.Valid(m) {
		return fmt.Errorf("%q is not a URI to match by %s", string(uri), m)
	}
	return nil
}

// Features returns what the router announces where the Interceptor is installed.
func (*Interceptor) Features() []wamp.Feature {
	return []wamp.Feature{wamp.PayloadPassthruMode, wamp.PayloadTransparency, wamp.PayloadEncryptionCryptobox}
}
