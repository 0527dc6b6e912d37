package wamp

// Feature is one feature of the advanced profile, as announced per role in
// HELLO and WELCOME (WAMP, "Feature Announcement").
type Feature uint8

// The features that this implementation knows. Others are ignored.
const (
	ProgressiveCallResults Feature = iota
	ProgressiveCallInvocations
	CallCanceling
	CallTimeout
	CallerIdentification
	CallTrustlevels
	PatternBasedRegistration
	SharedRegistration
	RegistrationRevocation
	RegistrationMetaAPI
	ProcedureReflection
	PublisherIdentification
	PublisherExclusion
	SubscriberBlackwhiteListing
	PublicationTrustlevels
	PatternBasedSubscription
	SubscriptionMetaAPI
	SubscriptionRevocation
	EventHistory
	EventRetention
	AcknowledgeEventReceived
	TestamentMetaAPI
	SessionMetaAPI
	TopicReflection
	PayloadPassthruMode
	PayloadTransparency
	PayloadEncryptionCryptobox
	featureCount
)

var featureNames = [featureCount]string{
	ProgressiveCallResults:      "progressive_call_results",
	ProgressiveCallInvocations:  "progressive_call_invocations",
	CallCanceling:               "call_canceling",
	CallTimeout:                 "call_timeout",
	CallerIdentification:        "caller_identification",
	CallTrustlevels:             "call_trustlevels",
	PatternBasedRegistration:    "pattern_based_registration",
	SharedRegistration:          "shared_registration",
	RegistrationRevocation:      "registration_revocation",
	RegistrationMetaAPI:         "registration_meta_api",
	ProcedureReflection:         "procedure_reflection",
	PublisherIdentification:     "publisher_identification",
	PublisherExclusion:          "publisher_exclusion",
	SubscriberBlackwhiteListing: "subscriber_blackwhite_listing",
	PublicationTrustlevels:      "publication_trustlevels",
	PatternBasedSubscription:    "pattern_based_subscription",
	SubscriptionMetaAPI:         "subscription_meta_api",
	SubscriptionRevocation:      "subscription_revocation",
	EventHistory:                "event_history",
	EventRetention:              "event_retention",
	AcknowledgeEventReceived:    "acknowledge_event_received",
	TestamentMetaAPI:            "testament_meta_api",
	SessionMetaAPI:              "session_meta_api",
	TopicReflection:             "topic_reflection",
	PayloadPassthruMode:         "payload_passthru_mode",
	PayloadTransparency:         "payload_transparency",
	PayloadEncryptionCryptobox:  "payload_encryption_cryptobox",
}

var featureByName = func() map[string]Feature {
	m := make(map[string]Feature, featureCount)
	for f, name := range featureNames {
		m[name] = Feature(f)
	}
	// Names that older clients announce for the same thing.
	m["call_cancelling"] = CallCanceling
	m["call_canceled"] = CallCanceling
	m["progressive_calls"] = ProgressiveCallInvocations
	return m
}()

// String returns the name under which f is announced.
func (f Feature) String() string {
	if f < featureCount {
		return featureNames[f]
	}
	return "unknown"
}

// ParseFeature returns the feature announced under name. The name is not kept.
func ParseFeature(name []byte) (Feature, bool) {
	f, ok := featureByName[string(name)]
	return f, ok
}

// Features is a set of features.
type Features uint64

// NewFeatures returns the set of the features given.
func NewFeatures(list ...Feature) Features {
	var s Features
	for _, f := range list {
		s.Add(f)
	}
	return s
}

// Has reports whether f is in the set.
func (s Features) Has(f Feature) bool { return s&(1<<f) != 0 }

// Add puts f into the set.
func (s *Features) Add(f Feature) { *s |= 1 << f }

// List returns the features of the set in the order of their declaration.
func (s Features) List() []Feature {
	var out []Feature
	for f := Feature(0); f < featureCount; f++ {
		if s.Has(f) {
			out = append(out, f)
		}
	}
	return out
}

// Role is what a session announced of one of its roles.
type Role struct {
	Present  bool
	Features Features
}

// Has reports whether the role is there and announced f.
func (r Role) Has(f Feature) bool { return r.Present && r.Features.Has(f) }

// Roles is what a session announced in HELLO.Details.roles, or the router in
// WELCOME.Details.roles.
type Roles struct {
	Publisher, Subscriber, Caller, Callee Role
	Broker, Dealer                        Role
}

// Named returns the role of that name, or nil. The name is not kept.
func (r *Roles) Named(name string) *Role {
	switch name {
	case "publisher":
		return &r.Publisher
	case "subscriber":
		return &r.Subscriber
	case "caller":
		return &r.Caller
	case "callee":
		return &r.Callee
	case "broker":
		return &r.Broker
	case "dealer":
		return &r.Dealer
	}
	return nil
}

// RoleNames lists the names that Roles.Named knows.
var RoleNames = [...]string{"publisher", "subscriber", "caller", "callee", "broker", "dealer"}

// Any reports whether at least one role is present.
func (r *Roles) Any() bool {
	for _, name := range RoleNames {
		if r.Named(name).Present {
			return true
		}
	}
	return false
}
