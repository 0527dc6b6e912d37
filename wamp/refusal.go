package wamp

// Reason says in one word why a message or a delivery was refused. It is a metrics
// label, so the set is fixed.
type Reason string

// The reasons. Reasons lists them all.
const (
	ReasonProtocol      Reason = "protocol_violation"  // broken frame, wrong types, wrong order
	ReasonAttributes    Reason = "invalid_attributes"  // bad enc_* or ppt_* values or shape
	ReasonUnannounced   Reason = "form_not_announced"  // the sender did not announce the form
	ReasonUnsupported   Reason = "receiver_lacks_form" // the receiver did not announce the form
	ReasonConversion    Reason = "conversion"          // opaque, and the serializers differ
	ReasonInconvertible Reason = "inconvertible"       // clear, but not representable in the receiver's serializer
	ReasonValidation    Reason = "validation_opaque"   // opaque, on a URI with a validation rule
	ReasonInvalid       Reason = "validation_failed"   // clear, and the schema does not match
	ReasonCleartext     Reason = "cleartext"           // clear, on a URI that requires opaque
	ReasonUnauthorized  Reason = "not_authorized"      // no permission
	ReasonURI           Reason = "invalid_uri"         // not a URI, or a reserved one
	ReasonSize          Reason = "size"                // over the receiver's or the router's limit
	ReasonLimit         Reason = "limit"               // a limit of the session, the realm or the router is reached
	ReasonOption        Reason = "option"              // an option that is not allowed or not known
	ReasonRegistered    Reason = "already_registered"  // another callee has the procedure
	ReasonNoTarget      Reason = "no_target"           // there is no such session, subscription or registration, or it has ended
	ReasonQueueFull     Reason = "queue_full"          // the receiver does not read
	ReasonInterceptor   Reason = "interceptor"         // refused by an interceptor of the embedding program
	ReasonShutdown      Reason = "shutdown"            // the router is shutting down
)

// Reasons lists every reason.
var Reasons = [...]Reason{
	ReasonProtocol, ReasonAttributes, ReasonUnannounced, ReasonUnsupported,
	ReasonConversion, ReasonInconvertible, ReasonValidation, ReasonInvalid,
	ReasonCleartext, ReasonUnauthorized, ReasonURI, ReasonSize, ReasonLimit,
	ReasonOption, ReasonRegistered, ReasonNoTarget, ReasonQueueFull, ReasonInterceptor,
	ReasonShutdown,
}

// Refusal is why the router refuses a message or one delivery of it. The sender gets an
// ERROR with URI and Text or, if it is Fatal, an ABORT that ends the session. Text is
// for people: it names the field or limit and says what to do, and never repeats what a
// client sent.
type Refusal struct {
	Reason Reason
	URI    URI
	Text   string
	Fatal  bool
	// Limit names the limit that was reached, if that is why.
	Limit Limit
}

// Error returns the URI and the text.
func (r *Refusal) Error() string { return string(r.URI) + ": " + r.Text }

// Violation is a fatal refusal: the sender broke the protocol (WAMP, "Protocol
// Violations"). text names the field.
func Violation(text string) *Refusal {
	return &Refusal{Reason: ReasonProtocol, URI: ErrProtocolViolation, Text: text, Fatal: true}
}
