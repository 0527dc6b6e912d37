// Package scope seals payloads for the members of a scope: a URI prefix of a
// realm with an owner, a signed list of members, and a secret that changes with
// each epoch. What a message was sealed for, by whom and when, is checked here
// and leaves nothing to the application. docs/sealed-scopes.md is the
// specification; its names are those of this package, and its errors are the
// variables Err….
//
//   - An Identity is who somebody is; its Public form is the one line that others
//     need. Contacts are the lines of others.
//   - An Owner makes Manifests and seals them into bundles for the members.
//   - A Scope is one member's view: it accepts bundles, and knows what it has received.
//   - A Sealer seals and opens for some Scopes. It is a client.Sealer.
package scope
