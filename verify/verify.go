// Package verify checks that a WAMP router is blind: that it forwards sealed
// payloads without having seen what is in them, and without a way to.
//
// It sends sealed traffic that is full of random canaries through the router, and
// searches for them, and for the keys, wherever the router could have left them.
// There are seven checks:
//
//   - [ByteIdentity]: each payload leaves the router with the bytes that it came with.
//   - [NonInterference]: random bytes in its place are treated in the same way.
//   - [Memory]: neither canaries nor keys are in the router's memory.
//   - [Residue]: nor are they, or the ciphertext, in its answers, metrics, logs and data.
//   - [Ingress]: nor in all that it has read since it was started.
//   - [Build]: its executable holds nothing that can decrypt.
//   - [Refusals]: it refuses what it could only do by reading.
//
// A check that lacks what it needs, or that meets something which it cannot see
// into, is not run; it has not passed then.
//
// What each check proves, and what not, is in docs/threat-model.md. The command
// seal verify runs them; a program that embeds a router, or a test of any other
// router, can do so with [Run].
package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Target says which router to check, and what is known of it. Command or URLs is
// needed. What else is given makes more checks possible:
//
//	Memory    Command or PID; Linux
//	Ingress   Command; Linux, and strace(1) in PATH
//	Build     Command, PID or Binary
//
// A check that lacks what it needs is reported as not run.
type Target struct {
	// URLs of the router (ws, wss, rs, rss, unix). With Command they may be left out
	// if the router prints them to its standard output.
	URLs  []string
	Realm wamp.URI // default "realm1"
	TLS   *tls.Config
	// Auth are the ways to log in, AuthID the name to do it by. Default: anonymous.
	Auth   []client.Authenticator
	AuthID string

	// Command is a command line that runs the router. Run starts it, and ends it. Where
	// the word {config} stands in it, the path of a configuration for Blindfold's own
	// server is put, which has a rule for each check; a lone path of that server gets
	// it, too. The descriptors that this program was itself started with, but for 0 to
	// 2, are marked to be closed in all programs that it starts from then on, so that
	// nothing reaches the router by them.
	Command []string
	// PID is the router's process, if it is running already.
	PID int
	// Binary is the router's executable. Default: that of the process.
	Binary string
	// Logs and Data are files and folders that the router writes to; Metrics is the
	// URL of its metrics in Prometheus's text format.
	Logs, Data []string
	Metrics    string

	// RequiresSealed is a URI on which the router is set to refuse payloads in the clear;
	// Validated is one on which it is set to validate payloads, and so to refuse
	// sealed ones. Where one is "", that part of Refusals is left out.
	RequiresSealed, Validated wamp.URI

	// Keyring is a file with the keys to seal with and to search for. Default: keys
	// that are made for this run.
	Keyring string
	// Messages is how many payloads ByteIdentity compares. Default 10,000.
	Messages int

	// Only names the checks to run. Default: all.
	Only []Check
	// Optional names checks that need not be run: Report.Err does not mind if they
	// were not.
	Optional []Check
	// Progress, if it is set, is called as a check proceeds, by one goroutine at a time.
	Progress func(check Check, done, total int)
}

// Run checks a router. It takes some seconds: about six with the defaults. The
// error says why it could not begin, or that ctx was done; what the checks found is in
// the report. Several calls may run at the same time for different routers.
func Run(ctx context.Context, target Target) (*Report, error) {
	if target.Messages <= 0 {
		target.Messages = 10_000
	}
	if target.Realm == "" {
		target.Realm = "realm1"
	}
	if target.Progress == nil {
		target.Progress = func(Check, int, int) {}
	}
	for _, name := range slices.Concat(target.Only, target.Optional) {
		if !slices.Contains(Checks(), name) {
			return nil, fmt.Errorf("there is no check %q", name)
		}
	}
	if len(target.Command) == 0 && len(target.URLs) == 0 {
		return nil, errors.New("which router? a URL is missing, or a command that runs it")
	}
	report := newReport(target.Only, target.Optional)
	t, err := newTester(ctx, target, report)
	if err != nil {
		return nil, err
	}
	defer t.close()
	if err := t.awaitRouter(); err != nil {
		return nil, err
	}
	t.describe()
	t.run(ByteIdentity, t.identity) // first: a router may behave differently after much traffic
	t.run(NonInterference, t.interference)
	t.run(Refusals, t.refusals)
	t.run(Memory, t.memory)
	t.run(Build, t.build)
	t.run(Residue, t.residue)
	t.run(Ingress, t.prepareIngress)
	t.stop()
	t.run(Ingress, t.ingress)
	t.run(Residue, t.files)
	report.conclude()
	return report, ctx.Err()
}

// run runs a check, or a part of it, if it was asked for.
func (t *tester) run(name Check, check func(*Result)) {
	if len(t.o.Only) == 0 || slices.Contains(t.o.Only, name) {
		check(t.report.Result(name))
	}
}
