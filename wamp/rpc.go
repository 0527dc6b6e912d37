package wamp

// Call calls a procedure: [CALL, Request|id, Options|dict, Procedure|uri, payload…].
type Call struct {
	Request   ID
	Options   CallOptions
	Procedure URI
	Payload   Payload
}

// CallOptions is CALL.Options. Timeout is in milliseconds; 0 is none.
type CallOptions struct {
	ReceiveProgress Flag
	Progress        Flag // more of this call's invocation follows
	DiscloseMe      Flag
	Timeout         uint64
	TransactionHash string
	ForwardFor      []any
	Attributes
}

func (*Call) Type() MessageType { return TypeCall }

func (m *Call) Elements(e Elements) {
	e.ID("Request", &m.Request)
	e.Dict("Options", &m.Options)
	e.URI("Procedure", &m.Procedure)
	e.Payload(&m.Payload, &m.Options.Attributes)
}

func (m *Call) Carried() (*Payload, *Attributes) { return &m.Payload, &m.Options.Attributes }

func (o *CallOptions) Field(key string) any {
	switch key {
	case "receive_progress":
		return &o.ReceiveProgress
	case "progress":
		return &o.Progress
	case "disclose_me":
		return &o.DiscloseMe
	case "timeout":
		return &o.Timeout
	case "transaction_hash":
		return &o.TransactionHash
	case "forward_for":
		return &o.ForwardFor
	}
	return o.field(key)
}

func (o *CallOptions) Write(w DictWriter) {
	w.Flag("receive_progress", o.ReceiveProgress)
	w.Flag("progress", o.Progress)
	w.Flag("disclose_me", o.DiscloseMe)
	w.Uint("timeout", o.Timeout)
	w.String("transaction_hash", o.TransactionHash)
	writeList(w, "forward_for", o.ForwardFor)
	o.write(w)
}

// Cancel cancels a call: [CANCEL, CALL.Request|id, Options|dict].
type Cancel struct {
	Request ID
	Options CancelOptions
}

// CancelOptions is the options of CANCEL and INTERRUPT. Mode is "skip", "kill"
// or "killnowait".
type CancelOptions struct {
	Mode   string
	Reason string
}

func (o *CancelOptions) Field(key string) any {
	switch key {
	case "mode":
		return &o.Mode
	case "reason":
		return &o.Reason
	}
	return nil
}

func (o *CancelOptions) Write(w DictWriter) {
	w.String("mode", o.Mode)
	w.String("reason", o.Reason)
}

func (*Cancel) Type() MessageType { return TypeCancel }

func (m *Cancel) Elements(e Elements) {
	e.ID("CALL.Request", &m.Request)
	e.Dict("Options", &m.Options)
}

// Result answers a call: [RESULT, CALL.Request|id, Details|dict, payload…].
type Result struct {
	Request ID
	Details ResultDetails
	Payload Payload
}

// ResultDetails is RESULT.Details and YIELD.Options.
type ResultDetails struct {
	Progress bool
	Attributes
}

func (d *ResultDetails) Field(key string) any {
	if key == "progress" {
		return &d.Progress
	}
	return d.field(key)
}

func (d *ResultDetails) Write(w DictWriter) {
	w.Bool("progress", d.Progress)
	d.write(w)
}

func (*Result) Type() MessageType { return TypeResult }

func (m *Result) Elements(e Elements) {
	e.ID("CALL.Request", &m.Request)
	e.Dict("Details", &m.Details)
	e.Payload(&m.Payload, &m.Details.Attributes)
}

func (m *Result) Carried() (*Payload, *Attributes) { return &m.Payload, &m.Details.Attributes }

// Register registers a procedure or a pattern of procedures:
// [REGISTER, Request|id, Options|dict, Procedure|uri].
type Register struct {
	Request   ID
	Options   RegisterOptions
	Procedure URI
}

// RegisterOptions is REGISTER.Options.
type RegisterOptions struct {
	Match           string
	Invoke          string
	DiscloseCaller  Flag
	Concurrency     uint64
	ForceReregister Flag
	ForwardTimeout  Flag
}

func (*Register) Type() MessageType { return TypeRegister }

func (m *Register) Elements(e Elements) {
	e.ID("Request", &m.Request)
	e.Dict("Options", &m.Options)
	e.URI("Procedure", &m.Procedure)
}

func (o *RegisterOptions) Field(key string) any {
	switch key {
	case "match":
		return &o.Match
	case "invoke":
		return &o.Invoke
	case "disclose_caller":
		return &o.DiscloseCaller
	case "concurrency":
		return &o.Concurrency
	case "force_reregister":
		return &o.ForceReregister
	case "forward_timeout":
		return &o.ForwardTimeout
	}
	return nil
}

func (o *RegisterOptions) Write(w DictWriter) {
	w.String("match", o.Match)
	w.String("invoke", o.Invoke)
	w.Flag("disclose_caller", o.DiscloseCaller)
	w.Uint("concurrency", o.Concurrency)
	w.Flag("force_reregister", o.ForceReregister)
	w.Flag("forward_timeout", o.ForwardTimeout)
}

// Registered answers a Register: [REGISTERED, REGISTER.Request|id, Registration|id].
type Registered struct {
	Request      ID
	Registration ID
}

func (*Registered) Type() MessageType { return TypeRegistered }

func (m *Registered) Elements(e Elements) {
	e.ID("REGISTER.Request", &m.Request)
	e.ID("Registration", &m.Registration)
}

// Unregister ends a registration: [UNREGISTER, Request|id, REGISTERED.Registration|id].
type Unregister struct {
	Request      ID
	Registration ID
}

func (*Unregister) Type() MessageType { return TypeUnregister }

func (m *Unregister) Elements(e Elements) {
	e.ID("Request", &m.Request)
	e.ID("REGISTERED.Registration", &m.Registration)
}

// Unregistered answers an Unregister: [UNREGISTERED, UNREGISTER.Request|id].
// With Request 0 and Details the router revokes a registration (WAMP,
// "Registration Revocation").
type Unregistered struct {
	Request ID
	Details Revocation
}

func (*Unregistered) Type() MessageType { return TypeUnregistered }

func (m *Unregistered) Elements(e Elements) {
	e.RevocableID("UNREGISTER.Request", &m.Request)
	e.OptionalDict("Details", &m.Details)
}

// Invocation brings a call to a callee:
// [INVOCATION, Request|id, REGISTERED.Registration|id, Details|dict, payload…].
type Invocation struct {
	Request      ID
	Registration ID
	Details      InvocationDetails
	Payload      Payload
}

// InvocationDetails is INVOCATION.Details.
type InvocationDetails struct {
	Caller          ID
	CallerAuthID    string
	CallerAuthRole  string
	Procedure       URI // for pattern matches
	TrustLevel      Trust
	ReceiveProgress bool
	Progress        bool
	Timeout         uint64 // milliseconds, if the callee takes care of it
	TransactionHash string
	Attributes
}

func (*Invocation) Type() MessageType { return TypeInvocation }

func (m *Invocation) Elements(e Elements) {
	e.ID("Request", &m.Request)
	e.ID("REGISTERED.Registration", &m.Registration)
	e.Dict("Details", &m.Details)
	e.Payload(&m.Payload, &m.Details.Attributes)
}

func (m *Invocation) Carried() (*Payload, *Attributes) { return &m.Payload, &m.Details.Attributes }

func (d *InvocationDetails) Field(key string) any {
	switch key {
	case "caller":
		return &d.Caller
	case "caller_authid":
		return &d.CallerAuthID
	case "caller_authrole":
		return &d.CallerAuthRole
	case "procedure":
		return &d.Procedure
	case "trustlevel":
		return &d.TrustLevel
	case "receive_progress":
		return &d.ReceiveProgress
	case "progress":
		return &d.Progress
	case "timeout":
		return &d.Timeout
	case "transaction_hash":
		return &d.TransactionHash
	}
	return d.field(key)
}

func (d *InvocationDetails) Write(w DictWriter) {
	w.ID("caller", d.Caller)
	w.String("caller_authid", d.CallerAuthID)
	w.String("caller_authrole", d.CallerAuthRole)
	w.String("procedure", string(d.Procedure))
	w.Trust("trustlevel", d.TrustLevel)
	w.Bool("receive_progress", d.ReceiveProgress)
	w.Bool("progress", d.Progress)
	w.Uint("timeout", d.Timeout)
	w.String("transaction_hash", d.TransactionHash)
	d.write(w)
}

// Interrupt asks a callee to stop: [INTERRUPT, INVOCATION.Request|id, Options|dict].
type Interrupt struct {
	Request ID
	Options CancelOptions
}

func (*Interrupt) Type() MessageType { return TypeInterrupt }

func (m *Interrupt) Elements(e Elements) {
	e.ID("INVOCATION.Request", &m.Request)
	e.Dict("Options", &m.Options)
}

// Yield returns what a callee made: [YIELD, INVOCATION.Request|id, Options|dict, payload…].
type Yield struct {
	Request ID
	Options ResultDetails
	Payload Payload
}

func (*Yield) Type() MessageType { return TypeYield }

func (m *Yield) Elements(e Elements) {
	e.ID("INVOCATION.Request", &m.Request)
	e.Dict("Options", &m.Options)
	e.Payload(&m.Payload, &m.Options.Attributes)
}

func (m *Yield) Carried() (*Payload, *Attributes) { return &m.Payload, &m.Options.Attributes }
