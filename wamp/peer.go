package wamp

// Peer is what the router knows of a session, by value: it can be copied,
// kept, and sent to another process. It does not change once the session has
// been welcomed.
type Peer struct {
	Session      ID
	Realm        string
	AuthID       string
	AuthRole     string
	AuthMethod   string
	AuthProvider string
	Serializer   Serializer
	Transport    string // "websocket", "rawsocket" or "memory"
	Address      string // where the peer comes from, for logs
	Agent        string // HELLO.Details.agent
	Roles        Roles
	// MaxMessage is the largest message, in bytes, that the peer accepts;
	// 0 is no limit.
	MaxMessage int
}

// RoutedMessage is a message on its way through the router.
type RoutedMessage struct {
	// From is the session that sent the message. Not to be changed.
	From *Peer
	// URI is the topic or procedure that the message belongs to. YIELD, ERROR
	// and what becomes of them don't carry it; the router adds it here.
	URI URI
	// Message is the message. Inbound it is what the sender sent; outbound it
	// is what the receiver is about to get, before any conversion.
	Message Message
}

// Payload returns the payload of the message, or nil if its type has none.
func (t *RoutedMessage) Payload() *Payload {
	if c, ok := t.Message.(Carrier); ok {
		p, _ := c.Carried()
		return p
	}
	return nil
}
