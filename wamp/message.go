// Package wamp is the vocabulary of WAMP, the Web Application Messaging
// Protocol: its messages and their options, URIs, ids, features, errors, and
// the payload that stays closed. It knows neither bytes on a wire (package
// codec) nor routing (package router). Sections of the WAMP specification
// are cited by their titles, as in draft-oberstet-hybi-crossbar-wamp
// (https://wamp-proto.org/wamp_latest_ietf.html).
package wamp

// MessageType is the number that opens a message (WAMP, "Message Codes and
// Direction").
type MessageType uint64

// The message types.
const (
	TypeHello         MessageType = 1
	TypeWelcome       MessageType = 2
	TypeAbort         MessageType = 3
	TypeChallenge     MessageType = 4
	TypeAuthenticate  MessageType = 5
	TypeGoodbye       MessageType = 6
	TypeError         MessageType = 8
	TypePublish       MessageType = 16
	TypePublished     MessageType = 17
	TypeSubscribe     MessageType = 32
	TypeSubscribed    MessageType = 33
	TypeUnsubscribe   MessageType = 34
	TypeUnsubscribed  MessageType = 35
	TypeEvent         MessageType = 36
	TypeEventReceived MessageType = 37
	TypeCall          MessageType = 48
	TypeCancel        MessageType = 49
	TypeResult        MessageType = 50
	TypeRegister      MessageType = 64
	TypeRegistered    MessageType = 65
	TypeUnregister    MessageType = 66
	TypeUnregistered  MessageType = 67
	TypeInvocation    MessageType = 68
	TypeInterrupt     MessageType = 69
	TypeYield         MessageType = 70
)

var typeNames = map[MessageType]string{
	TypeHello: "HELLO", TypeWelcome: "WELCOME", TypeAbort: "ABORT", TypeChallenge: "CHALLENGE",
	TypeAuthenticate: "AUTHENTICATE", TypeGoodbye: "GOODBYE", TypeError: "ERROR",
	TypePublish: "PUBLISH", TypePublished: "PUBLISHED", TypeSubscribe: "SUBSCRIBE",
	TypeSubscribed: "SUBSCRIBED", TypeUnsubscribe: "UNSUBSCRIBE", TypeUnsubscribed: "UNSUBSCRIBED",
	TypeEvent: "EVENT", TypeEventReceived: "EVENT_RECEIVED", TypeCall: "CALL", TypeCancel: "CANCEL",
	TypeResult: "RESULT", TypeRegister: "REGISTER", TypeRegistered: "REGISTERED",
	TypeUnregister: "UNREGISTER", TypeUnregistered: "UNREGISTERED", TypeInvocation: "INVOCATION",
	TypeInterrupt: "INTERRUPT", TypeYield: "YIELD",
}

// String returns the type's name in the specification, or "UNKNOWN".
func (t MessageType) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return "UNKNOWN"
}

// Message is one WAMP message: a pointer to one of this package's structs.
type Message interface {
	Type() MessageType
	// Elements shows each element behind the type, in wire order, to a codec,
	// which reads it or writes it. It is all that a codec knows of a message.
	Elements(e Elements)
}

// Elements is a codec's side of Message.Elements: each call reads the next
// element into what is pointed at, or writes it. Errors are the codec's to keep.
type Elements interface {
	ID(name string, id *ID)
	// RevocableID is an ID that may be 0: the request of an UNSUBSCRIBED or
	// UNREGISTERED that nobody asked for.
	RevocableID(name string, id *ID)
	URI(name string, uri *URI)
	String(name string, s *string)
	MessageType(name string, t *MessageType)
	Dict(name string, d Dict)
	// OptionalDict is a dict that the message may end before. It is written
	// only if it has entries.
	OptionalDict(name string, d Dict)
	// Values is a dict of any values, as Payload.Decode describes them.
	Values(name string, v *map[string]any)
	// Payload is everything that follows. The attributes, which came before
	// it, decide whether it is opaque.
	Payload(p *Payload, a *Attributes)
}

// Dict is the options or details of a message.
type Dict interface {
	// Field returns a pointer to the field that the key stands for, or nil if
	// the key is unknown and to be skipped. The pointer's type is the schema:
	// *bool, *Flag, *string, *URI, *ID, *uint64, *[]ID, *[]string, *[]any,
	// *Trust, *Roles or *map[string]any. The key is not kept.
	Field(key string) any
	// Write shows the entries to w in wire order.
	Write(w DictWriter)
}

// DictWriter is a codec's side of Dict.Write. Zero values are left out, so an
// absent option stays absent.
type DictWriter interface {
	Bool(key string, v bool)
	Flag(key string, v Flag)
	String(key, v string)
	ID(key string, v ID)
	Uint(key string, v uint64)
	IDs(key string, v []ID)
	Strings(key string, v []string)
	Roles(key string, v *Roles)
	Trust(key string, v Trust)
	Value(key string, v any) // nil is left out
}

// Flag is a bool that may be absent.
type Flag uint8

// The values of a Flag.
const (
	Unset Flag = iota
	False
	True
)

// Or returns the flag's value, or def if it is unset.
func (f Flag) Or(def bool) bool {
	if f == Unset {
		return def
	}
	return f == True
}

// Trust is a trust level that may be absent: 0 is absent, n+1 is level n.
type Trust uint64

// TrustLevel returns the Trust of a level.
func TrustLevel(level uint64) Trust { return Trust(level + 1) }

// Level returns the trust level, and whether there is one.
func (t Trust) Level() (uint64, bool) { return uint64(t) - 1, t != 0 }

// New returns an empty message of type t, or nil if t is no message type.
func New(t MessageType) Message {
	switch t {
	case TypeHello:
		return new(Hello)
	case TypeWelcome:
		return new(Welcome)
	case TypeAbort:
		return new(Abort)
	case TypeChallenge:
		return new(Challenge)
	case TypeAuthenticate:
		return new(Authenticate)
	case TypeGoodbye:
		return new(Goodbye)
	case TypeError:
		return new(Error)
	case TypePublish:
		return new(Publish)
	case TypePublished:
		return new(Published)
	case TypeSubscribe:
		return new(Subscribe)
	case TypeSubscribed:
		return new(Subscribed)
	case TypeUnsubscribe:
		return new(Unsubscribe)
	case TypeUnsubscribed:
		return new(Unsubscribed)
	case TypeEvent:
		return new(Event)
	case TypeEventReceived:
		return new(EventReceived)
	case TypeCall:
		return new(Call)
	case TypeCancel:
		return new(Cancel)
	case TypeResult:
		return new(Result)
	case TypeRegister:
		return new(Register)
	case TypeRegistered:
		return new(Registered)
	case TypeUnregister:
		return new(Unregister)
	case TypeUnregistered:
		return new(Unregistered)
	case TypeInvocation:
		return new(Invocation)
	case TypeInterrupt:
		return new(Interrupt)
	case TypeYield:
		return new(Yield)
	}
	return nil
}

// Carrier is a message that can carry a payload.
type Carrier interface {
	Message
	// Carried returns the message's payload and the attributes that describe it.
	Carried() (*Payload, *Attributes)
}
