package router

import (
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// kept is an event that outlives its delivery, in a history or as the retained
// one of its topic: its envelope, and its payload as the bytes that came. It does
// not change once made.
type kept struct {
	at    time.Time // to the millisecond
	from  wamp.ID   // the session that published it
	event wamp.Event
	// lists holds the lists of receivers, and exclude_me, and nothing else.
	lists wamp.PublishOptions
	size  int // roughly the bytes that it takes
}

// keep makes an event last. event is the batch's, and m what it was made of.
func keep(event *wamp.Event, m *wamp.Publish, from wamp.ID) *kept {
	k := &kept{at: time.Now().UTC().Truncate(time.Millisecond), from: from, event: *event, lists: receiversOf(&m.Options)}
	k.event.Details.Topic = m.Topic
	k.event.Payload = event.Payload.Clone()
	k.size = k.measure()
	return k
}

// receiversOf returns only those options that say who may get an event.
func receiversOf(o *wamp.PublishOptions) wamp.PublishOptions {
	return wamp.PublishOptions{
		ExcludeMe: o.ExcludeMe, Exclude: o.Exclude, Eligible: o.Eligible,
		ExcludeAuthID: o.ExcludeAuthID, ExcludeAuthRole: o.ExcludeAuthRole,
		EligibleAuthID: o.EligibleAuthID, EligibleAuthRole: o.EligibleAuthRole,
	}
}

func (k *kept) measure() int {
	const overhead = 700 // the structs, the bookkeeping around them
	n := overhead + k.event.Payload.WireSize() + len(k.event.Details.Topic) + len(k.event.Details.TransactionHash) +
		8*(len(k.lists.Exclude)+len(k.lists.Eligible))
	for _, list := range [...][]string{k.lists.ExcludeAuthID, k.lists.ExcludeAuthRole, k.lists.EligibleAuthID, k.lists.EligibleAuthRole} {
		for _, s := range list {
			n += 16 + len(s)
		}
	}
	a := &k.event.Details.Attributes
	return n + len(a.EncAlgo) + len(a.EncKey) + len(a.EncSerializer) + len(a.PPTScheme) + len(a.PPTSerializer) +
		len(a.PPTCipher) + len(a.PPTKeyID)
}

// admits reports whether a session would have got the event, had it been
// subscribed when the event was published.
func (k *kept) admits(to *wamp.Peer) bool {
	return !(k.from == to.Session && k.lists.ExcludeMe.Or(true)) && admits(&k.lists, to)
}
