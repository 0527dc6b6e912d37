package router

import (
	"context"
	"math"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// metaAPI is the router's own procedures and events (WAMP, "Meta API"). A CALL of such
// a procedure is authorized like any other, and answered inline, on the caller's
// goroutine.
type metaAPI struct {
	realm      *realm
	procedures map[wamp.URI]metaProcedure
	events     *metaEvents // nil: none are published
	// service stands for the router as the sender of its events. It is in no table, and
	// nothing is ever sent to it.
	service *session

	subscriptionIDs, registrationIDs idLists
}

// metaProcedure is one of the router's own procedures.
type metaProcedure struct {
	// privileged procedures act on other sessions. They need an explicit permission:
	// see Decision.Explicit.
	privileged bool
	merge      merge // merges the answers of other nodes; nil: they are not asked
	answer     func(c *metaCall) *wamp.Refusal
}

// metaCall is a CALL of one of the router's own procedures.
type metaCall struct {
	batch  *batch
	from   *session
	realm  *realm
	args   []any
	kwargs map[string]any
	// Arguments of the RESULT.
	result   []any
	resultKw map[string]any
}

func newMetaAPI(m *realm, c *RealmConfig) *metaAPI {
	api := &metaAPI{realm: m, procedures: make(map[wamp.URI]metaProcedure)}
	api.service = &session{realm: m, peer: wamp.Peer{Realm: m.name, AuthRole: "router", Serializer: wamp.CBOR, Transport: "memory"}}
	if !c.NoMeta {
		api.events = &metaEvents{api: api}
		api.add(sessionProcedures)
		api.add(subscriptionProcedures)
		api.add(registrationProcedures)
	}
	if len(c.History) > 0 {
		api.add(historyProcedures)
	}
	if c.Testaments != nil {
		api.add(testamentProcedures)
	}
	return api
}

func (api *metaAPI) add(procedures map[wamp.URI]metaProcedure) {
	for uri, p := range procedures {
		api.procedures[uri] = p
	}
}

// call answers a CALL whose procedure begins with "wamp.".
func (api *metaAPI) call(b *batch, from *session, m *wamp.Call) *wamp.Refusal {
	refusal := api.answer(b, from, m)
	if refusal != nil {
		return from.refuseCall(b, m, refusal)
	}
	b.routed(from, 0)
	api.events.publish(b, from)
	return nil
}

func (api *metaAPI) answer(b *batch, from *session, m *wamp.Call) *wamp.Refusal {
	if _, _, refusal := from.realm.dealer.admit(b, from, m); refusal != nil {
		return refusal
	}
	procedure, ok := api.procedures[m.Procedure]
	switch {
	case !ok:
		return noSuchProcedure
	case procedure.privileged && !b.grantsReserved(from, ActionCall, m.Procedure):
		return needsReservedPermission
	case m.Payload.Opaque():
		return opaqueToRouter
	case m.Options.Progress == wamp.True:
		return progressToRouter
	}
	c := metaCall{batch: b, from: from, realm: api.realm}
	var err error
	if c.args, c.kwargs, err = m.Payload.DecodeWithin(from.router.limits().values()); err != nil {
		return asRefusal(err)
	}
	if refusal := c.askOthers(m.Procedure, procedure.merge, procedure.answer(&c)); refusal != nil {
		return refusal
	}
	payload, err := codec.EncodePayload(from.peer.Serializer, c.result, c.resultKw)
	if err != nil {
		return asRefusal(err)
	}
	b.begin(from, m.Procedure, m)
	b.resetEncodings()
	return b.enqueue(&wamp.Result{Request: m.Request, Payload: payload}, nil, from, nil)
}

// grantsReserved reports whether an authorizer grants the action by an explicit
// permission.
func (b *batch) grantsReserved(s *session, action Action, uri wamp.URI) bool {
	for _, a := range s.realm.hooks.Load().authorizers {
		if d, err := a.Authorize(context.Background(), &s.peer, action, uri, wamp.MatchExact); err == nil && d.Allow && d.Explicit {
			return true
		}
	}
	return false
}

// id returns the i-th argument as an id. JavaScript encoders write large integers as
// floats.
func (c *metaCall) id(i int) (wamp.ID, *wamp.Refusal) {
	if i < len(c.args) {
		if n, ok := number(c.args[i]); ok && wamp.ID(n).Valid() {
			return wamp.ID(n), nil
		}
	}
	return 0, needID
}

// number returns v as an integer, if it is one and not negative.
func number(v any) (uint64, bool) {
	switch v := v.(type) {
	case int64:
		return uint64(v), v >= 0
	case float64:
		return uint64(v), v >= 0 && v <= 1<<53 && v == math.Trunc(v)
	}
	return 0, false
}

// text returns the i-th argument as a string.
func (c *metaCall) text(i int) (string, *wamp.Refusal) {
	if i < len(c.args) {
		if s, ok := c.args[i].(string); ok {
			return s, nil
		}
	}
	return "", needString
}

// option returns a keyword argument that is a string, or "" if there is none.
func (c *metaCall) option(key string) (string, *wamp.Refusal) {
	v, ok := c.kwargs[key]
	if !ok || v == nil {
		return "", nil
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	return "", needString
}

// match returns the matching policy in the options, which are the i-th argument.
func (c *metaCall) match(i int) (wamp.Match, *wamp.Refusal) {
	if i >= len(c.args) || c.args[i] == nil {
		return wamp.MatchExact, nil
	}
	options, ok := c.args[i].(map[string]any)
	if !ok {
		return 0, needDict
	}
	name, ok := options["match"].(string)
	if !ok && options["match"] != nil {
		return 0, unknownMatch
	}
	match, ok := wamp.ParseMatch(name)
	if !ok {
		return 0, unknownMatch
	}
	return match, nil
}

// values is a wamp.DictWriter that builds a dict.
type values map[string]any

func valuesOf(d interface{ Write(wamp.DictWriter) }) values {
	v := values{}
	d.Write(v)
	return v
}

func (m values) Bool(key string, v bool) {
	if v {
		m[key] = true
	}
}

func (m values) Flag(key string, v wamp.Flag) {
	if v != wamp.Unset {
		m[key] = v == wamp.True
	}
}

func (m values) String(key, v string) {
	if v != "" {
		m[key] = v
	}
}

func (m values) ID(key string, v wamp.ID) { m.Uint(key, uint64(v)) }

func (m values) Uint(key string, v uint64) {
	if v != 0 {
		m[key] = v
	}
}

func (m values) Trust(key string, v wamp.Trust) {
	if level, ok := v.Level(); ok {
		m[key] = level
	}
}

func (m values) IDs(key string, v []wamp.ID) { m.Value(key, v) }

func (m values) Strings(key string, v []string) { m.Value(key, v) }

func (m values) Roles(string, *wamp.Roles) {}

func (m values) Value(key string, v any) { m[key] = v }

// invalidArgument returns the refusal of a meta procedure's arguments.
func invalidArgument(text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrInvalidArgument, Text: text}
}

var (
	needID         = invalidArgument("argument of the wrong type: the procedure takes an id there, an integer from 1 to 2^53")
	needString     = invalidArgument("argument of the wrong type: the procedure takes a string there")
	needDict       = invalidArgument("argument of the wrong type: the procedure takes a dict there")
	needStrings    = invalidArgument("argument of the wrong type: the procedure takes a list of strings there")
	opaqueToRouter = invalidArgument("the router answers this procedure and can't read opaque arguments: call it with clear ones")

	progressToRouter = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrFeatureNotSupported,
		Text: "the router's own procedures take no progressive calls: send all arguments in one CALL"}
	needsReservedPermission = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNotAuthorized,
		Text: "this procedure acts on other sessions: add a permission whose uri begins with \"wamp.\""}
)
