package wamp

// Hello opens a session: [HELLO, Realm|uri, Details|dict].
type Hello struct {
	Realm   URI
	Details HelloDetails
}

// HelloDetails is HELLO.Details.
type HelloDetails struct {
	Roles       Roles
	Agent       string
	AuthMethods []string
	AuthID      string
	AuthRole    string
	AuthExtra   map[string]any
}

func (*Hello) Type() MessageType { return TypeHello }

func (m *Hello) Elements(e Elements) {
	e.URI("Realm", &m.Realm)
	e.Dict("Details", &m.Details)
}

func (d *HelloDetails) Field(key string) any {
	switch key {
	case "roles":
		return &d.Roles
	case "agent":
		return &d.Agent
	case "authmethods":
		return &d.AuthMethods
	case "authid":
		return &d.AuthID
	case "authrole":
		return &d.AuthRole
	case "authextra":
		return &d.AuthExtra
	}
	return nil
}

func (d *HelloDetails) Write(w DictWriter) {
	w.Roles("roles", &d.Roles)
	w.String("agent", d.Agent)
	w.Strings("authmethods", d.AuthMethods)
	w.String("authid", d.AuthID)
	w.String("authrole", d.AuthRole)
	writeMap(w, "authextra", d.AuthExtra)
}

func writeList(w DictWriter, key string, l []any) {
	if l != nil {
		w.Value(key, l)
	}
}

func writeMap(w DictWriter, key string, m map[string]any) {
	if m != nil {
		w.Value(key, m)
	}
}

// Welcome accepts a session: [WELCOME, Session|id, Details|dict].
type Welcome struct {
	Session ID
	Details WelcomeDetails
}

// WelcomeDetails is WELCOME.Details.
type WelcomeDetails struct {
	Roles        Roles
	Agent        string
	Realm        string
	AuthID       string
	AuthRole     string
	AuthMethod   string
	AuthProvider string
	AuthExtra    map[string]any
}

func (*Welcome) Type() MessageType { return TypeWelcome }

func (m *Welcome) Elements(e Elements) {
	e.ID("Session", &m.Session)
	e.Dict("Details", &m.Details)
}

func (d *WelcomeDetails) Field(key string) any {
	switch key {
	case "roles":
		return &d.Roles
	case "agent":
		return &d.Agent
	case "realm":
		return &d.Realm
	case "authid":
		return &d.AuthID
	case "authrole":
		return &d.AuthRole
	case "authmethod":
		return &d.AuthMethod
	case "authprovider":
		return &d.AuthProvider
	case "authextra":
		return &d.AuthExtra
	}
	return nil
}

func (d *WelcomeDetails) Write(w DictWriter) {
	w.Roles("roles", &d.Roles)
	w.String("agent", d.Agent)
	w.String("realm", d.Realm)
	w.String("authid", d.AuthID)
	w.String("authrole", d.AuthRole)
	w.String("authmethod", d.AuthMethod)
	w.String("authprovider", d.AuthProvider)
	writeMap(w, "authextra", d.AuthExtra)
}

// Closing is the details of ABORT and GOODBYE.
type Closing struct {
	Message string
}

func (d *Closing) Field(key string) any {
	if key == "message" {
		return &d.Message
	}
	return nil
}

func (d *Closing) Write(w DictWriter) { w.String("message", d.Message) }

// Abort ends a session that is not to be: [ABORT, Details|dict, Reason|uri].
type Abort struct {
	Details Closing
	Reason  URI
}

func (*Abort) Type() MessageType { return TypeAbort }

func (m *Abort) Elements(e Elements) {
	e.Dict("Details", &m.Details)
	e.URI("Reason", &m.Reason)
}

// Goodbye closes a session, and answers its like: [GOODBYE, Details|dict, Reason|uri].
type Goodbye struct {
	Details Closing
	Reason  URI
}

func (*Goodbye) Type() MessageType { return TypeGoodbye }

func (m *Goodbye) Elements(e Elements) {
	e.Dict("Details", &m.Details)
	e.URI("Reason", &m.Reason)
}

// Challenge asks for proof: [CHALLENGE, AuthMethod|string, Extra|dict].
type Challenge struct {
	AuthMethod string
	Extra      map[string]any
}

func (*Challenge) Type() MessageType { return TypeChallenge }

func (m *Challenge) Elements(e Elements) {
	e.String("AuthMethod", &m.AuthMethod)
	e.Values("Extra", &m.Extra)
}

// Authenticate is the proof: [AUTHENTICATE, Signature|string, Extra|dict].
type Authenticate struct {
	Signature string
	Extra     map[string]any
}

func (*Authenticate) Type() MessageType { return TypeAuthenticate }

func (m *Authenticate) Elements(e Elements) {
	e.String("Signature", &m.Signature)
	e.Values("Extra", &m.Extra)
}

// Error answers a request that failed:
// [ERROR, REQUEST.Type|int, REQUEST.Request|id, Details|dict, Error|uri, payload…].
type Error struct {
	RequestType MessageType
	Request     ID
	Details     ErrorDetails
	Error       URI
	Payload     Payload
}

// ErrorDetails is ERROR.Details. Message is for people; it is how the router
// explains its refusals beside the error's arguments.
type ErrorDetails struct {
	Message string
	Attributes
}

func (*Error) Type() MessageType { return TypeError }

func (m *Error) Elements(e Elements) {
	e.MessageType("REQUEST.Type", &m.RequestType)
	e.ID("REQUEST.Request", &m.Request)
	e.Dict("Details", &m.Details)
	e.URI("Error", &m.Error)
	e.Payload(&m.Payload, &m.Details.Attributes)
}

func (m *Error) Carried() (*Payload, *Attributes) { return &m.Payload, &m.Details.Attributes }

func (d *ErrorDetails) Field(key string) any {
	if key == "message" {
		return &d.Message
	}
	return d.field(key)
}

func (d *ErrorDetails) Write(w DictWriter) {
	w.String("message", d.Message)
	d.write(w)
}
