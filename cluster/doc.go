// Package cluster makes routers on several machines serve the same realms as one,
// over NATS (github.com/nats-io/nats.go): a Node is the router.Cluster of one router.
//
// Events are core NATS messages, one for each publication, on a subject made of the
// topic; each node subscribes to what its sessions are subscribed to. Registrations are
// a directory that all nodes watch: a JetStream key-value bucket, changed by
// compare-and-set only. Calls go to the callee's node by its own subject, and answers
// back by the caller's. Which nodes live is a second bucket, whose keys expire. A
// payload travels as the bytes that came off the wire, and is never decoded.
//
// docs/clustering.md has what a user may rely on, and what happens in each failure.
package cluster
