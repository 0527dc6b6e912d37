package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
)

// config is the configuration of the server.
type config struct {
	listeners  []listenerConfig
	admin      string
	adminHosts []string // names of the admin address
	webConfig  string   // TLS and users of the admin address: a file of prometheus/exporter-toolkit
	pprof      bool     // serve profiles on the admin address
	files      []string // the configuration file and all files that it names
	warnings   []string // what is accepted but outdated or hardly meant, as FILE:LINE: TEXT
	log        logConfig
	limits     router.Limits
	addresses  transport.Limits // PerAddress and ConnectRate
	realms     []realmConfig
	cluster    *clusterConfig // nil: this router is alone
	realmsSet  bool           // realms come from the file, not from the defaults
}

// namesOf returns the names of a list's elements.
func namesOf[T any](list []T, name func(*T) string) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = name(&list[i])
	}
	return names
}

type logConfig struct {
	level  *slog.LevelVar // changed at run time by PUT /loglevel
	format string
	names  bool // log what refused clients call themselves
}

type realmConfig struct {
	name        string
	anonymous   string // the role of anonymous sessions; "" admits none
	methods     []methodConfig
	principals  []auth.Principal
	static      *auth.Static // made of principals
	roles       []auth.Role
	asked       map[string]wamp.URI // by role: the procedure that authorizes it
	passthrough passthrough.Config
	advanced    advanced
}

func (r *realmConfig) id() string { return r.name }

// defaults is the configuration of a server that is started without a file.
func defaults() *config {
	everything := []router.Action{router.ActionPublish, router.ActionSubscribe, router.ActionCall, router.ActionRegister}
	return &config{
		listeners: []listenerConfig{
			{network: "tcp", address: "127.0.0.1:8080", websocket: true},
			{network: "tcp", address: "127.0.0.1:8081", rawsocket: true},
		},
		admin: "127.0.0.1:8082",
		log:   logConfig{level: new(slog.LevelVar), format: "auto"},
		realms: []realmConfig{{
			name:      "realm1",
			anonymous: "anonymous",
			roles: []auth.Role{{Name: "anonymous", Permissions: []auth.Permission{
				{URI: "", Match: wamp.MatchPrefix, Allow: everything},
			}}},
			// Sealed scopes need it: members fetch the newest epoch when they come.
			advanced: advanced{retained: &router.RetainedLimits{Topics: 1024, Bytes: 16 << 20}},
		}},
	}
}

// setListen, setAdmin and setRealm change the defaults as the command line says.
func (c *config) setListen(address string) error {
	network, at, err := splitAddress(address)
	if err != nil {
		return err
	}
	c.listeners = []listenerConfig{{network: network, address: at, websocket: true, rawsocket: true}}
	if host, _, err := net.SplitHostPort(at); network == "tcp" && err == nil && host != "localhost" {
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			c.warnings = append(c.warnings, "--listen "+address+" can be reached from other machines, and the realm admits everybody: see docs/authentication.md")
		}
	}
	return nil
}

func (c *config) setAdmin(address string) error {
	if network, _, err := splitAddress(address); address != "" && (err != nil || network != "tcp") {
		return errors.New("must be an address like 127.0.0.1:8082, or empty for none")
	}
	c.admin = address
	return nil
}

func (c *config) setRealm(name string) error {
	if !wamp.URI(name).Valid(wamp.MatchExact) {
		return errors.New("must be a URI, like realm1 or com.example.realm")
	}
	c.realms[0].name = name
	return nil
}

// load reads a configuration file. A key that is not in the file keeps its default;
// a list in the file replaces the default list.
func load(name string) (*config, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("blindfold: --config: %w", err)
	}
	root, err := parseYAML(name, content)
	if err != nil {
		return nil, err
	}
	c := defaults()
	root.mapping(
		field{"listeners", func(v value) {
			c.listeners = readList(v, readListener)
			v.distinct(namesOf(c.listeners, (*listenerConfig).name))
			if len(c.listeners) == 0 {
				v.fail("must name at least one listener")
			}
		}},
		field{"admin", func(v value) { readAdmin(v, c) }},
		field{"log", func(v value) { c.log.read(v) }},
		field{"limits", func(v value) { readLimits(v, &c.limits, &c.addresses) }},
		field{"cluster", func(v value) { c.cluster = readCluster(v) }},
		field{"realms", func(v value) {
			c.realms, c.realmsSet = readList(v, readRealm), true
			v.distinct(namesOf(c.realms, (*realmConfig).id))
			v.distinct(namesOf(c.realms, func(r *realmConfig) string { return r.advanced.historyFile }))
			if len(c.realms) == 0 {
				v.fail("must name at least one realm")
			}
		}},
	)
	if err := root.file.err(); err != nil {
		return nil, err
	}
	c.warnUnbound()
	c.files = append([]string{name}, root.file.read...)
	c.warnings = root.file.lines(root.file.warnings)
	if !c.realmsSet {
		c.warnings = append(c.warnings, name+": realms is missing: the default realm realm1 admits everybody")
	}
	return c, nil
}

// readAdmin reads the admin settings: an address alone, or a mapping.
func readAdmin(v value, c *config) {
	address := field{"address", func(v value) {
		text("", &c.admin).read(v)
		if network, _, err := splitAddress(c.admin); c.admin != "" && (err != nil || network != "tcp") {
			v.fail("must be an address like 127.0.0.1:8082, or empty for none")
		}
	}}
	if v.resolve().node.Kind != yaml.MappingNode {
		address.read(v)
		return
	}
	webConfig := field{"web_config", func(v value) {
		filePath("", &c.webConfig).read(v)
		if err := web.Validate(c.webConfig); c.webConfig != "" && err != nil {
			v.fail("%v", err)
			return
		}
		tls, _ := readWebTLS(c.webConfig)
		certificate := []byte(tls.Inline)
		if tls.File != "" {
			certificate, _ = os.ReadFile(v.track(tls.File))
		}
		v.checkCertificates(certificate, time.Now())
	}}
	v.mapping(address, hostNames(&c.adminHosts), webConfig, boolean("pprof", &c.pprof))
}

// transportLimits are the limits of a connection before it has a session.
func (c *config) transportLimits() transport.Limits {
	l := c.addresses
	l.MaxMessage, l.MaxFirst, l.HandshakeTimeout = c.limits.Message, c.limits.FirstMessage, c.limits.Hello
	return l
}

func readList[T any](v value, read func(v value) T) []T {
	out := []T{}
	v.list(func(v value) { out = append(out, read(v)) })
	return out
}

func (l *logConfig) read(v value) {
	level := l.level.Level()
	v.mapping(
		choice("level", &level, []string{"debug", "info", "warn", "error"},
			[]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}),
		choice("format", &l.format, []string{"auto", "text", "json"}, []string{"auto", "text", "json"}),
		boolean("names", &l.names),
	)
	l.level.Set(level)
}

func readLimits(v value, l *router.Limits, t *transport.Limits) {
	const big = 1 << 40
	v.renamed(map[string]string{
		"slow_down": "backpressure_timeout", "stall": "write_timeout", "queues": "queue_total", "farewell": "close_timeout",
	})
	v.mapping(
		duration("hello", &l.Hello),
		size("first_message", &l.FirstMessage, 16<<20),
		size("message", &l.Message, 16<<20),
		integer("sessions", &l.Sessions, 1),
		size("queue", &l.Queue, big),
		duration("backpressure_timeout", &l.BackpressureTimeout),
		duration("write_timeout", &l.WriteTimeout),
		duration("ping_every", &l.PingEvery),
		duration("ping_timeout", &l.PingTimeout),
		integer("subscriptions", &l.Subscriptions, 1),
		integer("registrations", &l.Registrations, 1),
		integer("calls", &l.Calls, 1),
		integer("waiting_calls", &l.WaitingCalls, 1),
		size("meta_events", &l.MetaEvents, big),
		size("queue_total", &l.QueueTotal, big),
		duration("close_timeout", &l.CloseTimeout),
		integerTo("nesting", &l.Nesting, 1, 32),
		integerTo("elements", &l.Elements, 1, 4096),
		integerTo("uri_bytes", &l.URIBytes, 1, wamp.MaxURILength),
		integerTo("uri_components", &l.URIComponents, 1, wamp.MaxURIComponents),
		integer("messages_per_second", &l.MessageRate, 1),
		integer("connections_per_address", &t.PerAddress, 1),
		integer("connects_per_second", &t.ConnectRate, 1),
	)
}

func readRealm(v value) (r realmConfig) {
	var credentials []credential
	v.mapping(append(r.advanced.fields(),
		field{"name", func(v value) {
			text("", &r.name).read(v)
			if !wamp.URI(r.name).Valid(wamp.MatchExact) {
				v.fail("must be a URI, like realm1 or com.example.realm")
			}
		}},
		field{"anonymous", func(v value) {
			v.mapping(text("role", &r.anonymous))
			if r.anonymous == "" {
				v.fail("needs a role")
			}
		}},
		field{"auth", func(v value) { r.methods = readAuth(v) }},
		field{"principals", func(v value) {
			r.principals = readList(v, func(v value) auth.Principal { return readPrincipal(v, &credentials) })
		}},
		field{"roles", func(v value) {
			r.roles = readList(v, func(v value) auth.Role { return readRole(v, &r) })
			v.distinct(namesOf(r.roles, func(r *auth.Role) string { return r.Name }))
		}},
		field{"passthrough", func(v value) { readPassthrough(v, &r.passthrough) }},
		field{"validation", func(v value) { r.passthrough.Validation = readList(v, readValidation) }},
	)...)
	if r.name == "" {
		v.fail("needs a name")
	}
	if r.anonymous != "" && !slices.ContainsFunc(r.roles, func(role auth.Role) bool { return role.Name == r.anonymous }) {
		v.fail("anonymous.role is %q, which is not among roles", r.anonymous)
	}
	r.checkCredentials(credentials)
	r.checkRoles(v)
	r.warnReserved(v)
	return r
}

func readRole(v value, of *realmConfig) (r auth.Role) {
	var authorizer wamp.URI
	var entries []value // of r.Permissions
	v.mapping(
		text("name", &r.Name),
		text("authorizer", (*string)(&authorizer)),
		field{"permissions", func(v value) {
			r.Permissions = readList(v, func(v value) auth.Permission {
				entries = append(entries, v)
				return readPermission(v)
			})
		}},
	)
	if r.Name == "" {
		v.fail("needs a name")
	}
	if r.Name == router.LocalRole {
		v.fail("the role %s is the router's own", router.LocalRole)
	}
	if authorizer != "" {
		if !authorizer.Valid(wamp.MatchExact) || len(r.Permissions) > 0 {
			v.fail("authorizer must be a URI; a role has either an authorizer or permissions")
		}
		if of.asked == nil {
			of.asked = make(map[string]wamp.URI)
		}
		of.asked[r.Name] = authorizer
	}
	for _, n := range r.Narrowings() {
		names := strings.Join(namesOf(n.Actions, func(a *router.Action) string { return a.String() }), ", ")
		entries[n.At].warn("refuses %s, which %s %q allows: the most specific entry decides about all actions. If this is intended, add deny: [%s]",
			names, n.Match, string(n.Wider), names)
	}
	return r
}

func readPermission(v value) (p auth.Permission) {
	given := false
	v.mapping(
		uriField(&p.URI, &given),
		matchField(&p.Match),
		actions("allow", &p.Allow),
		actions("deny", &p.Deny),
		boolean("disclose", &p.Disclose),
	)
	checkURI(v, p.URI, p.Match, given)
	return p
}

func actions(key string, dst *[]router.Action) field {
	return field{key, func(v value) {
		v.list(func(v value) {
			var a router.Action
			before := len(v.file.problems)
			choice("", &a, []string{"publish", "subscribe", "call", "register"},
				[]router.Action{router.ActionPublish, router.ActionSubscribe, router.ActionCall, router.ActionRegister}).read(v)
			if len(v.file.problems) == before {
				*dst = append(*dst, a)
			}
		})
	}}
}

func uriField(dst *wamp.URI, given *bool) field {
	return field{"uri", func(v value) {
		if s, ok := v.scalar("a URI or a pattern"); ok {
			*dst, *given = wamp.URI(s), true
		}
	}}
}

func matchField(dst *wamp.Match) field {
	return choice("match", dst, []string{"exact", "prefix", "wildcard"},
		[]wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard})
}

func checkURI(v value, uri wamp.URI, match wamp.Match, given bool) {
	switch {
	case !given:
		v.fail("needs a uri")
	case !uri.Valid(match):
		v.fail("uri: %q is not a valid URI pattern for match: %s", string(uri), match)
	}
}

func readPassthrough(v value, c *passthrough.Config) {
	v.mapping(
		choice("conversion", &c.Conversion, []string{"refuse", "reframe"},
			[]passthrough.Conversion{passthrough.Refuse, passthrough.Reframe}),
		field{"require", func(v value) {
			c.Require = readList(v, func(v value) (r passthrough.Rule) {
				given := false
				v.mapping(uriField(&r.URI, &given), matchField(&r.Match))
				checkURI(v, r.URI, r.Match, given)
				return r
			})
		}},
	)
}

func readValidation(v value) (r passthrough.Validation) {
	given := false
	v.mapping(
		uriField(&r.URI, &given),
		matchField(&r.Match),
		field{"schema", func(v value) {
			path, ok := v.scalar("the path of a JSON Schema file")
			if !ok {
				return
			}
			var err error
			if r.Schema, err = passthrough.LoadSchema(v.track(path)); err != nil {
				v.fail("%v", err)
			}
		}},
		choice("opaque", &r.Opaque, []string{"refuse", "pass"},
			[]passthrough.OpaquePolicy{passthrough.Refuse, passthrough.Pass}),
		integerTo("elements", &r.Elements, 1, passthrough.MaxValues),
	)
	checkURI(v, r.URI, r.Match, given)
	if r.Schema == nil && len(v.file.problems) == 0 {
		v.fail("needs a schema")
	}
	return r
}
