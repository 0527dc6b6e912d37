package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// Whatever is wrong with a configuration is said before anything starts: the
// line, the key and what it should be, with exit status 2.
func TestConfigErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no YAML":              {"realms:\n\t- name: a\n", "FILE:2: found character that cannot start any token"},
		"two documents":        {"log: {}\n---\nrealms: []\n", "FILE:2: a second YAML document begins here: the file must contain exactly one"},
		"an unknown key":       {"log: {}\nrealmz: []\n", "FILE:2: realmz: unknown key; known here: listeners, admin, log, limits, cluster, realms; did you mean realms?"},
		"a key twice":          {"log: {level: info}\nlog: {level: info}\n", "FILE:2: log: is given twice"},
		"a size":               {"limits:\n  message: 17MiB\n", "FILE:2: limits.message: must be a size in bytes, like 65536, 64KiB or 1MiB, up to 16MiB"},
		"no listeners":         {"listeners: []\n", "FILE:1: listeners: must name at least one listener"},
		"a listener twice":     {"listeners:\n  - websocket: 127.0.0.1:80\n  - rawsocket: 127.0.0.1:80\n", `FILE:3: listeners[1]: "127.0.0.1:80" is given twice`},
		"a port":               {"listeners:\n  - websocket: 127.0.0.1:99999\n", "FILE:2: listeners[0].websocket: the port must be a number from 0 to 65535"},
		"the admin address":    {"admin: 5\n", "FILE:1: admin: must be an address like 127.0.0.1:8082, or empty for none"},
		"the admin's address":  {"admin:\n  address: unix:/run/x\n", "FILE:2: admin.address: must be an address like 127.0.0.1:8082, or empty for none"},
		"no realms":            {"realms: []\n", "FILE:1: realms: must name at least one realm"},
		"a realm twice":        {"realms:\n  - name: a\n  - name: a\n", `FILE:3: realms[1]: "a" is given twice`},
		"a role twice":         {"realms:\n  - name: a\n    roles:\n      - name: r\n      - name: r\n", `FILE:5: realms[0].roles[1]: "r" is given twice`},
		"anonymous, as nobody": {"realms:\n  - name: a\n    anonymous: {}\n", "FILE:3: realms[0].anonymous: needs a role"},
		"anonymous, unknown":   {"realms:\n  - name: a\n    anonymous: {role: r}\n", `FILE:2: realms[0]: anonymous.role is "r", which is not among roles`},
		"trust in nobody": {"realms:\n  - name: a\n    trustlevels: [{role: r, level: 1}]\n",
			`FILE:2: realms[0]: trustlevels names the role "r", which is not among roles`},
		"a history twice": {"realms:\n  - name: a\n    history:\n      topics:\n        - uri: com.a\n        - uri: com.a\n",
			`FILE:6: realms[0].history.topics[1]: "exact com.a" is given twice`},
		"a history of two": {"realms:\n  - name: a\n    history: &h {file: h.db, topics: [{uri: com.a}]}\n  - name: b\n    history: *h\n",
			`FILE:4: realms[1]: "DIR/h.db" is given twice`},
		"a credential that nobody asks for": {"realms:\n  - name: a\n    roles: [{name: r}]\n    auth: {ticket: {}}\n    principals:\n      - authid: joe\n        role: r\n" +
			"        ticket: {value: x}\n        wampcra:\n          secret: {value: x}\n      - {authid: ann, role: r, cookies: [{value: 0123456789abcdef}]}\n",
			"FILE:10: realms[0].principals[0].wampcra: auth.wampcra is not enabled for this realm, so this credential can never be used\n" +
				"FILE:11: realms[0].principals[1].cookies: auth.cookie is not enabled for this realm, so this credential can never be used"},
		"a credential where a procedure is asked": {"realms:\n  - name: a\n    roles: [{name: r}]\n    principals:\n      - {authid: joe, role: r, ticket: {value: x}}\n    auth: {ticket: {procedure: com.a}}\n",
			"FILE:5: realms[0].principals[0].ticket: auth.ticket of this realm has a procedure, so this credential can never be used"},
		"nothing that proves it": {"realms:\n  - name: a\n    roles: [{name: r}]\n    auth: {ticket: {}}\n    principals:\n      - {authid: joe, role: r}\n",
			"FILE:6: realms[0].principals[0]: needs credentials: ticket, wampcra, scram, cryptosign, tls or cookies"},
		"a certificate that is none in particular": {"realms:\n  - name: a\n    roles: [{name: r}]\n    auth: {tls: {}}\n    principals:\n      - {authid: joe, role: r, tls: {}}\n",
			"FILE:6: realms[0].principals[0].tls: needs certificates or names"},
		"a secret and a password": {"realms:\n  - name: a\n    roles: [{name: r}]\n    auth: {wampcra: {}}\n    principals:\n      - authid: joe\n        role: r\n" +
			"        wampcra: {password: {value: x}, secret: {value: y}, salt: s1, iterations: 100}\n",
			"FILE:8: realms[0].principals[0].wampcra: needs either secret or password"},
		"a secret that is not set": {"realms:\n  - name: a\n    roles: [{name: r}]\n    auth: {ticket: {}}\n    principals:\n      - authid: joe\n        role: r\n        ticket: {env: BLINDFOLD_NOT_SET}\n",
			"FILE:8: realms[0].principals[0].ticket.env: the environment variable BLINDFOLD_NOT_SET is not set or empty"},
		"a wildcard without effect": {"realms:\n  - name: a\n    roles:\n      - name: r\n        permissions:\n          - {uri: \"\", match: prefix, allow: [call]}\n" +
			"          - {uri: com..x, match: wildcard, allow: [publish]}\n",
			`FILE:2: realms[0]: roles: auth: role "r": the wildcard "com..x" never takes effect, since the prefix "" precedes it; write it as prefixes or exact URIs`},
		"a missing schema": {"realms:\n  - name: a\n    validation:\n      - {uri: com.a, schema: none.json}\n",
			"FILE:4: realms[0].validation[0].schema: schema: open DIR/none.json: no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "router.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			status := run([]string{"--check", "--config", file}, &stdout, &stderr)
			want := strings.NewReplacer("FILE", file, "DIR", filepath.Dir(file)).Replace(c.want) + "\n"
			if status != 2 || stdout.Len() > 0 || stderr.String() != want {
				t.Errorf("status %d, %q, %q; want 2 and %q", status, stdout.String(), stderr.String(), want)
			}
		})
	}
}

// What is accepted but may not be intended is a warning of --check.
func TestConfigWarnings(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an entry that narrows": {`
realms:
  - name: a
    roles:
      - name: r
        permissions:
          - {uri: com., match: prefix, allow: [publish, subscribe, call]}
          - {uri: com.no., match: prefix, allow: [subscribe]}
          - {uri: com.not., match: prefix, allow: [subscribe], deny: [publish, call]}
`, `FILE:8: realms[0].roles[0].permissions[1]: refuses publish, call, which prefix "com." allows: the most specific entry decides about all actions. If this is intended, add deny: [publish, call]`},
		"an authenticator that nobody may be": {`
realms:
  - name: a
    roles: [{name: r, permissions: [{uri: com., match: prefix, allow: [register]}]}]
    auth: {ticket: {procedure: com.a}}
`, `FILE:5: realms[0].auth.ticket: nobody may register com.a, which decides about logins or permissions: only an entry of permissions for exactly this URI allows that`},
		"an authenticator that anybody may be": {`
realms:
  - name: a
    anonymous: {role: r}
    roles: [{name: r, permissions: [{uri: com.a, allow: [register]}]}]
    auth: {ticket: {procedure: com.a}}
`, `FILE:6: realms[0].auth.ticket: anybody may register com.a, which decides about logins or permissions: the role r of anonymous sessions allows it`},
		"an authorizer that nobody may be": {`
realms:
  - name: a
    roles: [{name: r, authorizer: com.a}, {name: s, permissions: [{uri: com.a, allow: [call]}]}]
`, `FILE:3: realms[0]: nobody may register com.a, which decides about logins or permissions: only an entry of permissions for exactly this URI allows that`},
		"a binding without TLS": {`
realms:
  - name: a
    roles: [{name: r, permissions: [{uri: com.a, allow: [register]}]}]
    auth: {scram: {procedure: com.a, channel_binding: optional}, cryptosign: {channel_binding: required}}
    principals: [{authid: joe, role: r, cryptosign: ["545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"]}]
`, `FILE:5: realms[0].auth.cryptosign: requires a channel binding, but no listener has tls: nobody can log in`},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "router.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			status := run([]string{"--check", "--config", file}, &stdout, &stderr)
			want := strings.ReplaceAll(c.want, "FILE", file) + "\n"
			if status != 0 || !strings.HasPrefix(stdout.String(), "the configuration is valid; its digest is ") || stderr.String() != want {
				t.Errorf("status %d, %q, %q; want %q", status, stdout.String(), stderr.String(), want)
			}
		})
	}
}

// The keys that an error lists are all different.
func TestConfigErrorsListKeysOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "router.yaml")
	if err := os.WriteFile(file, []byte("limits: {bogus: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := load(file)
	if err == nil {
		t.Fatal("an unknown key is taken")
	}
	_, keys, _ := strings.Cut(err.Error(), "known here: ")
	seen := make(map[string]bool)
	for _, key := range strings.Split(keys, ", ") {
		if seen[key] {
			t.Errorf("%s is listed twice", key)
		}
		seen[key] = true
	}
}

// Keys that were renamed work under their old names for one release, with a warning.
func TestRenamedKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "router.yaml")
	text := "limits:\n  stall: 3s\n  slow_down: 4s\n  queues: 5MiB\n  farewell: 6s\nlisteners: [{websocket: 127.0.0.1:0}]\nadmin: \"\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	if l := c.limits; l.WriteTimeout != 3*time.Second || l.BackpressureTimeout != 4*time.Second || l.QueueTotal != 5<<20 || l.CloseTimeout != 6*time.Second {
		t.Errorf("read as %+v", l)
	}
	var stdout, stderr bytes.Buffer
	status := run([]string{"--check", "--config", file}, &stdout, &stderr)
	const end = "; the old name will be refused by the next release\n"
	want := file + ":2: limits.stall is now called write_timeout" + end +
		file + ":3: limits.slow_down is now called backpressure_timeout" + end +
		file + ":4: limits.queues is now called queue_total" + end +
		file + ":5: limits.farewell is now called close_timeout" + end +
		file + ": realms is missing: the default realm realm1 admits everybody\n"
	if status != 0 || stderr.String() != want {
		t.Errorf("status %d, %q; want %q", status, stderr.String(), want)
	}
	if err := os.WriteFile(file, []byte("limits: {stall: 3s, write_timeout: 4s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(file); err == nil || !strings.Contains(err.Error(), "limits.write_timeout: is given twice") {
		t.Errorf("both names: %v", err)
	}
}

// Help goes to standard output; what is wrong is named, with the nearest right one.
func TestCommandLine(t *testing.T) {
	for args, want := range map[string]struct {
		status         int
		stdout, stderr string
	}{
		"--help":       {0, usage, ""},
		"--chek":       {2, "", "blindfold: unknown option --chek; did you mean --check?\nsee: blindfold --help\n"},
		"extra":        {2, "", "blindfold: unexpected argument \"extra\"\nsee: blindfold --help\n"},
		"--config=/no": {2, "", "blindfold: --config: open /no: no such file or directory\n"},
	} {
		var stdout, stderr bytes.Buffer
		if status := run([]string{args}, &stdout, &stderr); status != want.status || stdout.String() != want.stdout || stderr.String() != want.stderr {
			t.Errorf("%s: status %d, %q, %q", args, status, stdout.String(), stderr.String())
		}
	}
}

// What a reload can't put to work is refused, and not passed over in silence.
func TestReloadRefusesWhatTakesARestart(t *testing.T) {
	read := func(text string) *config {
		t.Helper()
		file := filepath.Join(t.TempDir(), "router.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := load(file)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const realm = "listeners: [{websocket: 127.0.0.1:0}]\nadmin: \"\"\nrealms:\n  - name: a\n    roles: [{name: r}]\n"
	old := read(realm)
	s, err := start(old, newLogger(old.log, new(bytes.Buffer)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.shutdown()
	for _, change := range []string{"meta: false", "trustlevels: [{role: r, level: 1}]", "history: {topics: [{uri: com.a}]}", "retained: {}", "testaments: {}"} {
		if err := s.apply(read(realm+"    "+change+"\n"), old); err == nil || !strings.Contains(err.Error(), "restart") {
			t.Errorf("%s: %v", change, err)
		}
	}
	if err := s.apply(read(realm+"    passthrough: {conversion: reframe}\n"), old); err != nil {
		t.Error(err)
	}
}

// What the configuration can't tell by itself, and what starting meets, names the
// key too.
func TestStartErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	const free = "listeners: [{websocket: 127.0.0.1:0}]\nadmin: \"\"\n"
	held := filepath.Join(t.TempDir(), "held.db")
	history := "realms:\n  - name: a\n    history: {file: %s, topics: [{uri: com.a}]}\n"
	other, err := bbolt.Open(held, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	for name, c := range map[string]struct{ text, want string }{
		"a listener's port": {"listeners:\n  - rawsocket: 127.0.0.1:0\n  - websocket: " + taken.Addr().String() + "\nadmin: \"\"\n" + fmt.Sprintf(history, "h.db"), // which is closed again
			"blindfold: listeners[1]: listen tcp " + taken.Addr().String() + ": bind: address already in use; change listeners[1] in the configuration, or stop the program that uses the address"},
		"a socket's folder": {"listeners: [{rawsocket: \"unix:/proc/none/s\"}]\nadmin: \"\"\n",
			"blindfold: listeners[0]: listen unix /proc/none/s: bind: no such file or directory"},
		"the admin's port": {"listeners: [{websocket: 127.0.0.1:0}]\nadmin: " + taken.Addr().String() + "\n",
			"blindfold: admin: listen tcp " + taken.Addr().String() + ": bind: address already in use; change admin in the configuration, or stop the program that uses the address"},
		"a history nowhere": {free + fmt.Sprintf(history, "/proc/none/h.db"),
			`blindfold: realm "a": history.file: /proc/none/h.db: no such file or directory`},
		"a history that somebody has": {free + fmt.Sprintf(history, held),
			`blindfold: realm "a": history.file: ` + held + ": another process has it open"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "router.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			if status := run([]string{"--config", file}, &stdout, &stderr); status != 1 || !strings.HasSuffix(stderr.String(), c.want+"\n") {
				t.Errorf("status %d, %q; want 1 and %q", status, stderr.String(), c.want)
			}
		})
	}
}

// A newcomer whose ports are taken learns which options choose others, and needs no file.
func TestOptionsOfTheFirstMinutes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--listen", address, "--admin", ""}, 1, "choose another with --listen"},
		{[]string{"--listen", "127.0.0.1:0", "--admin", address}, 1, "choose another with --admin"},
		{[]string{"--listen", "nowhere"}, 2, "must be an address like"},
		{[]string{"--realm", "no uri"}, 2, "must be a URI"},
		{[]string{"--listen", "127.0.0.1:0", "--config", "router.yaml"}, 2, "--listen has no effect with --config"},
	} {
		var stdout, stderr bytes.Buffer
		if status := run(c.args, &stdout, &stderr); status != c.status || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%v: status %d, %q", c.args, status, stderr.String())
		}
	}
	c := defaults()
	for _, err := range []error{c.setListen("0.0.0.0:9080"), c.setRealm("com.example.realm"), c.setAdmin("")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(c.listeners) != 1 || !c.listeners[0].websocket || !c.listeners[0].rawsocket || c.admin != "" || c.realms[0].name != "com.example.realm" ||
		len(c.warnings) != 1 || !strings.Contains(c.warnings[0], "admits everybody") {
		t.Errorf("%+v", c)
	}
}
