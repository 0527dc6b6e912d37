package wamp

// Limit names a bound on what a client may cost, as configurations and metrics
// call it. A Refusal says which one struck, so the set is closed.
type Limit string

// The limits. Limits lists them all.
const (
	LimitHello              Limit = "hello"                   // time for handshake, HELLO and authentication
	LimitFirstMessage       Limit = "first_message"           // size before the session is welcomed
	LimitMessage            Limit = "message"                 // size after that
	LimitSessions           Limit = "sessions"                // of the router
	LimitConnections        Limit = "connections"             // of a listener
	LimitAddressConnections Limit = "connections_per_address" // at a time
	LimitConnectRate        Limit = "connects_per_second"     // of an address
	LimitMessageRate        Limit = "messages_per_second"     // of a session: the sender is slowed
	LimitBackpressure       Limit = "backpressure_timeout"    // a sender was slowed for a receiver that is behind
	LimitQueue              Limit = "queue"                   // bytes that wait for a session: it is cut off
	LimitQueueTotal         Limit = "queue_total"             // bytes that wait for all sessions: one that is behind is cut off
	LimitWriteTimeout       Limit = "write_timeout"           // time without taking a byte: cut off
	LimitPing               Limit = "ping_timeout"            // time without a sign of life
	LimitNesting            Limit = "nesting"                 // containers in each other in an envelope
	LimitElements           Limit = "elements"                // in an envelope
	LimitURI                Limit = "uri"                     // bytes or components
	LimitSubscriptions      Limit = "subscriptions"           // of a session
	LimitRegistrations      Limit = "registrations"           // of a session
	LimitWildcardShapes     Limit = "wildcard_shapes"         // which components are open in the patterns of a realm
	LimitCalls              Limit = "calls"                   // in flight, of a session
	LimitWaitingCalls       Limit = "waiting_calls"           // for the callees of a registration that limit their concurrency
	LimitMetaEvents         Limit = "meta_events"             // bytes of the meta API's events that wait: who makes the changes waits
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
