package wamp

// Limit names a limit on what a client may cost, as in configurations and metrics. A
// Refusal says which one was reached, so the set is fixed.
type Limit string

// The limits. Limits lists them all.
const (
	LimitHello              Limit = "hello"                   // time for handshake, HELLO and authentication
	LimitFirstMessage       Limit = "first_message"           // size of messages before WELCOME
	LimitMessage            Limit = "message"                 // size after that
	LimitSessions           Limit = "sessions"                // of the router
	LimitConnections        Limit = "connections"             // of a listener
	LimitAddressConnections Limit = "connections_per_address" // at a time
	LimitConnectRate        Limit = "connects_per_second"     // of an address
	LimitMessageRate        Limit = "messages_per_second"     // of a session: reading from it is delayed
	LimitBackpressure       Limit = "backpressure_timeout"    // a sender waited for a slow receiver
	LimitQueue              Limit = "queue"                   // bytes waiting for a session: it is disconnected
	LimitQueueTotal         Limit = "queue_total"             // bytes waiting for all sessions: the furthest behind is disconnected
	LimitWriteTimeout       Limit = "write_timeout"           // time without reading a byte: the session is disconnected
	LimitPing               Limit = "ping_timeout"            // time without an answer to a ping
	LimitNesting            Limit = "nesting"                 // nested containers in an envelope
	LimitElements           Limit = "elements"                // in an envelope
	LimitURI                Limit = "uri"                     // bytes or components
	LimitSubscriptions      Limit = "subscriptions"           // of a session
	LimitRegistrations      Limit = "registrations"           // of a session
	LimitWildcardShapes     Limit = "wildcard_shapes"         // which components are open in the patterns of a realm
	LimitCalls              Limit = "calls"                   // in flight, of a session
	LimitWaitingCalls       Limit = "waiting_calls"           // for the callees of a registration that limit their concurrency
	LimitMetaEvents         Limit = "meta_events"             // bytes of waiting meta events: the sessions that cause them wait
	LimitTestaments         Limit = "testaments"              // of a session, their number or bytes
	LimitRetained           Limit = "retained"                // topics or bytes of a realm's retained events
)

// Limits lists every limit.
var Limits = [...]Limit{
	LimitHello, LimitFirstMessage, LimitMessage, LimitSessions, LimitConnections,
	LimitAddressConnections, LimitConnectRate, LimitMessageRate, LimitBackpressure,
	LimitQueue, LimitQueueTotal, LimitWriteTimeout, LimitPing, LimitNesting, LimitElements,
	LimitURI, LimitSubscriptions, LimitRegistrations, LimitWildcardShapes, LimitCalls,
	LimitWaitingCalls, LimitMetaEvents, LimitTestaments, LimitRetained,
}
