package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSCRAMVector is the example of RFC 7677, section 3, which WAMP's
// AuthMessage is made to fit.
func TestSCRAMVector(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	parameters := SCRAMParameters{KDF: PBKDF2, Salt: salt, Iterations: 4096}
	salted, err := parameters.SaltedPassword(NewSecret("pencil"))
	if err != nil {
		t.Fatal(err)
	}
	clientKey, storedKey, serverKey := SCRAMKeys(salted)
	x := SCRAMExchange{
		AuthID: "user", ClientNonce: "rOprNGfwEbeRWgbNEkqO",
		Nonce: "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		Salt:  "W22ZaJ0SNY7soEsUEjb6gQ==", Iterations: 4096,
	}
	message := x.AuthMessage()
	clientProof := ClientProof(clientKey, storedKey, message)
	if got := base64.StdEncoding.EncodeToString(clientProof); got != "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=" {
		t.Errorf("client proof %s", got)
	}
	if got := base64.StdEncoding.EncodeToString(ServerSignature(serverKey, message)); got != "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("server signature %s", got)
	}
	if !CheckClientProof(storedKey, clientProof, message) {
		t.Error("the proof isn't accepted")
	}
	for i := range clientProof {
		clientProof[i] ^= 1
		if CheckClientProof(storedKey, clientProof, message) {
			t.Errorf("a proof that is wrong at byte %d is accepted", i)
		}
		clientProof[i] ^= 1
	}
	if CheckClientProof(storedKey, nil, message) || CheckClientProof(storedKey, clientProof[:31], message) {
		t.Error("a short proof is accepted")
	}
}

func TestAuthMessageEscapesAndBinds(t *testing.T) {
	x := SCRAMExchange{AuthID: "a=b,c", ClientNonce: "AA==", Nonce: "AA==BB==", Salt: "U0FMVA==", Iterations: 5,
		Binding: "tls-unique", BindingData: []byte("data")}
	// c is the base64 of "p=tls-unique,,data".
	const want = "n=a=3Db=2Cc,r=AA==,r=AA==BB==,s=U0FMVA==,i=5,c=cD10bHMtdW5pcXVlLCxkYXRh,r=AA==BB=="
	if got := x.AuthMessage(); got != want {
		t.Errorf("got %s", got)
	}
	x = SCRAMExchange{AuthID: "joe", ClientNonce: "AA==", Nonce: "BB==", Salt: "CC==", Iterations: 6, Autobahn: true}
	if got := x.AuthMessage(); got != "n=joe,r=AA==,r=BB==,s=CC==,i=6,c=,r=BB==" {
		t.Errorf("got %s", got)
	}
}

// TestArgon2 takes its hash from Autobahn's own tests, which have it from the
// argon2 command line tool: 32 iterations, 512 KiB.
func TestArgon2(t *testing.T) {
	const hash = "ee4a8acf9d5958354fb79a95ae20692d05e42591ba49fae85eb6700e8b0ed293"
	parameters := SCRAMParameters{KDF: Argon2id, Salt: []byte("1234567890abcdef"), Iterations: 32, Memory: 512}
	salted, err := parameters.SaltedPassword(NewSecret("p4ssw0rd"))
	if err != nil || hex.EncodeToString([]byte(salted.Reveal())) != hash {
		t.Errorf("%x, %v", salted.Reveal(), err)
	}
	parameters.KDF = Argon2idText
	text, err := parameters.SaltedPassword(NewSecret("p4ssw0rd"))
	if err != nil || text.Reveal() != base64.RawStdEncoding.EncodeToString([]byte(salted.Reveal())) {
		t.Errorf("%q, %v", text.Reveal(), err)
	}
}

func TestPasswordsAreNormalized(t *testing.T) {
	parameters := SCRAMParameters{KDF: PBKDF2, Salt: []byte("saltsalt"), Iterations: 4096}
	// RFC 4013, section 3: a soft hyphen maps to nothing, a Roman numeral to letters.
	a, err1 := parameters.SaltedPassword(NewSecret("I\u00adX"))
	b, err2 := parameters.SaltedPassword(NewSecret("\u2168"))
	c, err3 := parameters.SaltedPassword(NewSecret("IX"))
	if err1 != nil || err2 != nil || err3 != nil || a.Reveal() != c.Reveal() || b.Reveal() != c.Reveal() {
		t.Error("SASLprep was not applied", err1, err2, err3)
	}
	if _, err := parameters.SaltedPassword(NewSecret("bell\u0007")); err == nil || strings.Contains(err.Error(), "bell") {
		t.Errorf("a control character: %v", err)
	}
}

func TestSCRAMParametersAreBounded(t *testing.T) {
	salt := []byte("saltsalt")
	for _, p := range []SCRAMParameters{
		{KDF: PBKDF2, Salt: salt, Iterations: 4095},
		{KDF: PBKDF2, Salt: salt, Iterations: MaxPBKDF2Iterations + 1},
		{KDF: PBKDF2, Salt: salt[:7], Iterations: 4096},
		{KDF: Argon2id, Salt: salt, Iterations: 1, Memory: 8},
		{KDF: Argon2id, Salt: salt, Iterations: 1, Memory: 1 << 30},
		{KDF: Argon2id, Salt: salt, Iterations: 1 << 30, Memory: 1 << 10},
		{KDF: Argon2id, Salt: salt, Iterations: 4096},
		{KDF: Argon2id, Salt: salt, Iterations: -1, Memory: -1},
		{KDF: "scrypt", Salt: salt, Iterations: 4096, Memory: 1024},
	} {
		if _, err := p.SaltedPassword(NewSecret("x")); err == nil {
			t.Errorf("%+v was computed", p)
		}
	}
}

// TestCRAVectors are those of Autobahn's tests.
func TestCRAVectors(t *testing.T) {
	key, err := DeriveCRA(NewSecret("L3L1YUE8Txlw"), "salt123", 1000, 32)
	if err != nil || key.Reveal() != "qzcdsr9uu/L5hnss3kjNTRe490ETgA70ZBaB5rvnJ5Y=" {
		t.Errorf("derived %s, %v", key.Reveal(), err)
	}
	if got := CRASignature(NewSecret("L3L1YUE8Txlw"), "[1, 2, 3]"); got != "1njQtmmeYO41N5EWEzD2kAjjEKRZ5kPZt/TzpYXOzR0=" {
		t.Errorf("signed %s", got)
	}
	for _, bad := range [][2]int{{99, 32}, {MaxPBKDF2Iterations + 1, 32}, {1000, 15}, {1000, 1 << 20}, {-1, -1}} {
		if _, err := DeriveCRA(NewSecret("x"), "salt", bad[0], bad[1]); err == nil {
			t.Errorf("%v was computed", bad)
		}
	}
}

// TestCryptosignVectors are those of WAMP, "Cryptosign-based Authentication".
func TestCryptosignVectors(t *testing.T) {
	const channel = "62e935ae755f3d48f80d4d59f6121358c435722a67e859cc0caa8b539027f2ff"
	for _, c := range []struct{ channelID, seed, challenge, want string }{
		{"", "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510", strings.Repeat("ff", 32),
			"b32675b221f08593213737bef8240e7c15228b07028e19595294678c90d11c0cae80a357331bfc5cc9fb71081464e6e75013517c2cf067ad566a6b7b728e5d03ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"},
		{"", "d511fe78e23934b3dadb52fcd022974b80bd92bccc7c5cf404e46cc0a8a2f5cd", "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
			"d4209ad10d5aff6bfbc009d7e924795de138a63515efc7afc6b01b7fe5201372190374886a70207b042294af5bd64ce725cd8dceb344e6d11c09d1aaaf4d660fb26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d"},
		{channel, "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510", strings.Repeat("ff", 32),
			"9b6f41540c9b95b4b7b281c3042fa9c54cef43c842d62ea3fd6030fcb66e70b3e80d49d44c29d1635da9348d02ec93f3ed1ef227dfb59a07b580095c2b82f80f9d16ca518aa0c2b707f2b2a609edeca73bca8dd59817a633f35574ac6fd80d00"},
		{channel, "6e1fde9cf9e2359a87420b65a87dc0c66136e66945196ba2475990d8a0c3a25b", "b05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
			"ee3c7644fd8070532bc1fde3d70d742267da545d8c8f03e63bda63f1ad4214f4d2c4bfdb4eb9526def42deeb7e31602a6ff99eba893e0a4ad4d45892ca75e608d2b75e24a189a7f78ca776ba36fc53f6c3e31c32f251f2c524f0a44202f2902d"},
	} {
		seed, _ := hex.DecodeString(c.seed)
		challenge, _ := hex.DecodeString(c.challenge)
		var channelID []byte
		if c.channelID != "" {
			channelID, _ = hex.DecodeString(c.channelID)
		}
		message := CryptosignMessage(challenge, channelID)
		got := hex.EncodeToString(append(ed25519.Sign(ed25519.NewKeyFromSeed(seed), message), message...))
		if got != c.want {
			t.Errorf("channel %q, challenge %s: %s", c.channelID, c.challenge, got)
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	const text = "hunter2-and-more"
	s := NewSecret(text)
	type config struct {
		Shown  Secret
		hidden Secret
		List   []Secret
		Map    map[string]Secret
	}
	c := config{s, s, []Secret{s}, map[string]Secret{"k": s}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+"\n", &c)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "config", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "config", c)
	all := out.String() + string(encoded) + log.String()
	for _, trace := range []string{text, hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text))), "104 117 110"} {
		if strings.Contains(all, trace) {
			t.Errorf("%q shows in %s", trace, all)
		}
	}
	if !strings.Contains(all, redacted) {
		t.Error("nothing was printed at all")
	}
	_ = c.hidden
}

func TestSecretEqual(t *testing.T) {
	s := NewSecret("hunter2")
	if !s.Equal("hunter2") || s.Equal("hunter") || s.Equal("hunter22") || s.Equal("") || (Secret{}).Equal("") || NewSecret("").Equal("") {
		t.Error("secrets compare wrongly")
	}
}

func TestSecretSources(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{"abc": "abc", "abc\n": "abc", "abc\r\n": "abc", "abc\n\n": "abc\n", " abc ": " abc "} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := SecretFromFile(name); err != nil || s.Reveal() != want {
			t.Errorf("file %q: %q, %v", content, s.Reveal(), err)
		}
	}
	for _, content := range []string{"", "\n", strings.Repeat("x", 64<<10+1)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := SecretFromFile(name); err == nil {
			t.Errorf("a file of %d bytes was taken", len(content))
		}
	}
	if _, err := SecretFromFile(name + ".missing"); err == nil {
		t.Error("a file that isn't there was taken")
	}
	t.Setenv("BLINDFOLD_TEST_SECRET", "abc")
	if s, err := SecretFromEnv("BLINDFOLD_TEST_SECRET"); err != nil || s.Reveal() != "abc" {
		t.Errorf("environment: %v", err)
	}
	if _, err := SecretFromEnv("BLINDFOLD_TEST_SECRET_MISSING"); err == nil {
		t.Error("a variable that isn't set was taken")
	}
}
