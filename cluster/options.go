package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
)

// Options say how a node is connected. The zero value of a field stands for its
// default.
type Options struct {
	// Servers are the URLs of NATS servers with JetStream, of one cluster.
	Servers []string
	// NATS are further options of the connection: TLS, credentials, NKeys.
	NATS []nats.Option
	// Name is what logs, metrics and the page call this node. It need not be unique.
	Name string
	// Subject is the first token of every subject, and the beginning of the buckets'
	// names: several clusters can share a NATS account. Letters, digits, - and _.
	// Default "blindfold".
	Subject string
	// Lease is how soon a node that died is given up, at least 1 s. Default 3 s.
	Lease time.Duration
	// Replicas of the buckets: 1, or 3 on three or more NATS servers. Default 1.
	Replicas int
	// InboxBytes is how many bytes of other nodes' messages may wait to be routed, of
	// events and of calls each. Default 64 MiB.
	InboxBytes int
	// MaxMessage is the largest message of a session, in bytes: a warning is logged if
	// it is over what the NATS servers carry.
	MaxMessage int
	// Digest stands for the configuration of the realms, and Version for that of the
	// program: nodes that differ are logged and shown.
	Digest, Version string
	// Logger may be nil.
	Logger *slog.Logger
}

var subjectToken = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ErrOptions says that the options can't be used.
var ErrOptions = errors.New("cluster: bad options")

func (o Options) withDefaults() (Options, error) {
	if o.Subject == "" {
		o.Subject = "blindfold"
	}
	if o.Lease == 0 {
		o.Lease = 3 * time.Second
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.InboxBytes == 0 {
		o.InboxBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(o.Servers) == 0:
		return o, fmt.Errorf("%w: no NATS server is named", ErrOptions)
	case !subjectToken.MatchString(o.Subject):
		return o, fmt.Errorf("%w: the subject must be 1 to 64 letters, digits, - and _", ErrOptions)
	case o.Lease < time.Second:
		return o, fmt.Errorf("%w: the lease must be at least 1s", ErrOptions)
	}
	return o, nil
}
