package answer

import (
	"crypto/ed25519"
	"maps"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// TestChallengesThatNoHonestRouterSends must be refused, without a signature.
func TestChallengesThatNoHonestRouterSends(t *testing.T) {
	password := proof.NewSecret("pencil")
	good := map[string]any{"nonce": "", "salt": "W22ZaJ0SNY7soEsUEjb6gQ==", "kdf": "pbkdf2", "iterations": int64(4096), "memory": nil}
	salted := map[string]any{"challenge": "{}", "salt": "salt123", "iterations": int64(1000), "keylen": int64(32)}
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	with := func(base map[string]any, key string, value any) map[string]any {
		m := maps.Clone(base)
		m[key] = value
		return m
	}
	for name, c := range map[string]struct {
		by    Method
		extra map[string]any
	}{
		"scram: empty":            {SCRAM("user", password, ""), nil},
		"scram: few iterations":   {SCRAM("user", password, ""), with(good, "iterations", int64(1))},
		"scram: many iterations":  {SCRAM("user", password, ""), with(good, "iterations", int64(1<<31-1))},
		"scram: negative":         {SCRAM("user", password, ""), with(good, "iterations", int64(-4096))},
		"scram: fraction":         {SCRAM("user", password, ""), with(good, "iterations", 4096.5)},
		"scram: huge memory":      {SCRAM("user", password, ""), with(with(good, "kdf", "argon2id13"), "memory", int64(1<<31-1))},
		"scram: unknown kdf":      {SCRAM("user", password, ""), with(good, "kdf", "md5")},
		"scram: Autobahn's kdf":   {SCRAM("user", password, ""), with(with(good, "kdf", "argon2id-13"), "memory", int64(512))},
		"scram: no salt":          {SCRAM("user", password, ""), with(good, "salt", "")},
		"scram: salt not base64":  {SCRAM("user", password, ""), with(good, "salt", "???")},
		"scram: another's nonce":  {SCRAM("user", password, ""), with(good, "nonce", "egVDf3DMJh0=SBmkFIh7sSo=")},
		"scram: only our nonce":   {SCRAM("user", password, ""), with(good, "nonce", " ")},
		"scram: no binding":       {SCRAM("user", password, "tls-exporter"), good},
		"cra: empty":              {CRA("user", password), nil},
		"cra: few iterations":     {CRA("user", password), with(salted, "iterations", int64(1))},
		"cra: short key":          {CRA("user", password), with(salted, "keylen", int64(1))},
		"cra: salt is a number":   {CRA("user", password), with(salted, "salt", int64(1))},
		"cryptosign: empty":       {Cryptosign("", key, ""), nil},
		"cryptosign: short":       {Cryptosign("", key, ""), map[string]any{"challenge": "ff"}},
		"cryptosign: binding":     {Cryptosign("", key, ""), map[string]any{"challenge": strings.Repeat("ff", 32), "channel_binding": "tls-unique"}},
		"cryptosign: no binding":  {Cryptosign("", key, "tls-unique"), map[string]any{"challenge": strings.Repeat("ff", 32)}},
		"cryptosign: without TLS": {Cryptosign("", key, "tls-unique"), map[string]any{"challenge": strings.Repeat("ff", 32), "channel_binding": "tls-unique"}},
		"tls: any":                {TLS(""), nil},
		"anonymous: any":          {Anonymous(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var hello wamp.HelloDetails
			answer := c.by.Start(&hello)
			ours, _ := hello.AuthExtra["nonce"].(string)
			extra := maps.Clone(c.extra)
			switch extra["nonce"] {
			case "":
				extra["nonce"] = ours + "SBmkFIh7sSo="
			case " ":
				extra["nonce"] = ours
			}
			signature, _, err := answer.Respond(t.Context(), &wamp.Challenge{AuthMethod: c.by.Method(), Extra: extra}, &transport.Info{})
			if err == nil || signature != "" {
				t.Errorf("answered %q, %v", signature, err)
			}
		})
	}
	// What they are variations of is answered.
	by := SCRAM("user", password, "")
	var hello wamp.HelloDetails
	answer := by.Start(&hello)
	challenge := &wamp.Challenge{AuthMethod: by.Method(), Extra: with(good, "nonce", hello.AuthExtra["nonce"].(string)+"SBmkFIh7sSo=")}
	if _, _, err := answer.Respond(t.Context(), challenge, &transport.Info{}); err != nil {
		t.Error(err)
	}
	if _, _, err := CRA("user", password).Start(&hello).Respond(t.Context(), &wamp.Challenge{Extra: salted}, &transport.Info{}); err != nil {
		t.Error(err)
	}
}

func TestHelloKeepsWhatIsThere(t *testing.T) {
	mine := map[string]any{"app": "x"}
	d := wamp.HelloDetails{AuthExtra: mine}
	by := SCRAM("user", proof.NewSecret("pencil"), "")
	by.Start(&d)
	first := d.AuthExtra["nonce"]
	if d.AuthID != "user" || d.AuthExtra["app"] != "x" || first == nil || len(mine) != 1 {
		t.Errorf("%+v, %v", d, mine)
	}
	by.Start(&d)
	if d.AuthExtra["nonce"] == first {
		t.Error("the nonce comes twice")
	}
}
