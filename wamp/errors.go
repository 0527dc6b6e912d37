package wamp

// Error and close URIs of the WAMP specification ("Predefined URIs"), and this
// project's own refusals.
const (
	ErrInvalidURI             URI = "wamp.error.invalid_uri"
	ErrNoSuchProcedure        URI = "wamp.error.no_such_procedure"
	ErrProcedureExists        URI = "wamp.error.procedure_already_exists"
	ErrProcedureExistsPolicy  URI = "wamp.error.procedure_exists_with_different_invocation_policy"
	ErrNoSuchRegistration     URI = "wamp.error.no_such_registration"
	ErrNoSuchSubscription     URI = "wamp.error.no_such_subscription"
	ErrNoSuchSession          URI = "wamp.error.no_such_session"
	ErrInvalidArgument        URI = "wamp.error.invalid_argument"
	ErrProtocolViolation      URI = "wamp.error.protocol_violation"
	ErrNotAuthorized          URI = "wamp.error.not_authorized"
	ErrAuthorizationFailed    URI = "wamp.error.authorization_failed"
	ErrAuthenticationFailed   URI = "wamp.error.authentication_failed"
	ErrAuthenticationDenied   URI = "wamp.error.authentication_denied"
	ErrAuthenticationRequired URI = "wamp.error.authentication_required"
	ErrNoSuchPrincipal        URI = "wamp.error.no_such_principal"
	ErrNoMatchingAuthMethod   URI = "wamp.error.no_matching_auth_method"
	ErrNoSuchRealm            URI = "wamp.error.no_such_realm"
	ErrNoSuchRole             URI = "wamp.error.no_such_role"
	ErrCanceled               URI = "wamp.error.canceled"
	ErrTimeout                URI = "wamp.error.timeout"
	ErrUnavailable            URI = "wamp.error.unavailable"
	ErrNoEligibleCallee       URI = "wamp.error.no_eligible_callee"
	ErrNetworkFailure         URI = "wamp.error.network_failure"
	ErrOptionNotAllowed       URI = "wamp.error.option_not_allowed"
	ErrDiscloseMeDisallowed   URI = "wamp.error.option_disallowed.disclose_me"
	ErrFeatureNotSupported    URI = "wamp.error.feature_not_supported"
	ErrPayloadSizeExceeded    URI = "wamp.error.payload_size_exceeded"
	ErrNoPayloadCodec         URI = "wamp.error.no_payload_codec"
	ErrDecryptError           URI = "wamp.error.encryption.decrypt_error"
	ErrTrustedURIMismatch     URI = "wamp.error.encryption.trusted_uri_mismatch"
	ErrRuntime                URI = "wamp.error.runtime_error"

	CloseNormal         URI = "wamp.close.normal"
	CloseRealm          URI = "wamp.close.close_realm"
	CloseGoodbyeAndOut  URI = "wamp.close.goodbye_and_out"
	CloseSystemShutdown URI = "wamp.close.system_shutdown"
	CloseKilled         URI = "wamp.close.killed"

	// Sent where a payload would have to be read to be delivered, and is not
	// the router's to read.
	ErrConversionRefused URI = "blindfold.error.conversion_refused"
	ErrValidationRefused URI = "blindfold.error.validation_refused"
	ErrValidationFailed  URI = "blindfold.error.validation_failed"
	ErrCleartextRefused  URI = "blindfold.error.cleartext_refused"
	ErrLimitExceeded     URI = "blindfold.error.limit_exceeded"

	// ErrClusterUnavailable: the other nodes of the cluster can't be reached.
	ErrClusterUnavailable URI = "blindfold.error.cluster_unavailable"
)
