package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// methodConfig is one method of a realm's authentication.
type methodConfig struct {
	name      string
	procedure wamp.URI // of a dynamic authenticator; "": the realm's principals
	bound     bool     // a channel binding is required
	cookie    string
	origins   []string
	value     value // where it is configured
}

// methodNames are the methods, as the configuration calls them.
var methodNames = []string{"ticket", "wampcra", "scram", "cryptosign", "tls", "cookie"}

// readAuth reads the methods by which a realm authenticates.
func readAuth(v value) (methods []methodConfig) {
	var fields []field
	for _, name := range methodNames {
		fields = append(fields, field{name, func(v value) {
			m := methodConfig{name: name, value: v}
			keys := []field{field{"procedure", func(v value) {
				text("", (*string)(&m.procedure)).read(v)
				if !m.procedure.Valid(wamp.MatchExact) {
					v.fail("must be a URI")
				}
			}}}
			switch name {
			case "cookie":
				keys = append(keys, text("name", &m.cookie), texts("origins", &m.origins))
			case "scram", "cryptosign":
				keys = append(keys, choice("channel_binding", &m.bound, []string{"optional", "required"}, []bool{false, true}))
			}
			v.mapping(keys...)
			if name == "cookie" && m.cookie == "" {
				v.fail("needs the cookie's name")
			}
			methods = append(methods, m)
		}})
	}
	v.mapping(fields...)
	return methods
}

// credential is the position of a principal's credential for a method.
type credential struct {
	method string
	value  value
}

// readPrincipal reads a principal, and adds its credentials to credentials.
func readPrincipal(v value, credentials *[]credential) (p auth.Principal) {
	before := len(*credentials)
	proves := func(key, method string, read func(v value)) field {
		return field{key, func(v value) {
			*credentials = append(*credentials, credential{method, v})
			read(v)
		}}
	}
	v.mapping(
		text("authid", &p.AuthID),
		field{"role", func(v value) {
			var role string
			text("", &role).read(v)
			p.Roles = append(p.Roles, role)
		}},
		texts("roles", &p.Roles),
		proves("ticket", "ticket", func(v value) { p.Ticket, p.TicketHash = readSecretOrHash(v) }),
		proves("wampcra", "wampcra", func(v value) { p.CRA = readCRA(v) }),
		proves("scram", "scram", func(v value) { p.SCRAM = readSCRAM(v) }),
		proves("cryptosign", "cryptosign", func(v value) {
			v.list(func(v value) {
				s, ok := v.scalar("a public key in hex")
				key, err := hex.DecodeString(s)
				if ok && (err != nil || len(key) != ed25519.PublicKeySize) {
					v.fail("must be the %d bytes of an Ed25519 public key, in hex", ed25519.PublicKeySize)
				}
				p.Keys = append(p.Keys, key)
			})
		}),
		proves("tls", "tls", func(v value) {
			v.mapping(texts("certificates", &p.Certificates), texts("names", &p.Names))
			if len(p.Certificates)+len(p.Names) == 0 {
				v.fail("needs certificates or names")
			}
		}),
		proves("cookies", "cookie", func(v value) {
			p.Cookies = readList(v, func(v value) auth.Secret { s, _ := readSecret(v); return s })
		}),
	)
	if p.AuthID == "" || len(p.Roles) == 0 {
		v.fail("needs an authid and a role")
	}
	if len(*credentials) == before {
		v.fail("needs credentials: ticket, wampcra, scram, cryptosign, tls or cookies")
	}
	return p
}

// checkCredentials makes sure that the realm has a method for each credential. Others
// could never be used.
func (r *realmConfig) checkCredentials(all []credential) {
	for _, c := range all {
		at := slices.IndexFunc(r.methods, func(m methodConfig) bool { return m.name == c.method })
		switch {
		case at < 0:
			c.value.fail("auth.%s is not enabled for this realm, so this credential can never be used", c.method)
		case r.methods[at].procedure != "":
			c.value.fail("auth.%s of this realm has a procedure, so this credential can never be used", c.method)
		}
	}
}

// readSecret reads a secret: a mapping of its value, file or environment variable.
func readSecret(v value) (auth.Secret, bool) {
	s, hash := readSecretOr(v, false)
	return s, hash == ""
}

func readSecretOrHash(v value) (auth.Secret, string) { return readSecretOr(v, true) }

func readSecretOr(v value, hashes bool) (s auth.Secret, hash string) {
	given := 0
	from := func(key string, read func(v value, text string)) field {
		return field{key, func(v value) {
			given++
			var content string
			text("", &content).read(v)
			read(v, content)
		}}
	}
	fields := []field{
		from("value", func(_ value, text string) { s = auth.NewSecret(text) }),
		from("file", func(v value, text string) {
			var err error
			if s, err = auth.SecretFromFile(v.track(text)); err != nil {
				v.fail("%v", err)
			}
		}),
		from("env", func(v value, text string) {
			var err error
			if s, err = auth.SecretFromEnv(text); err != nil {
				v.fail("%v", err)
			}
		}),
	}
	if hashes {
		fields = append(fields, from("hash", func(_ value, text string) { hash = text }))
	}
	v.mapping(fields...)
	if given != 1 {
		v.fail("needs exactly one of %s", keysOf(fields))
	}
	return s, hash
}

func readCRA(v value) *auth.CRACredential {
	c := &auth.CRACredential{KeyLength: 32}
	secret, password := false, false
	v.mapping(
		field{"secret", func(v value) { c.Secret, _ = readSecret(v); secret = true }},
		field{"password", func(v value) { c.Secret, _ = readSecret(v); password = true }},
		text("salt", &c.Salt),
		integer("iterations", &c.Iterations, 1),
		integer("keylen", &c.KeyLength, 1),
	)
	if secret == password {
		v.fail("needs either secret or password")
	}
	if !password || c.Secret.IsZero() {
		return c
	}
	if c.Iterations == 0 {
		c.Iterations = 100_000
	}
	derived, err := auth.DeriveCRA(c.Secret, c.Salt, c.Iterations, c.KeyLength)
	if err != nil {
		v.fail("%v", err)
	}
	return derived
}

func readSCRAM(v value) *auth.SCRAMCredential {
	c := &auth.SCRAMCredential{}
	c.KDF, c.Iterations, c.Memory = "argon2id13", 3, 64<<10
	hexed := func(key string, dst *[]byte) field {
		return field{key, func(v value) {
			s, ok := v.scalar("bytes in hex")
			b, err := hex.DecodeString(s)
			if ok && err != nil {
				v.fail("must be bytes in hex")
			}
			*dst = b
		}}
	}
	var password auth.Secret
	v.mapping(
		field{"password", func(v value) { password, _ = readSecret(v) }},
		text("kdf", &c.KDF),
		hexed("salt", &c.Salt),
		integer("iterations", &c.Iterations, 1),
		integer("memory", &c.Memory, 1),
		hexed("stored_key", &c.StoredKey),
		hexed("server_key", &c.ServerKey),
	)
	if c.KDF == "pbkdf2" {
		c.Memory = 0
	}
	if password.IsZero() {
		return c
	}
	if c.StoredKey != nil || c.ServerKey != nil {
		v.fail("needs either password, or stored_key and server_key")
		return c
	}
	derived, err := auth.DeriveSCRAM(password, c.SCRAMParameters)
	if err != nil {
		v.fail("%v", err)
		return c
	}
	return derived
}

// realmCallers calls the procedures of a realm's dynamic authenticators and authorizers.
// It survives reloads, and so do the samples of the decoys. Authenticators and authorizers
// have a session each, so that logins do not use up the calls in flight (limits.calls)
// that authorizers need.
type realmCallers struct {
	authenticators, authorizers *router.Local
	principals                  map[wamp.URI]auth.Principals // by procedure
}

func newRealmCallers(realm string) *realmCallers {
	return &realmCallers{router.NewLocal(realm), router.NewLocal(realm), make(map[wamp.URI]auth.Principals)}
}

// asking returns the principals of a procedure.
func (c *realmCallers) asking(procedure wamp.URI) auth.Principals {
	if c.principals[procedure] == nil {
		c.principals[procedure] = auth.ProcedurePrincipals(c.authenticators, procedure)
	}
	return c.principals[procedure]
}

// authenticators returns the authenticators of a realm.
func (r *realmConfig) authenticators(static *auth.Static, callers *realmCallers) []router.Authenticator {
	var out []router.Authenticator
	roles := namesOf(r.roles, func(r *auth.Role) string { return r.Name })
	add := func(m *methodConfig, a router.Authenticator) {
		if m.bound {
			a = auth.RequireChannelBinding(a)
		}
		out = append(out, auth.KnownRoles(a, roles))
	}
	if r.anonymous != "" {
		out = append(out, router.Anonymous(r.anonymous))
	}
	for i := range r.methods {
		m := &r.methods[i]
		var principals auth.Principals = static
		dynamic := m.procedure != ""
		if dynamic {
			principals = callers.asking(m.procedure)
		}
		switch {
		case dynamic && (m.name == "ticket" || m.name == "tls"):
			add(m, auth.Procedure(m.name, callers.authenticators, m.procedure))
		case m.name == "ticket":
			add(m, auth.Ticket(principals))
		case m.name == "wampcra":
			add(m, auth.CRA(principals))
		case m.name == "scram":
			add(m, auth.SCRAM(principals))
			if !m.bound { // it has no channel binding
				add(m, auth.AutobahnSCRAM(principals))
			}
		case m.name == "cryptosign":
			add(m, auth.Cryptosign(principals))
		case m.name == "tls":
			add(m, auth.TLS(principals))
		case m.name == "cookie":
			add(m, auth.Cookie(m.cookie, m.origins, principals))
		}
	}
	return out
}

// authorizer returns the permissions of the roles, and a dynamic authorizer for each role
// that names a procedure.
func (r *realmConfig) authorizer(callers *realmCallers) (router.Authorizer, error) {
	permissions, err := auth.NewPermissions(r.roles)
	if err != nil || len(r.asked) == 0 {
		return permissions, err
	}
	by := auth.ByRole{}
	for _, role := range r.roles {
		by[role.Name] = permissions
		if procedure, ok := r.asked[role.Name]; ok {
			by[role.Name] = auth.NewProcedureAuthorizer(callers.authorizers, procedure, auth.AuthorizerOptions{})
		}
	}
	return by, nil
}

// reserved returns the procedures of the realm's dynamic authenticators and authorizers.
func (r *realmConfig) reserved() (out []wamp.URI) {
	for _, m := range r.methods {
		if m.procedure != "" {
			out = append(out, m.procedure)
		}
	}
	return slices.Concat(out, slices.Collect(maps.Values(r.asked)))
}

// warnReserved warns if no role, or anonymous sessions, may register such a procedure.
func (r *realmConfig) warnReserved(v value) {
	for _, m := range r.methods {
		if m.procedure != "" {
			r.warnRegistrable(m.value, m.procedure)
		}
	}
	for _, role := range r.roles {
		if procedure, ok := r.asked[role.Name]; ok {
			r.warnRegistrable(v, procedure)
		}
	}
}

func (r *realmConfig) warnRegistrable(v value, procedure wamp.URI) {
	const ask = "only an entry of permissions for exactly this URI allows that"
	permissions, err := auth.NewPermissions(r.roles)
	if err != nil {
		return
	}
	may := func(role string) bool {
		who := wamp.Peer{AuthRole: role}
		d, _ := permissions.Authorize(context.Background(), &who, router.ActionRegister, procedure, wamp.MatchExact)
		return d.Allow && d.Explicit
	}
	switch {
	case r.anonymous != "" && may(r.anonymous):
		v.warn("anybody may register %s, which decides about logins or permissions: the role %s of anonymous sessions allows it", procedure, r.anonymous)
	case !slices.ContainsFunc(r.roles, func(role auth.Role) bool {
		return may(role.Name) || r.asked[role.Name] != "" && r.asked[role.Name] != procedure
	}):
		v.warn("nobody may register %s, which decides about logins or permissions: "+ask, procedure)
	}
}

// warnUnbound warns of methods that require a channel binding if no listener has TLS.
func (c *config) warnUnbound() {
	if slices.ContainsFunc(c.listeners, func(l listenerConfig) bool { return l.tls != nil }) {
		return
	}
	for i := range c.realms {
		for _, m := range c.realms[i].methods {
			if m.bound {
				m.value.warn("requires a channel binding, but no listener has tls: nobody can log in")
			}
		}
	}
}

// checkRoles makes sure that the roles of principals and trust levels exist.
func (r *realmConfig) checkRoles(v value) {
	known := func(name string) bool {
		return slices.ContainsFunc(r.roles, func(role auth.Role) bool { return role.Name == name })
	}
	for _, p := range r.principals {
		for _, role := range p.Roles {
			if !known(role) {
				v.fail("the principal %q has the role %q, which is not among roles", p.AuthID, role)
			}
		}
	}
	for role := range r.advanced.trustLevels {
		if !known(role) {
			v.fail("trustlevels names the role %q, which is not among roles", role)
		}
	}
	if len(v.file.problems) > 0 {
		return
	}
	var err error
	if r.static, err = auth.NewStatic(r.principals); err != nil {
		v.fail("principals: %v", err)
	}
	if _, err = auth.NewPermissions(r.roles); err != nil {
		v.fail("roles: %v", err)
	}
	for _, m := range r.methods {
		if m.procedure == "" && len(r.principals) == 0 {
			v.fail("auth.%s has neither a procedure nor principals", m.name)
		}
	}
}
