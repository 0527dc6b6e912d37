package client

import (
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// plaintext is the decoded content of a payload.
type plaintext struct {
	args   []any
	kwargs map[string]any
	sealed bool
	origin *wamp.Origin
}

// sealContext is the context that a payload is sealed or opened in.
type sealContext struct {
	wamp.Subject
	// sealed is true if the payload belongs to a sealed call, clear if it is the ERROR of
	// one that was in the clear.
	sealed, clear bool
}

// failure reports whether the payload is that of an ERROR.
func (on *sealContext) failure() bool { return on.Type == wamp.TypeError }

// isRouterURI reports whether the router itself sends errors with this URI.
func isRouterURI(uri wamp.URI) bool {
	return uri.Reserved() || strings.HasPrefix(string(uri), "blindfold.")
}

// neverSealed reports whether the payload is for the router itself, or comes from it.
func (on *sealContext) neverSealed() bool { return !on.failure() && on.URI.Reserved() }

// seal returns the payload to send: sealed, unless there is no sealer, the URI is the
// router's own, or it has no key and is in Config.AllowClear. If it fails, nothing may
// be sent.
func (l *link) seal(on sealContext, args []any, kwargs map[string]any) (p wamp.Payload, a wamp.Attributes, sealed bool, err error) {
	if sealer := l.s.config.Sealer; sealer != nil && !on.neverSealed() {
		var data []byte
		a, data, sealed, err = sealer.Seal(&on.Subject, args, kwargs)
		switch {
		case err != nil:
			return p, wamp.Attributes{}, false, &SealError{URI: on.URI, Reason: uriOf(err, wamp.ErrNoPayloadCodec), Err: err}
		case sealed:
			form := a.Declared()
			if form == wamp.FormNone {
				form = wamp.FormTransparency
			}
			if !on.sealed && !l.carries(form, &a, on.Type == wamp.TypePublish) {
				return p, wamp.Attributes{}, false, &SealError{URI: on.URI, Reason: wamp.ErrFeatureNotSupported, Err: ErrUnsupported}
			}
			return codec.BinaryPayload(l.serializer(), form, data), a, true, nil
		case !on.clear && !on.sealed && !l.s.allowsClear(on.URI):
			return p, wamp.Attributes{}, false, &SealError{URI: on.URI, Reason: wamp.ErrNoPayloadCodec, Err: ErrNoKey}
		}
	}
	if on.sealed {
		return p, wamp.Attributes{}, false, &SealError{URI: on.URI, Reason: wamp.ErrNoPayloadCodec, Err: ErrNotSealed}
	}
	p, err = encodeClear(l.serializer(), args, kwargs)
	return p, wamp.Attributes{}, false, err
}

// carries reports whether the router announces the form. A router that does not may
// drop the message silently, or alter it.
func (l *link) carries(form wamp.Form, a *wamp.Attributes, topic bool) bool {
	r := l.welcome.Roles.Dealer
	if topic {
		r = l.welcome.Roles.Broker
	}
	if form == wamp.FormPassthru {
		return r.Has(wamp.PayloadPassthruMode)
	}
	return r.Has(wamp.PayloadTransparency) || a.EncAlgo == "cryptobox" && r.Has(wamp.PayloadEncryptionCryptobox)
}

// open returns the content of a received payload. The error is a *SealError, or an
// *Error if a clear payload cannot be decoded.
func (s *Session) open(on sealContext, a *wamp.Attributes, p *wamp.Payload) (plaintext, error) {
	if p.Opaque() {
		return s.unseal(on, a, p)
	}
	if err := s.acceptClear(on, p); err != nil {
		return plaintext{}, err
	}
	args, kwargs, err := p.Decode()
	if err != nil {
		return plaintext{}, invalid(uriOf(err, wamp.ErrInvalidArgument), "the payload cannot be decoded", err)
	}
	return plaintext{args: args, kwargs: kwargs}, nil
}

func (s *Session) unseal(on sealContext, a *wamp.Attributes, p *wamp.Payload) (plaintext, error) {
	refused := &SealError{URI: on.URI, Opening: true, Reason: wamp.ErrNoPayloadCodec}
	sealer := s.config.Sealer
	if sealer == nil {
		refused.Err = ErrNoSealer
		return plaintext{}, refused
	}
	data, ok := codec.Binary(p)
	if !ok {
		refused.Err = ErrNotOneBinary
		return plaintext{}, refused
	}
	args, kwargs, err := sealer.Open(&on.Subject, a, data)
	if err != nil {
		refused.Reason, refused.Err = uriOf(err, wamp.ErrDecryptError), err
		return plaintext{}, refused
	}
	return plaintext{args: args, kwargs: kwargs, sealed: true, origin: on.Origin}, nil
}

// acceptClear decides on a payload that came in the clear: anybody on the way may have
// put it in. What has a key, or is the RESULT of a sealed call, is never accepted. An
// ERROR without arguments is accepted if its URI has no key, since the other side sends
// it so; see sendError.
func (s *Session) acceptClear(on sealContext, p *wamp.Payload) error {
	switch {
	case s.config.Sealer == nil && !on.sealed, on.neverSealed(), on.failure() && isRouterURI(on.URI),
		!on.sealed && s.allowsClear(on.URI) && !s.hasKey(on),
		on.failure() && (on.clear || p.WireSize() == 0) && !s.hasKey(on):
		return nil
	}
	return &SealError{URI: on.URI, Opening: true, Reason: wamp.ErrCleartextRefused, Err: ErrClear}
}

// allowsClear reports whether Config.AllowClear has a prefix of the URI.
func (s *Session) allowsClear(uri wamp.URI) bool {
	return slices.ContainsFunc(s.config.AllowClear, func(prefix wamp.URI) bool { return prefix.Matches(wamp.MatchPrefix, uri) })
}

// hasKey reports whether the payload is the sealer's to seal.
func (s *Session) hasKey(on sealContext) bool {
	sealer := s.config.Sealer
	return sealer != nil && !on.neverSealed() && sealer.Keyed(&on.Subject)
}

// scramble returns the URI or pattern to send.
func (s *Session) scramble(uri wamp.URI, match wamp.Match) (wamp.URI, error) {
	if !uri.Valid(match) {
		return "", invalid(wamp.ErrInvalidURI, "not a valid URI, or not a valid pattern for this match policy", nil)
	}
	if s.config.Scrambler == nil || uri.Reserved() {
		return uri, nil
	}
	wire, err := s.config.Scrambler.Scramble(uri, match)
	if err != nil {
		reason := uriOf(err, wamp.ErrInvalidURI)
		return "", invalid(reason, strings.TrimPrefix(err.Error(), string(reason)+": "), err)
	}
	return wire, nil
}

// errorURI returns the error URI to send.
func (s *Session) errorURI(uri wamp.URI) (wamp.URI, error) {
	if isRouterURI(uri) {
		return uri, nil
	}
	return s.scramble(uri, wamp.MatchExact)
}

// restoreURI returns the clear URI of a URI from the router.
func (s *Session) restoreURI(uri wamp.URI) (wamp.URI, error) {
	if s.config.Scrambler == nil || uri.Reserved() {
		return uri, nil
	}
	plain, ok := s.config.Scrambler.Restore(uri)
	if !ok {
		return "", invalid(wamp.ErrInvalidURI, "a scrambled URI is not known here", nil)
	}
	return plain, nil
}

// requestError converts an ERROR of the router itself, which is never sealed.
func (s *Session) requestError(m *wamp.Error) *Error {
	e := &Error{URI: m.Error, Message: m.Details.Message}
	if !m.Payload.Opaque() {
		if args, kwargs, err := m.Payload.Decode(); err == nil {
			e.Args, e.Kwargs = args, kwargs
		}
	}
	return e.withMessage()
}

// withMessage sets the message to the first argument, if there is no other message.
func (e *Error) withMessage() *Error {
	if e.Message == "" && len(e.Args) > 0 {
		e.Message, _ = e.Args[0].(string)
	}
	return e
}

// callError converts the ERROR that ended a call. The details are not
// sealed: for a genuine error the message is that of its arguments.
func (s *Session) callError(m *wamp.Error, call *wamp.SealedCall, sealed bool) error {
	uri := m.Error
	if !isRouterURI(uri) {
		var err error
		if uri, err = s.restoreURI(uri); err != nil {
			return err
		}
	}
	c, err := s.open(sealContext{Subject: wamp.Subject{Type: wamp.TypeError, URI: uri, Originator: true, Call: call}, clear: !sealed}, &m.Details.Attributes, &m.Payload)
	if err != nil {
		return err
	}
	e := &Error{URI: uri, Message: m.Details.Message, Args: c.args, Kwargs: c.kwargs, Sealed: c.sealed, Origin: c.origin}
	if c.sealed {
		e.Message = ""
	}
	return e.withMessage()
}
