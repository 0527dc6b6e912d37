// Package ops holds the tests of what operators use: TLS and authentication by
// configuration, the admin address, the dashboard and demo in a browser,
// Prometheus, service managers.
package ops
