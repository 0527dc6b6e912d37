package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"slices"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// methodConfig is one method of a realm's authentication.
type methodConfig struct {
	name      string
	procedure wamp.URI // that is asked; "": the realm's principals
	cookie    string
	origins   []string
}

// methodNames are the methods, as the configuration calls them.
var methodNames = []string{"ticket", "wampcra", "scram", "cryptosign", "tls", "cookie"}

// readAuth reads the methods by which a realm authenticates.
func readAuth(v value) (methods []methodConfig) {
	var fields []field
	for _, name := range methodNames {
		fields = append(fields, field{name, func(v value) {
			m := methodConfig{name: name}
			keys := []field{field{"procedure", func(v value) {
				text("", (*string)(&m.procedure)).read(v)
				if !m.procedure.Valid(wamp.MatchExact) {
					v.fail("must be a URI")
				}
			}}}
			if name == "cookie" {
				keys = append(keys, text("name", &m.cookie), texts("origins", &m.origins))
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

// credential is where a principal has what proves him by a method.
type credential struct {
	method string
	value  value
}

// readPrincipal reads somebody who can authenticate, and adds his credentials.
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
		v.fail("needs what proves it: ticket, wampcra, scram, cryptosign, tls or cookies")
	}
	return p
}

// checkCredentials makes sure that what the principals have is asked for: by
// anything else nobody can ever log in.
func (r *realmConfig) checkCredentials(all []credential) {
	for _, c := range all {
		at := slices.IndexFunc(r.methods, func(m methodConfig) bool { return m.name == c.method })
		switch {
		case at < 0:
			c.value.fail("can't be used to log in: the realm's auth does not have %s", c.method)
		case r.methods[at].procedure != "":
			c.value.fail("can't be used to log in: the realm's auth.%s asks a procedure, and no principals", c.method)
		}
	}
}

// readSecret reads a secret: its text, or a mapping of where it stands.
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
		v.fail("must have exactly one of %s", keysOf(fields))
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
		v.fail("must have either a secret or a password")
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
		v.fail("must have either a password or stored_key and server_key")
		return c
	}
	derived, err := auth.DeriveSCRAM(password, c.SCRAMParameters)
	if err != nil {
		v.fail("%v", err)
		return c
	}
	return derived
}

// authenticators makes what a realm's configuration says.
func (r *realmConfig) authenticators(static *auth.Static, caller auth.Caller) []router.Authenticator {
	var out []router.Authenticator
	if r.anonymous != "" {
		out = append(out, router.Anonymous(r.anonymous))
	}
	for _, m := range r.methods {
		var principals auth.Principals = static
		dynamic := m.procedure != ""
		if dynamic {
			principals = auth.ProcedurePrincipals(caller, m.procedure)
		}
		switch m.name {
		case "ticket":
			if dynamic {
				out = append(out, auth.Procedure("ticket", caller, m.procedure))
				continue
			}
			out = append(out, auth.Ticket(principals))
		case "wampcra":
			out = append(out, auth.CRA(principals))
		case "scram":
			out = append(out, auth.SCRAM(principals), auth.AutobahnSCRAM(principals))
		case "cryptosign":
			out = append(out, auth.Cryptosign(principals))
		case "tls":
			if dynamic {
				out = append(out, auth.Procedure("tls", caller, m.procedure))
				continue
			}
			out = append(out, auth.TLS(principals))
		case "cookie":
			out = append(out, auth.Cookie(m.cookie, m.origins, principals))
		}
	}
	return out
}

// authorizer is the roles' permissions, and for the roles that name a procedure,
// that one.
func (r *realmConfig) authorizer(caller auth.Caller) (router.Authorizer, error) {
	permissions, err := auth.NewPermissions(r.roles)
	if err != nil || len(r.asked) == 0 {
		return permissions, err
	}
	by := auth.ByRole{}
	for _, role := range r.roles {
		by[role.Name] = permissions
		if procedure, ok := r.asked[role.Name]; ok {
			by[role.Name] = auth.NewProcedureAuthorizer(caller, procedure, auth.AuthorizerOptions{})
		}
	}
	return by, nil
}

// checkRoles makes sure that principals and trust levels are of roles that there
// are.
func (r *realmConfig) checkRoles(v value) {
	known := func(name string) bool {
		return slices.ContainsFunc(r.roles, func(role auth.Role) bool { return role.Name == name })
	}
	for _, p := range r.principals {
		for _, role := range p.Roles {
			if !known(role) {
				v.fail("the principal %q has the role %q, but roles has no role of that name", p.AuthID, role)
			}
		}
	}
	for role := range r.advanced.trustLevels {
		if !known(role) {
			v.fail("trustlevels names the role %q, but roles has no role of that name", role)
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
			v.fail("auth.%s has neither a procedure to ask nor principals", m.name)
		}
	}
}
