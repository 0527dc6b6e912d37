package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Caller calls procedures, through the router's own session in a realm. It is called
// concurrently.
type Caller interface {
	Call(ctx context.Context, procedure wamp.URI, args []any, kwargs map[string]any) ([]any, map[string]any, error)
}

// Procedure returns an authenticator that calls a WAMP procedure, in the same way as
// Crossbar's dynamic authenticators. The arguments are realm, authid and details, a dict
// of authmethod, authextra, session and transport. The procedure returns the role, or a
// dict with role and optionally authid and extra. To deny access it returns an error. The
// client gets the URI of that error, unless it begins with "wamp." or "blindfold.":
// such an error can come from the router, for example if the procedure does not exist.
//
// If the result has no authid, the session gets the authid that the client claims. So a
// procedure that checks a certificate, cookie or key, but not the authid, must return
// one.
//
// For "ticket", details.ticket is the client's ticket. For "tls",
// details.transport.peer_cert is the client's certificate; if there is none, or it has
// expired, the procedure is not called. For methods with proofs (wampcra, scram,
// wamp-scram, cryptosign), Procedure returns their authenticator with
// ProcedurePrincipals.
func Procedure(method string, caller Caller, procedure wamp.URI) router.Authenticator {
	switch principals := ProcedurePrincipals(caller, procedure); method {
	case "wampcra":
		return CRA(principals)
	case proof.SCRAMMethod:
		return SCRAM(principals)
	case proof.AutobahnSCRAMMethod:
		return AutobahnSCRAM(principals)
	case "cryptosign":
		return Cryptosign(principals)
	}
	return Func(method, func(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
		claim := &Claim{Method: method, AuthID: h.Hello.Details.AuthID, Handshake: h}
		if refusal := claim.certify(); refusal != nil && method == "tls" {
			return nil, refusal
		}
		details := claim.details()
		if method == "ticket" {
			if claim.AuthID == "" {
				return nil, noAuthID
			}
			reply, err := h.Challenge(nil)
			if err != nil {
				return nil, err
			}
			details["ticket"] = reply.Signature
		}
		p, err := askPrincipal(ctx, caller, procedure, claim, details)
		if err != nil {
			return nil, denial(err)
		}
		return p.identity(h)
	})
}

// denial converts the error of an authenticator's procedure: to a refusal for the client
// if the procedure denies access, and otherwise to an error for the operator.
func denial(err error) error {
	var said *wamp.Refusal
	switch {
	case !errors.As(err, &said) || said == noSuchRole:
		return err
	case slices.Contains(noes, said.URI):
		return &router.Denied{Cause: "the procedure denied access", Refusal: authenticationFailed}
	case said.URI.Reserved(), strings.HasPrefix(string(said.URI), "blindfold."):
		return fmt.Errorf("%v", err)
	}
	return &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: said.URI, Text: "authentication failed"}
}

// noes are the predefined error URIs that mean "denied". With any other "wamp." or
// "blindfold." error the procedure failed, or the router could not call it: its limit of
// calls in flight, for example, is blindfold.error.limit_exceeded.
var noes = []wamp.URI{
	wamp.ErrAuthenticationFailed, wamp.ErrAuthenticationDenied, wamp.ErrNotAuthorized, wamp.ErrNoSuchPrincipal, wamp.ErrNoSuchRole,
}

// ProcedurePrincipals looks up principals by a WAMP procedure, which is called as by
// Procedure. Besides role, authid and extra, its dict has the values that verify the
// proof, with Crossbar's names:
//
//	wampcra           secret, and for salted passwords salt, iterations, keylen
//	scram, wamp-scram kdf, salt, stored-key, server-key (all three in hex), iterations, memory
//	cryptosign        pubkey (hex): the public key of this principal
//
// If the call fails, the principal is unknown. Unless the procedure denied access, the
// failure is reported to the operator (router.Handshake.Failed). Unknown principals get a
// challenge like known ones, with a role and parameters like those that the procedure has
// returned for others. So keep the returned Principals as long as the procedure is used,
// across reloads too: they need known principals to imitate.
func ProcedurePrincipals(caller Caller, procedure wamp.URI) Principals {
	return &learning{&asked{caller, procedure}, newDecoys("dynamic")}
}

type asked struct {
	caller    Caller
	procedure wamp.URI
}

func (a *asked) Principal(ctx context.Context, claim *Claim) (*Principal, error) {
	p, err := askPrincipal(ctx, a.caller, a.procedure, claim, claim.details())
	var no *wamp.Refusal
	switch {
	case err == nil:
		return p, nil
	case ctx.Err() != nil: // the deadline has passed: no time for a decoy
		return nil, fmt.Errorf("dynamic authenticator %s: %w", a.procedure, ctx.Err())
	case !errors.As(denial(err), &no):
		claim.Handshake.Failed(err)
	}
	return nil, nil
}

// details returns the details of a claim, for a dynamic authenticator.
func (c *Claim) details() map[string]any {
	h := c.Handshake
	transport := map[string]any{
		"type": h.Connection.Transport, "network": h.Connection.Network, "peer": h.Connection.Address,
	}
	if c.Certificate != nil {
		sum := sha256.Sum256(c.Certificate.Raw)
		transport["peer_cert"] = map[string]any{
			"sha256": hex.EncodeToString(sum[:]), "cn": c.Certificate.Subject.CommonName, "verified": c.Verified,
		}
	}
	details := map[string]any{
		"session": uint64(h.Session), "authmethod": c.Method, "transport": transport,
		"authextra": any(h.Hello.Details.AuthExtra), "authrole": h.Hello.Details.AuthRole,
	}
	if h.Hello.Details.AuthExtra == nil {
		details["authextra"] = nil
	}
	if !c.Cookie.IsZero() {
		details["cookie"] = c.Cookie.Reveal()
	}
	return details
}

var (
	errAnswer     = errors.New("the procedure returned neither a role nor a dict with a valid role")
	errAuthID     = errors.New("neither the client nor the procedure gave an authid")
	errAuthIDForm = errors.New("the procedure returned an authid that is not a string")
	errCredential = errors.New("the procedure did not return the values that verify the proof, or returned them in another form")
	errPublicKey  = errors.New("the procedure returned no pubkey (an Ed25519 public key in hex), which cryptosign needs")
)

func askPrincipal(ctx context.Context, caller Caller, procedure wamp.URI, claim *Claim, details map[string]any) (*Principal, error) {
	realm := string(claim.Handshake.Hello.Realm)
	args, _, err := caller.Call(ctx, procedure, []any{realm, claim.AuthID, details}, nil)
	var p *Principal
	if err == nil {
		p, err = answeredPrincipal(args, claim, details)
	}
	if err != nil {
		return nil, fmt.Errorf("dynamic authenticator %s: %w", procedure, err)
	}
	return p, nil
}

func answeredPrincipal(args []any, claim *Claim, details map[string]any) (*Principal, error) {
	if len(args) == 0 {
		return nil, errAnswer
	}
	p := &Principal{AuthID: claim.AuthID, Provider: "dynamic"}
	answer, ok := args[0].(map[string]any)
	if !ok {
		answer = map[string]any{"role": args[0]}
	}
	role, ok := answer["role"].(string)
	if !ok || role == "" {
		return nil, errAnswer
	}
	// The procedure knows which role the client asked for. Its result is final.
	p.Roles = []string{role}
	if asked := details["authrole"]; asked != "" && asked != role {
		return nil, noSuchRole
	}
	switch id := answer["authid"].(type) {
	case nil:
	case string:
		if id != "" {
			p.AuthID = id
		}
	default: // otherwise the client would get the authid that it claims
		return nil, errAuthIDForm
	}
	p.Extra, _ = answer["extra"].(map[string]any)
	var err error
	switch claim.Method {
	case "wampcra":
		p.CRA, err = answeredCRA(answer)
	case proof.SCRAMMethod, proof.AutobahnSCRAMMethod:
		p.SCRAM, err = answeredSCRAM(answer)
	case "cryptosign":
		text, _ := answer["pubkey"].(string)
		key, err := hex.DecodeString(text)
		switch {
		case err != nil || len(key) != ed25519.PublicKeySize:
			return nil, errPublicKey
		case !ed25519.PublicKey(key).Equal(claim.Key):
			return nil, authenticationFailed
		}
		if p.AuthID == "" {
			p.AuthID = hex.EncodeToString(claim.Key)
		}
	}
	if err == nil && p.AuthID == "" {
		err = errAuthID
	}
	return p, err
}

func answeredCRA(answer map[string]any) (*CRACredential, error) {
	secret, _ := answer["secret"].(string)
	c := &CRACredential{Secret: NewSecret(secret), Iterations: 1000, KeyLength: 32}
	c.Salt, _ = answer["salt"].(string)
	for key, to := range map[string]*int{"iterations": &c.Iterations, "keylen": &c.KeyLength} {
		if v, given := answer[key]; given {
			n, ok := proof.Integer(v)
			if !ok {
				return nil, errCredential
			}
			*to = n
		}
	}
	if secret == "" {
		return nil, errCredential
	}
	return c, nil
}

func answeredSCRAM(answer map[string]any) (*SCRAMCredential, error) {
	c := &SCRAMCredential{}
	c.KDF, _ = answer["kdf"].(string)
	c.Iterations, _ = proof.Integer(answer["iterations"])
	c.Memory, _ = proof.Integer(answer["memory"])
	for key, to := range map[string]*[]byte{"salt": &c.Salt, "stored-key": &c.StoredKey, "server-key": &c.ServerKey} {
		text, _ := answer[key].(string)
		*to, _ = hex.DecodeString(text)
	}
	if c.Check() != nil || len(c.StoredKey) != sha256.Size || len(c.ServerKey) != sha256.Size {
		return nil, errCredential
	}
	return c, nil
}

// ProcedureAuthorizer calls a WAMP procedure, in the same way as Crossbar's dynamic
// authorizers. The arguments are session (a dict of realm, session, authid, authrole,
// authmethod, authprovider and transport), uri, action and options, which has match for
// patterns. The procedure returns a boolean, or a dict of the booleans allow, disclose and
// cache and, in addition to Crossbar's, explicit (router.Decision). It gets no payload.
//
// Results with cache are cached for the session that they are about. During the call,
// the router does not read from that session. So the sessions that serve the procedure
// need a role with another authorizer (see ByRole). Otherwise they wait for themselves
// until the timeout.
type ProcedureAuthorizer struct {
	caller    Caller
	procedure wamp.URI
	timeout   time.Duration
	decisions *memory
}

// AuthorizerOptions are the limits of a ProcedureAuthorizer. Zero fields have defaults.
type AuthorizerOptions struct {
	Timeout  time.Duration // of one call; default 5 seconds
	Remember time.Duration // how long a result is cached; default one minute
	Answers  int           // how many results are cached; default 8192
}

// NewProcedureAuthorizer returns an authorizer that calls procedure.
func NewProcedureAuthorizer(caller Caller, procedure wamp.URI, o AuthorizerOptions) *ProcedureAuthorizer {
	a := &ProcedureAuthorizer{caller: caller, procedure: procedure, timeout: o.Timeout}
	if a.timeout <= 0 {
		a.timeout = 5 * time.Second
	}
	if o.Remember <= 0 {
		o.Remember = time.Minute
	}
	if o.Answers <= 0 {
		o.Answers = 8192
	}
	a.decisions = newMemory(o.Answers, o.Remember)
	return a
}

var errDecision = errors.New("the dynamic authorizer returned neither a boolean nor a dict of booleans")

// Authorize implements router.Authorizer.
func (a *ProcedureAuthorizer) Authorize(ctx context.Context, who *wamp.Peer, action router.Action, uri wamp.URI, match wamp.Match) (router.Decision, error) {
	question := question{who.Realm, who.Session, action, uri, match}
	if d, ok := a.decisions.get(question); ok {
		return d, nil
	}
	if err := ctx.Err(); err != nil {
		return router.Decision{}, err
	}
	options := map[string]any{}
	if match != wamp.MatchExact {
		options["match"] = match.String()
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	args, _, err := a.caller.Call(ctx, a.procedure, []any{map[string]any{
		"realm": who.Realm, "session": uint64(who.Session),
		"authid": who.AuthID, "authrole": who.AuthRole, "authmethod": who.AuthMethod, "authprovider": who.AuthProvider,
		"transport": map[string]any{"type": who.Transport, "peer": who.Address},
	}, string(uri), action.String(), options}, nil)
	if err != nil {
		return router.Decision{}, fmt.Errorf("dynamic authorizer: %w", err)
	}
	if len(args) == 0 {
		return router.Decision{}, errDecision
	}
	switch answer := args[0].(type) {
	case bool:
		return router.Decision{Allow: answer}, nil
	case map[string]any:
		allow, ok := answer["allow"].(bool)
		if !ok {
			return router.Decision{}, errDecision
		}
		disclose, _ := answer["disclose"].(bool)
		explicit, _ := answer["explicit"].(bool)
		d := router.Decision{Allow: allow, Disclose: disclose && allow, Explicit: explicit && allow}
		if cache, _ := answer["cache"].(bool); cache {
			a.decisions.put(question, d)
		}
		return d, nil
	}
	return router.Decision{}, errDecision
}
