// Package auth decides who a session is and what it may do: authenticators for
// WAMP's methods, the principals they know, and permissions by role. Everything
// here plugs into package router's Authenticator and Authorizer.
package auth
