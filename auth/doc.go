// Package auth decides about the identity and the permissions of sessions. It has
// authenticators for WAMP's methods, the principals that they know, and permissions by
// role. They implement the interfaces Authenticator and Authorizer of package router.
package auth
