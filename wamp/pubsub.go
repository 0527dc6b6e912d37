package wamp

// Publish publishes an event:
// [PUBLISH, Request|id, Options|dict, Topic|uri, payload…].
type Publish struct {
	Request ID
	Options PublishOptions
	Topic   URI
	Payload Payload
}

// PublishOptions is PUBLISH.Options. The lists of receivers are nil if absent;
// an empty eligible list admits nobody (WAMP, "Subscriber Black- and
// Whitelisting").
type PublishOptions struct {
	Acknowledge Flag
	ExcludeMe   Flag // absent means true
	DiscloseMe  Flag
	Retain      Flag

	Exclude, Eligible                []ID
	ExcludeAuthID, ExcludeAuthRole   []string
	EligibleAuthID, EligibleAuthRole []string
	TransactionHash                  string
	ForwardFor                       []any
	Attributes
}

// Listed reports whether any list of receivers is given.
func (o *PublishOptions) Listed() bool {
	return o.Exclude != nil || o.Eligible != nil || o.ExcludeAuthID != nil ||
		o.ExcludeAuthRole != nil || o.EligibleAuthID != nil || o.EligibleAuthRole != nil
}

// Size returns how many bytes of memory the texts and lists of the options take.
func (o *PublishOptions) Size() int {
	n := len(o.TransactionHash) + o.Attributes.Size() + 8*(len(o.Exclude)+len(o.Eligible))
	for _, list := range [...][]string{o.ExcludeAuthID, o.ExcludeAuthRole, o.EligibleAuthID, o.EligibleAuthRole} {
		for _, s := range list {
			n += 16 + len(s)
		}
	}
	return n
}

func (*Publish) Type() MessageType { return TypePublish }

func (m *Publish) Elements(e Elements) {
	e.ID("Request", &m.Request)
	e.Dict("Options", &m.Options)
	e.URI("Topic", &m.Topic)
	e.Payload(&m.Payload, &m.Options.Attributes)
}

func (m *Publish) Carried() (*Payload, *Attributes) { return &m.Payload, &m.Options.Attributes }

func (o *PublishOptions) Field(key string) any {
	switch key {
	case "acknowledge":
		return &o.Acknowledge
	case "exclude_me":
		return &o.ExcludeMe
	case "disclose_me":
		return &o.DiscloseMe
	case "retain":
		return &o.Retain
	case "exclude":
		return &o.Exclude
	case "eligible":
		return &o.Eligible
	case "exclude_authid":
		return &o.ExcludeAuthID
	case "exclude_authrole":
		return &o.ExcludeAuthRole
	case "eligible_authid":
		return &o.EligibleAuthID
	case "eligible_authrole":
		return &o.EligibleAuthRole
	case "transaction_hash":
		return &o.TransactionHash
	case "forward_for":
		return &o.ForwardFor
	}
	return o.field(key)
}

func (o *PublishOptions) Write(w DictWriter) {
	w.Flag("acknowledge", o.Acknowledge)
	w.Flag("exclude_me", o.ExcludeMe)
	w.Flag("disclose_me", o.DiscloseMe)
	w.Flag("retain", o.Retain)
	w.IDs("exclude", o.Exclude)
	w.IDs("eligible", o.Eligible)
	w.Strings("exclude_authid", o.ExcludeAuthID)
	w.Strings("exclude_authrole", o.ExcludeAuthRole)
	w.Strings("eligible_authid", o.EligibleAuthID)
	w.Strings("eligible_authrole", o.EligibleAuthRole)
	w.String("transaction_hash", o.TransactionHash)
	writeList(w, "forward_for", o.ForwardFor)
	o.write(w)
}

// Published acknowledges a Publish: [PUBLISHED, PUBLISH.Request|id, Publication|id].
type Published struct {
	Request     ID
	Publication ID
}

func (*Published) Type() MessageType { return TypePublished }

func (m *Published) Elements(e Elements) {
	e.ID("PUBLISH.Request", &m.Request)
	e.ID("Publication", &m.Publication)
}

// Subscribe subscribes to a topic or a pattern of topics:
// [SUBSCRIBE, Request|id, Options|dict, Topic|uri].
type Subscribe struct {
	Request ID
	Options SubscribeOptions
	Topic   URI
}

// SubscribeOptions is SUBSCRIBE.Options.
type SubscribeOptions struct {
	Match       string
	GetRetained Flag
}

func (*Subscribe) Type() MessageType { return TypeSubscribe }

func (m *Subscribe) Elements(e Elements) {
	e.ID("Request", &m.Request)
	e.Dict("Options", &m.Options)
	e.URI("Topic", &m.Topic)
}

func (o *SubscribeOptions) Field(key string) any {
	switch key {
	case "match":
		return &o.Match
	case "get_retained":
		return &o.GetRetained
	}
	return nil
}

func (o *SubscribeOptions) Write(w DictWriter) {
	w.String("match", o.Match)
	w.Flag("get_retained", o.GetRetained)
}

// Subscribed answers a Subscribe: [SUBSCRIBED, SUBSCRIBE.Request|id, Subscription|id].
type Subscribed struct {
	Request      ID
	Subscription ID
}

func (*Subscribed) Type() MessageType { return TypeSubscribed }

func (m *Subscribed) Elements(e Elements) {
	e.ID("SUBSCRIBE.Request", &m.Request)
	e.ID("Subscription", &m.Subscription)
}

// Unsubscribe ends a subscription: [UNSUBSCRIBE, Request|id, SUBSCRIBED.Subscription|id].
type Unsubscribe struct {
	Request      ID
	Subscription ID
}

func (*Unsubscribe) Type() MessageType { return TypeUnsubscribe }

func (m *Unsubscribe) Elements(e Elements) {
	e.ID("Request", &m.Request)
	e.ID("SUBSCRIBED.Subscription", &m.Subscription)
}

// Unsubscribed answers an Unsubscribe: [UNSUBSCRIBED, UNSUBSCRIBE.Request|id].
// With Request 0 and Details the router revokes a subscription (WAMP,
// "Subscription Revocation").
type Unsubscribed struct {
	Request ID
	Details Revocation
}

// Revocation is the details of an UNSUBSCRIBED or UNREGISTERED that nobody
// asked for.
type Revocation struct {
	Subscription ID
	Registration ID
	Reason       string
}

func (d *Revocation) Field(key string) any {
	switch key {
	case "subscription":
		return &d.Subscription
	case "registration":
		return &d.Registration
	case "reason":
		return &d.Reason
	}
	return nil
}

func (d *Revocation) Write(w DictWriter) {
	w.ID("subscription", d.Subscription)
	w.ID("registration", d.Registration)
	w.String("reason", d.Reason)
}

func (*Unsubscribed) Type() MessageType { return TypeUnsubscribed }

func (m *Unsubscribed) Elements(e Elements) {
	e.RevocableID("UNSUBSCRIBE.Request", &m.Request)
	e.OptionalDict("Details", &m.Details)
}

// Event brings a publication to a subscriber:
// [EVENT, SUBSCRIBED.Subscription|id, PUBLISHED.Publication|id, Details|dict, payload…].
type Event struct {
	Subscription ID
	Publication  ID
	Details      EventDetails
	Payload      Payload
}

// EventDetails is EVENT.Details.
type EventDetails struct {
	Publisher         ID
	PublisherAuthID   string
	PublisherAuthRole string
	Topic             URI // for pattern matches
	TrustLevel        Trust
	Retained          bool
	TransactionHash   string
	// Acknowledge asks the subscriber for an EVENT_RECEIVED.
	Acknowledge bool
	Attributes
}

func (*Event) Type() MessageType { return TypeEvent }

func (m *Event) Elements(e Elements) {
	e.ID("SUBSCRIBED.Subscription", &m.Subscription)
	e.ID("PUBLISHED.Publication", &m.Publication)
	e.Dict("Details", &m.Details)
	e.Payload(&m.Payload, &m.Details.Attributes)
}

func (m *Event) Carried() (*Payload, *Attributes) { return &m.Payload, &m.Details.Attributes }

func (d *EventDetails) Field(key string) any {
	switch key {
	case "publisher":
		return &d.Publisher
	case "publisher_authid":
		return &d.PublisherAuthID
	case "publisher_authrole":
		return &d.PublisherAuthRole
	case "topic":
		return &d.Topic
	case "trustlevel":
		return &d.TrustLevel
	case "retained":
		return &d.Retained
	case "transaction_hash":
		return &d.TransactionHash
	case "x_acknowledged_delivery":
		return &d.Acknowledge
	}
	return d.field(key)
}

func (d *EventDetails) Write(w DictWriter) {
	w.ID("publisher", d.Publisher)
	w.String("publisher_authid", d.PublisherAuthID)
	w.String("publisher_authrole", d.PublisherAuthRole)
	w.String("topic", string(d.Topic))
	w.Trust("trustlevel", d.TrustLevel)
	w.Bool("retained", d.Retained)
	w.String("transaction_hash", d.TransactionHash)
	w.Bool("x_acknowledged_delivery", d.Acknowledge)
	d.write(w)
}

// EventReceived acknowledges an Event that asked for it:
// [EVENT_RECEIVED, EVENT.Publication|id].
type EventReceived struct {
	Publication ID
}

func (*EventReceived) Type() MessageType { return TypeEventReceived }

func (m *EventReceived) Elements(e Elements) { e.ID("EVENT.Publication", &m.Publication) }
