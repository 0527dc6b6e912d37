// Package docs holds the tests that the documentation is true: what it shows is
// in an example, its configurations are accepted, its commands run, its links lead
// somewhere, and the tests that it names exist.
package docs
