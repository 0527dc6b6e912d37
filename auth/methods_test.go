package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// passwordMethod is a method that needs nothing but an authid and a password.
type passwordMethod struct {
	authID string
	serve  func(Principals) router.Authenticator
	answer func(authID string, password Secret) answer.Method
}

func scramAnswer(authID string, password Secret) answer.Method {
	return answer.SCRAM(authID, password, "")
}

var passwordMethods = []passwordMethod{
	{"ticket", Ticket, answer.Ticket},
	{"hashed", Ticket, answer.Ticket},
	{"cra", CRA, answer.CRA},
	{"salted", CRA, answer.CRA},
	{"argon2", SCRAM, scramAnswer},
	{"pbkdf2,=", SCRAM, scramAnswer},
	{"autobahn", AutobahnSCRAM, answer.AutobahnSCRAM},
}

func TestPasswords(t *testing.T) {
	everybody := principals()
	for _, m := range passwordMethods {
		t.Run(m.authID, func(t *testing.T) {
			a := m.serve(everybody)
			identity, err := attempt(t, a, m.answer(m.authID, NewSecret(password)), plain(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if identity.AuthID != m.authID || identity.AuthRole != "user" || identity.Provider != "static" {
				t.Errorf("identity %+v", identity)
			}
			wrong := m.answer(m.authID, NewSecret(password+"!"))
			_, err = attempt(t, a, wrong, plain(), nil)
			told := refusedWith(t, err, wamp.ErrAuthenticationFailed)

			_, err = attempt(t, a, m.answer("nobody", NewSecret(password)), plain(), nil)
			if again := refusedWith(t, err, wamp.ErrAuthenticationFailed); again != told {
				t.Errorf("a wrong password is told %q, an unknown authid %q", told, again)
			}
			// Somebody who exists, but has no credentials for this method.
			_, err = attempt(t, a, m.answer("joe", NewSecret(password)), plain(), nil)
			if again := refusedWith(t, err, wamp.ErrAuthenticationFailed); again != told {
				t.Errorf("a principal without credentials is told %q", again)
			}
			_, err = attempt(t, a, m.answer("", NewSecret(password)), plain(), nil)
			refusedWith(t, err, wamp.ErrAuthenticationFailed)

			_, err = attempt(t, a, m.answer(m.authID, NewSecret(password)), plain(), func(r *wamp.Authenticate) { r.Signature = "" })
			refusedWith(t, err, wamp.ErrAuthenticationFailed)
		})
	}
}

func TestRoleIsAskedFor(t *testing.T) {
	everybody := principals()
	for _, c := range []struct {
		authID, role string
		uri          wamp.URI
	}{
		{"cra", "admin", ""}, {"cra", "user", ""}, {"cra", "root", wamp.ErrNoSuchRole}, {"salted", "admin", wamp.ErrNoSuchRole},
	} {
		by := answer.CRA(c.authID, NewSecret(password))
		hello := &wamp.Hello{Realm: "realm1", Details: wamp.HelloDetails{AuthRole: c.role}}
		identity, err := authenticate(t, CRA(everybody), hello, by.Method(), by.Start(&hello.Details), plain(), nil)
		if c.uri != "" {
			refusedWith(t, err, c.uri)
			continue
		}
		if err != nil || identity.AuthRole != c.role {
			t.Errorf("%s as %s: %+v, %v", c.authID, c.role, identity, err)
		}
		// Who can't prove himself doesn't learn which roles there are.
		wrong := answer.CRA(c.authID, NewSecret("wrong"))
		hello.Details.AuthRole = "root"
		_, err = authenticate(t, CRA(everybody), hello, wrong.Method(), wrong.Start(new(wamp.HelloDetails)), plain(), nil)
		refusedWith(t, err, wamp.ErrAuthenticationFailed)
	}
}

// challengeOf returns the CHALLENGE.Extra that an authid gets.
func challengeOf(t *testing.T, a router.Authenticator, authID string) map[string]any {
	t.Helper()
	return challengeIn(t, a, "realm1", authID)
}

func challengeIn(t *testing.T, a router.Authenticator, realm wamp.URI, authID string) map[string]any {
	t.Helper()
	var got map[string]any
	_, _ = a.Authenticate(t.Context(), &router.Handshake{
		Hello:      &wamp.Hello{Realm: realm, Details: wamp.HelloDetails{AuthID: authID, AuthExtra: map[string]any{"nonce": "egVDf3DMJh0="}}},
		Connection: plain().server,
		Challenge: func(extra map[string]any) (*wamp.Authenticate, error) {
			got = extra
			return &wamp.Authenticate{}, nil
		},
	})
	if got == nil {
		t.Fatalf("%q got no challenge", authID)
	}
	return got
}

// TestUnknownAuthIDsCannotBeProbed looks at challenges as somebody does who
// tries authids: the salt stays, and what is there looks as it does for others.
func TestUnknownAuthIDsCannotBeProbed(t *testing.T) {
	secret := NewSecret(password)
	everybody := must(NewStatic([]Principal{
		{AuthID: "salted", Roles: []string{"user"}, CRA: must(DeriveCRA(secret, "c0ffee0123456789", 1000, 32))},
		{AuthID: "argon2", Roles: []string{"user"}, SCRAM: must(DeriveSCRAM(secret, argon))},
	}))
	for _, c := range []struct {
		a     router.Authenticator
		known string
		same  []string
	}{
		{CRA(everybody), "salted", []string{"iterations", "keylen"}},
		{SCRAM(everybody), "argon2", []string{"iterations", "memory", "kdf"}},
	} {
		known, one, again, other := challengeOf(t, c.a, c.known), challengeOf(t, c.a, "one"), challengeOf(t, c.a, "one"), challengeOf(t, c.a, "other")
		for _, key := range c.same {
			if one[key] != known[key] {
				t.Errorf("%s: %s is %v for an unknown authid, %v for a known one", c.a.Method(), key, one[key], known[key])
			}
		}
		if len(one) != len(known) {
			t.Errorf("%s: %v for an unknown authid, %v for a known one", c.a.Method(), one, known)
		}
		salt := one["salt"].(string)
		switch {
		case salt != again["salt"]:
			t.Errorf("%s: an unknown authid's salt changes", c.a.Method())
		case salt == other["salt"] || salt == known["salt"]:
			t.Errorf("%s: a made-up salt is another's too", c.a.Method())
		case len(salt) != len(known["salt"].(string)):
			t.Errorf("%s: a made-up salt has another length", c.a.Method())
		}
	}
	salt := challengeOf(t, CRA(everybody), "one")["salt"].(string)
	if _, err := hex.DecodeString(salt); err != nil {
		t.Errorf("the principals' salts are hex, the made-up one is %q", salt)
	}
}

// After a reload the principals are another Static: what is known stays, so what is
// made up must stay too. Nor do realms tell it by having the same salt, which real
// principals of two realms hardly have.
func TestMadeUpSaltsOutliveAReload(t *testing.T) {
	for _, method := range []func(Principals) router.Authenticator{SCRAM, AutobahnSCRAM} {
		before, after := method(principals()), method(principals())
		was, is := challengeOf(t, before, "nobody")["salt"], challengeOf(t, after, "nobody")["salt"]
		if was != is {
			t.Errorf("%s: an unknown authid's salt was %v before a reload, and is %v", after.Method(), was, is)
		}
		if is == challengeIn(t, after, "realm2", "nobody")["salt"] {
			t.Errorf("%s: an unknown authid's salt is the same in another realm", after.Method())
		}
	}
}

func TestCRAChallengeHoldsWhatTheSpecificationAsksFor(t *testing.T) {
	text := challengeOf(t, CRA(principals()), "cra")["challenge"].(string)
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"authid", "authrole", "authmethod", "authprovider", "nonce", "timestamp", "session"} {
		if _, ok := fields[key]; !ok {
			t.Errorf("%s is missing", key)
		}
	}
	if fields["authid"] != "cra" || fields["authmethod"] != "wampcra" {
		t.Errorf("the challenge is %s", text)
	}
}

func TestSCRAMChecksWhatAUTHENTICATERepeats(t *testing.T) {
	a := SCRAM(principals())
	for name, change := range map[string]func(*wamp.Authenticate){
		"nonce":           func(r *wamp.Authenticate) { r.Extra["nonce"] = "AAAA" },
		"no extra":        func(r *wamp.Authenticate) { r.Extra = nil },
		"channel_binding": func(r *wamp.Authenticate) { r.Extra["channel_binding"] = "tls-unique" },
		"cbind_data":      func(r *wamp.Authenticate) { r.Extra["cbind_data"] = "AAAA" },
		"base64":          func(r *wamp.Authenticate) { r.Signature = "?" + r.Signature[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := attempt(t, a, answer.SCRAM("argon2", NewSecret(password), ""), plain(), change)
			refusedWith(t, err, wamp.ErrAuthenticationFailed)
		})
	}
	for name, extra := range map[string]map[string]any{
		"none": nil, "no base64": {"nonce": "a,b"}, "too long": {"nonce": strings.Repeat("AAAA", 100)}, "a number": {"nonce": 5},
	} {
		h := &router.Handshake{Hello: &wamp.Hello{Details: wamp.HelloDetails{AuthID: "argon2", AuthExtra: extra}}, Connection: plain().server}
		_, err := a.Authenticate(t.Context(), h)
		if refusedWith(t, err, wamp.ErrAuthenticationFailed) != badNonce.Text {
			t.Errorf("a nonce that is %s: %v", name, err)
		}
	}
}

// TestSCRAMMakesTheRouterProveItself lets a router that doesn't know the
// password's keys accept everything.
func TestSCRAMMakesTheRouterProveItself(t *testing.T) {
	by := answer.SCRAM("argon2", NewSecret(password), "")
	hello := &wamp.Hello{Realm: "realm1"}
	begun := by.Start(&hello.Details)
	identity, err := authenticate(t, SCRAM(principals()), hello, by.Method(), begun, plain(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := begun.VerifyRouter(&wamp.WelcomeDetails{AuthExtra: identity.Extra}); err != nil {
		t.Fatal(err)
	}
	for _, extra := range []map[string]any{nil, {"verifier": ""}, {"verifier": "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="}} {
		if begun.VerifyRouter(&wamp.WelcomeDetails{AuthExtra: extra}) == nil {
			t.Errorf("the client took %v for a proof", extra)
		}
	}
}

func TestChannelBindings(t *testing.T) {
	everybody := principals()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		one := overTLS(t, version, tls.Certificate{}, tls.NoClientCert)
		two := overTLS(t, version, tls.Certificate{}, tls.NoClientCert)
		for _, binding := range []string{"tls-unique", "tls-exporter"} {
			available := binding == "tls-exporter" || version == tls.VersionTLS12
			t.Run(tls.VersionName(version)+" "+binding, func(t *testing.T) {
				sign := answer.Cryptosign("joe", joeKey, binding)
				scram := answer.SCRAM("argon2", NewSecret(password), binding)
				if !available {
					if _, err := attempt(t, Cryptosign(everybody), sign, one, nil); err == nil || !strings.Contains(err.Error(), "channel binding") {
						t.Errorf("cryptosign: the client went on without the binding: %v", err)
					}
					_, err := attempt(t, SCRAM(everybody), scram, one, nil)
					if refusedWith(t, err, wamp.ErrAuthenticationFailed) != noBinding.Text {
						t.Error(err)
					}
					return
				}
				for _, by := range []struct {
					a router.Authenticator
					c answer.Method
				}{{Cryptosign(everybody), sign}, {SCRAM(everybody), scram}} {
					if _, err := attempt(t, by.a, by.c, one, nil); err != nil {
						t.Errorf("%s: %v", by.a.Method(), err)
					}
					// Somebody in the middle passes the proof on to another connection.
					relayed := link{one.client, two.server}
					_, err := attempt(t, by.a, by.c, relayed, nil)
					refusedWith(t, err, wamp.ErrAuthenticationFailed)
				}
			})
		}
	}
}

// Where a binding is required, only proofs that are bound get as far as a challenge.
func TestRequiredChannelBinding(t *testing.T) {
	over := overTLS(t, tls.VersionTLS13, tls.Certificate{}, tls.NoClientCert)
	everybody := principals()
	for name, c := range map[string]struct {
		a    router.Authenticator
		by   answer.Method
		over link
		in   bool
	}{
		"scram":                 {SCRAM(everybody), answer.SCRAM("argon2", NewSecret(password), "tls-exporter"), over, true},
		"cryptosign":            {Cryptosign(everybody), answer.Cryptosign("joe", joeKey, "tls-exporter"), over, true},
		"scram, unbound":        {SCRAM(everybody), answer.SCRAM("argon2", NewSecret(password), ""), over, false},
		"cryptosign, unbound":   {Cryptosign(everybody), answer.Cryptosign("joe", joeKey, ""), over, false},
		"cryptosign, no such":   {Cryptosign(everybody), answer.Cryptosign("joe", joeKey, "tls-unique"), over, false},
		"scram without TLS":     {SCRAM(everybody), answer.SCRAM("argon2", NewSecret(password), "tls-exporter"), plain(), false},
		"what has none":         {AutobahnSCRAM(everybody), answer.AutobahnSCRAM("autobahn", NewSecret(password)), over, false},
		"what knows no binding": {Ticket(everybody), answer.Ticket("ticket", NewSecret(password)), over, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := attempt(t, RequireChannelBinding(c.a), c.by, c.over, nil)
			if c.in {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if text := refusedWith(t, err, wamp.ErrAuthenticationFailed); text != bindingRequired.Text {
				t.Errorf("refused with %q", text)
			}
		})
	}
}

// SCRAM takes authids as SASLprep has them: a soft hyphen is nothing, a Roman numeral
// is its letters (RFC 4013, section 3).
func TestSCRAMPreparesAuthIDs(t *testing.T) {
	credential := must(DeriveSCRAM(NewSecret(password), pbkdf))
	everybody := must(NewStatic([]Principal{{AuthID: "IX", Roles: []string{"user"}, SCRAM: credential}}))
	for _, authID := range []string{"IX", "I\u00adX", "\u2168"} {
		identity, err := attempt(t, SCRAM(everybody), answer.SCRAM(authID, NewSecret(password), ""), plain(), nil)
		if err != nil || identity.AuthID != "IX" {
			t.Errorf("%q: %+v, %v", authID, identity, err)
		}
	}
	hello := func(authID string) *router.Handshake {
		return &router.Handshake{Connection: plain().server, Hello: &wamp.Hello{Details: wamp.HelloDetails{
			AuthID: authID, AuthExtra: map[string]any{"nonce": "AAAA"}}}}
	}
	for _, authID := range []string{"a\u0007", "\u00ad", "\u0627\u0031"} {
		_, err := SCRAM(everybody).Authenticate(t.Context(), hello(authID))
		if text := refusedWith(t, err, wamp.ErrAuthenticationFailed); text != badAuthID.Text {
			t.Errorf("%q: %q", authID, text)
		}
	}
	for _, authID := range []string{"\u2168", "a\u0007"} {
		if _, err := NewStatic([]Principal{{AuthID: authID, Roles: []string{"user"}, SCRAM: credential}}); err == nil {
			t.Errorf("a principal that nobody can name, %q, was taken", authID)
		}
	}
}

func TestCryptosign(t *testing.T) {
	a := Cryptosign(principals())
	for _, authID := range []string{"joe", ""} {
		identity, err := attempt(t, a, answer.Cryptosign(authID, joeKey, ""), plain(), nil)
		if err != nil || identity.AuthID != "joe" || identity.AuthRole != "user" {
			t.Errorf("authid %q: %+v, %v", authID, identity, err)
		}
	}
	for name, by := range map[string]answer.Method{
		"unknown key":    answer.Cryptosign("", evesKey, ""),
		"another's key":  answer.Cryptosign("joe", evesKey, ""),
		"another's name": answer.Cryptosign("cra", joeKey, ""),
	} {
		_, err := attempt(t, a, by, plain(), nil)
		if refusedWith(t, err, wamp.ErrAuthenticationFailed) != authenticationFailed.Text {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*wamp.Authenticate){
		"signature": func(r *wamp.Authenticate) { r.Signature = other(r.Signature[:1]) + r.Signature[1:] },
		"message":   func(r *wamp.Authenticate) { r.Signature = r.Signature[:128] + strings.Repeat("00", 32) },
		"length":    func(r *wamp.Authenticate) { r.Signature = r.Signature[:128] },
		// A signature that is right, but of something that wasn't asked for.
		"other message": func(r *wamp.Authenticate) {
			message := make([]byte, 32)
			r.Signature = hex.EncodeToString(append(ed25519.Sign(joeKey, message), message...))
		},
	} {
		_, err := attempt(t, a, answer.Cryptosign("joe", joeKey, ""), plain(), change)
		if err == nil {
			t.Errorf("a wrong %s was accepted", name)
		}
	}
	h := &router.Handshake{Hello: &wamp.Hello{Details: wamp.HelloDetails{AuthExtra: map[string]any{"pubkey": "abc"}}}, Connection: plain().server}
	if _, err := a.Authenticate(t.Context(), h); err != badPublicKey {
		t.Errorf("a public key that is none: %v", err)
	}
}

// other returns a hexadecimal digit that is not this one.
func other(digit string) string {
	if digit == "0" {
		return "1"
	}
	return "0"
}

func TestClientCertificates(t *testing.T) {
	spiffe := must(url.Parse("spiffe://example.com/joe"))
	pinned := certificate(t, x509.Certificate{Subject: pkix.Name{CommonName: "pinned"}})
	named := certificate(t, x509.Certificate{Subject: pkix.Name{CommonName: "named"}})
	alternative := certificate(t, x509.Certificate{Subject: pkix.Name{CommonName: "named"}, URIs: []*url.URL{spiffe}})
	ambiguous := certificate(t, x509.Certificate{DNSNames: []string{"one.example.com", "two.example.com"}})
	expired := certificate(t, x509.Certificate{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	sumOfExpired := sha256.Sum256(expired.Leaf.Raw)
	stranger := certificate(t, x509.Certificate{Subject: pkix.Name{CommonName: "stranger"}})
	sum := sha256.Sum256(pinned.Leaf.Raw)
	a := TLS(must(NewStatic([]Principal{
		{AuthID: "pinned", Roles: []string{"user"}, Certificates: []string{hex.EncodeToString(sum[:]), hex.EncodeToString(sumOfExpired[:])}},
		{AuthID: "named", Roles: []string{"user"}, Names: []string{"named", "one.example.com"}},
		{AuthID: "joe", Roles: []string{"user"}, Names: []string{"spiffe://example.com/joe", "two.example.com"}},
	})))
	for _, c := range []struct {
		name   string
		of     tls.Certificate
		ask    tls.ClientAuthType
		authID string
		want   string // authid, or "" for a refusal
	}{
		{"pinned", pinned, tls.RequireAnyClientCert, "", "pinned"},
		{"pinned, with authid", pinned, tls.RequireAnyClientCert, "pinned", "pinned"},
		{"pinned, as another", pinned, tls.RequireAnyClientCert, "joe", ""},
		{"common name", named, tls.RequireAndVerifyClientCert, "", "named"},
		{"common name, not verified", named, tls.RequireAnyClientCert, "", ""},
		{"URI before common name", alternative, tls.RequireAndVerifyClientCert, "", "joe"},
		{"two principals' names", ambiguous, tls.RequireAndVerifyClientCert, "", ""},
		{"expired", expired, tls.RequireAnyClientCert, "", ""},
		{"stranger", stranger, tls.RequireAndVerifyClientCert, "", ""},
		{"none", tls.Certificate{}, tls.RequestClientCert, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			over := overTLS(t, tls.VersionTLS13, c.of, c.ask)
			identity, err := attempt(t, a, answer.TLS(c.authID), over, nil)
			if c.want == "" {
				refusedWith(t, err, wamp.ErrAuthenticationFailed)
			} else if err != nil || identity.AuthID != c.want {
				t.Errorf("%+v, %v", identity, err)
			}
		})
	}
	if _, err := attempt(t, a, answer.TLS(""), plain(), nil); err != noCertificate {
		t.Errorf("without TLS: %v", err)
	}
}

func TestCookie(t *testing.T) {
	const value = "0123456789abcdef0123456789abcdef"
	a := Cookie("session", []string{"https://example.com"}, must(NewStatic([]Principal{
		{AuthID: "joe", Roles: []string{"user"}, Cookies: []Secret{NewSecret(value)}},
	})))
	for _, c := range []struct {
		name, header, origin string
		ok                   bool
	}{
		{"page", "theme=dark; session=" + value, "https://example.com", true},
		{"no browser", "session=" + value, "", true},
		{"other page", "session=" + value, "https://example.org", false},
		{"wrong value", "session=" + value + "0", "https://example.com", false},
		{"other cookie", "theme=" + value, "https://example.com", false},
		{"none", "", "https://example.com", false},
		{"twice the same", "session=" + value + "; session=" + value, "https://example.com", true},
		{"one more, set by another host", "session=fedcba9876543210; session=" + value, "https://example.com", false},
		{"one more, behind", "session=" + value + "; session=fedcba9876543210", "https://example.com", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			info := &transport.Info{Transport: "websocket", Header: http.Header{}, Origin: c.origin}
			if c.header != "" {
				info.Header.Set("Cookie", c.header)
			}
			identity, err := attempt(t, a, answer.Cookie(), link{info, info}, nil)
			if !c.ok {
				refusedWith(t, err, wamp.ErrAuthenticationFailed)
			} else if err != nil || identity.AuthID != "joe" {
				t.Errorf("%+v, %v", identity, err)
			}
		})
	}
	if _, err := attempt(t, a, answer.Cookie(), plain(), nil); err != noCookie {
		t.Errorf("without HTTP: %v", err)
	}
}

func TestPrincipalsThatMakeNoSense(t *testing.T) {
	roles, key := []string{"user"}, joeKey.Public().(ed25519.PublicKey)
	weak := argon
	weak.Iterations = 1
	for name, list := range map[string][]Principal{
		"no authid":      {{Roles: roles}},
		"no role":        {{AuthID: "a"}},
		"twice":          {{AuthID: "a", Roles: roles}, {AuthID: "a", Roles: roles}},
		"shared key":     {{AuthID: "a", Roles: roles, Keys: []ed25519.PublicKey{key}}, {AuthID: "b", Roles: roles, Keys: []ed25519.PublicKey{key}}},
		"short key":      {{AuthID: "a", Roles: roles, Keys: []ed25519.PublicKey{key[:31]}}},
		"two tickets":    {{AuthID: "a", Roles: roles, Ticket: NewSecret("x"), TicketHash: HashTicket(NewSecret("x"))}},
		"no hash":        {{AuthID: "a", Roles: roles, TicketHash: "$2y$10$abcdefghijklmnopqrstuv"}},
		"costly hash":    {{AuthID: "a", Roles: roles, TicketHash: "$argon2id$v=19$m=4294967295,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"}},
		"no CRA secret":  {{AuthID: "a", Roles: roles, CRA: &CRACredential{}}},
		"no iterations":  {{AuthID: "a", Roles: roles, CRA: &CRACredential{Secret: NewSecret("x"), Salt: "salt"}}},
		"weak SCRAM":     {{AuthID: "a", Roles: roles, SCRAM: &SCRAMCredential{SCRAMParameters: weak, StoredKey: make([]byte, 32), ServerKey: make([]byte, 32)}}},
		"no stored key":  {{AuthID: "a", Roles: roles, SCRAM: &SCRAMCredential{SCRAMParameters: argon}}},
		"no fingerprint": {{AuthID: "a", Roles: roles, Certificates: []string{"ab:cd"}}},
		"empty name":     {{AuthID: "a", Roles: roles, Names: []string{""}}},
		"short cookie":   {{AuthID: "a", Roles: roles, Cookies: []Secret{NewSecret("short")}}},
	} {
		if _, err := NewStatic(list); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Whom a procedure doesn't know can't be told by the challenge from whom it knows, nor
// by one that changes when others log in.
func TestDynamicAuthIDsCannotBeProbed(t *testing.T) {
	credential := must(DeriveSCRAM(NewSecret(password), proof.SCRAMParameters{KDF: proof.PBKDF2, Salt: []byte("12 byte salt"), Iterations: 5000}))
	c := &callee{procedure: func(args []any) (any, error) {
		authID, _ := args[1].(string)
		switch {
		case strings.HasPrefix(authID, "nobody"):
			return nil, &wamp.Refusal{URI: wamp.ErrNoSuchPrincipal}
		case args[2].(map[string]any)["authmethod"] == "wampcra":
			return map[string]any{"role": "member", "authid": "number 5", "secret": "s", "salt": "K7f2", "iterations": 2000, "keylen": 24}, nil
		}
		return map[string]any{"role": "member", "kdf": credential.KDF, "iterations": credential.Iterations, "salt": hex.EncodeToString(credential.Salt),
			"stored-key": hex.EncodeToString(credential.StoredKey), "server-key": hex.EncodeToString(credential.ServerKey)}, nil
	}}
	principals := ProcedurePrincipals(c, "com.example.ask")
	own := PrincipalsFunc(func(_ context.Context, claim *Claim) (*Principal, error) {
		if claim.AuthID != "alice" {
			return nil, nil
		}
		return &Principal{AuthID: "alice", Roles: []string{"member"}, Provider: "shop", CRA: must(DeriveCRA(NewSecret("s"), "K7f2", 2000, 24))}, nil
	})
	for name, a := range map[string]router.Authenticator{
		"wampcra": CRA(principals), "scram": SCRAM(principals), "principals of one's own": CRA(own),
	} {
		t.Run(name, func(t *testing.T) {
			known, nobody := challengeOf(t, a, "alice"), challengeOf(t, a, "nobody")
			if shape(known, "alice") != shape(nobody, "nobody") {
				t.Errorf("alice is asked\n%s\nnobody\n%s", shape(known, "alice"), shape(nobody, "nobody"))
			}
			if nobody["salt"] == known["salt"] || nobody["salt"] != challengeOf(t, a, "nobody")["salt"] {
				t.Errorf("salts: %v, %v", known["salt"], nobody["salt"])
			}
			for range 3 * sampleSize {
				challengeOf(t, a, "alice")
			}
			if again := challengeOf(t, a, "nobody"); nobody["salt"] != again["salt"] {
				t.Errorf("the salt was %v, and after others have logged in is %v", nobody["salt"], again["salt"])
			}
		})
	}
}

// shape is a challenge without what is different in each.
func shape(extra map[string]any, authID string) string {
	extra = maps.Clone(extra)
	extra["salt"], extra["nonce"] = len(extra["salt"].(string)), ""
	if text, ok := extra["challenge"].(string); ok {
		var fields map[string]any
		if err := json.Unmarshal([]byte(text), &fields); err != nil {
			return err.Error()
		}
		delete(fields, "nonce")
		delete(fields, "timestamp")
		fields["authid"] = fields["authid"] == authID
		extra["challenge"] = fmt.Sprint(fields)
	}
	return fmt.Sprint(extra)
}

// Decoys are as often like each of the real ones as these are there, whatever one of
// them does; and they stay, though others come.
func TestDecoysAreLikeEverybody(t *testing.T) {
	d := newDecoys("dynamic")
	roles := []string{"user", "user", "user", "admin"}
	learn := func(from, to int) {
		for i := from; i < to; i++ {
			d.learn("wampcra", &Principal{AuthID: fmt.Sprint("real", i), Roles: roles[i%4 : i%4+1], CRA: &CRACredential{}})
		}
	}
	ask := func() (out []string) {
		for i := range 2000 {
			h := &router.Handshake{Hello: &wamp.Hello{Realm: "realm1"}}
			out = append(out, d.decoy(&Claim{Method: "wampcra", AuthID: fmt.Sprint("decoy", i), Handshake: h}).Roles[0])
		}
		return out
	}
	learn(0, 48)
	before := ask()
	for range 1000 {
		learn(3, 4) // an admin
	}
	after := ask()
	if !slices.Equal(before, after) {
		t.Error("who logs in again and again changes decoys")
	}
	admins := 0
	for _, role := range after {
		if role == "admin" {
			admins++
		}
	}
	if admins < 250 || admins > 900 { // a quarter of 48 samples
		t.Errorf("%d of 2000 decoys are like the fourth part of the principals", admins)
	}
	learn(48, 52)
	changed := 0
	for i, role := range ask() {
		if role != after[i] {
			changed++
		}
	}
	if changed > 300 {
		t.Errorf("with four principals more, %d of 2000 decoys are others", changed)
	}
	learn(52, 5000)
	if n := len(d.samples["wampcra"]); n != sampleSize {
		t.Errorf("%d samples are kept", n)
	}
}
