package cryptobox

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/wamp"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew; then check it with check_vectors.py")

const vectorsFile = "testdata/vectors.json"

// vector is one payload and what becomes of it. Keys, nonce, plaintext and
// payload are base64; binaries among the values have WAMP's JSON convention.
type vector struct {
	Name       string            `json:"name"`
	Form       string            `json:"form"`
	Prefix     wamp.URI          `json:"prefix"`
	Originator string            `json:"originator"` // private key
	Responder  string            `json:"responder"`  // private key
	ByOrig     bool              `json:"sealed_by_originator"`
	URI        wamp.URI          `json:"uri"`
	Args       json.RawMessage   `json:"args"`
	Kwargs     json.RawMessage   `json:"kwargs"`
	Attributes map[string]string `json:"attributes"`
	Nonce      []byte            `json:"nonce,omitempty"`
	Plaintext  []byte            `json:"plaintext,omitempty"`
	Payload    []byte            `json:"payload"`
	OpenURI    wamp.URI          `json:"open_uri,omitempty"`  // where it is not URI
	OpenWith   string            `json:"open_with,omitempty"` // private key, where it is not the right one
	Error      wamp.URI          `json:"error,omitempty"`     // the failure to expect
}

type scrambledVector struct {
	Key       string   `json:"key"`
	URI       wamp.URI `json:"uri"`
	Match     string   `json:"match"`
	Scrambled wamp.URI `json:"scrambled"`
}

type vectors struct {
	Comment   string            `json:"comment"`
	Sealed    []vector          `json:"sealed"`
	Scrambled []scrambledVector `json:"scrambled"`
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	text, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// key returns what that side holds.
func (v *vector) key(t testing.TB, originator bool, private string) *Key {
	t.Helper()
	parse := func(text string) PrivateKey {
		k, err := ParsePrivateKey(text)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if originator {
		return mustKey(t, Half{Private: parse(private)}, Half{Public: parse(v.Responder).Public()})
	}
	return mustKey(t, Half{Public: parse(v.Originator).Public()}, Half{Private: parse(private)})
}

func (v *vector) private(originator bool) string {
	if originator {
		return v.Originator
	}
	return v.Responder
}

func (v *vector) sealer(ring *KeyRing) anySealer {
	if v.Form == "passthru" {
		return &Passthru{Keys: ring}
	}
	return &Box{Keys: ring}
}

func (v *vector) values(t testing.TB) content {
	t.Helper()
	var c content
	if err := c.unmarshalJSON([]byte(`{"args":` + string(v.Args) + `,"kwargs":` + string(v.Kwargs) + `}`)); err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return c
}

func (v *vector) attrs() wamp.Attributes {
	return wamp.Attributes{
		EncAlgo: v.Attributes["enc_algo"], EncSerializer: v.Attributes["enc_serializer"],
		PPTScheme: v.Attributes["ppt_scheme"], PPTSerializer: v.Attributes["ppt_serializer"],
		PPTCipher: v.Attributes["ppt_cipher"], PPTKeyID: v.Attributes["ppt_keyid"],
	}
}

func (v *vector) setAttrs(a wamp.Attributes) {
	if v.Form == "passthru" {
		v.Attributes = map[string]string{"ppt_scheme": a.PPTScheme, "ppt_serializer": a.PPTSerializer, "ppt_cipher": a.PPTCipher, "ppt_keyid": a.PPTKeyID}
		return
	}
	v.Attributes = map[string]string{"enc_algo": a.EncAlgo, "enc_serializer": a.EncSerializer}
}

// checkOpens opens the vector, and expects what it says.
func (v *vector) checkOpens(t *testing.T) {
	t.Helper()
	opener := !v.ByOrig
	private, uri, attrs := v.private(opener), v.URI, v.attrs()
	if v.OpenWith != "" {
		private = v.OpenWith
	}
	if v.OpenURI != "" {
		uri = v.OpenURI
	}
	s := v.sealer(ringOf(t, v.Prefix, v.key(t, opener, private)))
	args, kwargs, err := s.Open(&wamp.Subject{URI: uri, Originator: opener}, &attrs, v.Payload)
	if v.Error != "" {
		var e *Error
		if !errors.As(err, &e) || e.URI != v.Error {
			t.Errorf("%s: %v, want %s", v.Name, err, v.Error)
		}
		return
	}
	want := v.values(t)
	if err != nil || !reflect.DeepEqual(args, want.args) || !reflect.DeepEqual(kwargs, want.kwargs) {
		t.Errorf("%s: opened to %#v %#v, %v", v.Name, args, kwargs, err)
	}
}

// reseal makes the vector's plaintext and payload anew, with its own nonce.
func (v *vector) reseal(t testing.TB) (plaintext, payload []byte) {
	t.Helper()
	c := v.values(t)
	uri := string(v.URI)
	c.uri = &uri
	marshal := c.marshalJSON
	if v.Form == "passthru" {
		marshal = c.marshalCBOR
	}
	plaintext, err := marshal()
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return plaintext, seal(v.key(t, v.ByOrig, v.private(v.ByOrig)).side(v.ByOrig), [nonceSize]byte(v.Nonce), plaintext)
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	vs := readVectors(t)
	failures := map[wamp.URI]bool{}
	for _, v := range vs.Sealed {
		v.checkOpens(t)
		failures[v.Error] = true
		if v.Error != "" {
			continue
		}
		plaintext, payload := v.reseal(t)
		if !bytes.Equal(plaintext, v.Plaintext) {
			t.Errorf("%s: plaintext %q", v.Name, plaintext)
		}
		if !bytes.Equal(payload, v.Payload) {
			t.Errorf("%s: another payload", v.Name)
		}
	}
	for _, want := range []wamp.URI{"", wamp.ErrNoPayloadCodec, wamp.ErrDecryptError, wamp.ErrTrustedURIMismatch} {
		if !failures[want] {
			t.Errorf("no vector ends with %q", want)
		}
	}
	for _, v := range vs.Scrambled {
		key, err := ParseScrambleKey(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		s := new(Scrambler)
		if err := s.Set("", key); err != nil {
			t.Fatal(err)
		}
		match, _ := wamp.ParseMatch(v.Match)
		if got, err := s.Scramble(v.URI, match); err != nil || got != v.Scrambled {
			t.Errorf("%s: %s, %v", v.URI, got, err)
		}
	}
}

// TestVectorsWithAutobahn has Autobahn|Python check the vectors, open what is
// sealed here, and seal what is opened here.
func TestVectorsWithAutobahn(t *testing.T) {
	python := testenv.Python()
	probe := exec.Command(python, "-c", "import cbor2, nacl, autobahn.wamp.cryptobox as c; assert c.HAS_CRYPTOBOX")
	if out, err := probe.CombinedOutput(); err != nil {
		testenv.SkipMissing(t, "Autobahn|Python is not installed: apt-get install python3-autobahn python3-nacl python3-trie python3-cbor2\n"+string(out))
	}
	var fresh []vector
	for _, v := range readVectors(t).Sealed {
		if v.Error != "" {
			continue
		}
		c := v.values(t)
		s := v.sealer(ringOf(t, v.Prefix, v.key(t, v.ByOrig, v.private(v.ByOrig))))
		attrs, payload, sealed, err := s.Seal(&wamp.Subject{URI: v.URI, Originator: v.ByOrig}, c.args, c.kwargs)
		if err != nil || !sealed {
			t.Fatalf("%s: sealed %t, %v", v.Name, sealed, err)
		}
		v.Payload, v.Nonce, v.Plaintext = payload, nil, nil
		v.setAttrs(attrs)
		fresh = append(fresh, v)
	}
	input, err := json.Marshal(fresh)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/check_vectors.py", vectorsFile)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var theirs []vector
	if err := json.Unmarshal(output, &theirs); err != nil {
		t.Fatal(err)
	}
	if len(theirs) != len(fresh) {
		t.Errorf("%d payloads sealed by Autobahn, want %d", len(theirs), len(fresh))
	}
	for _, v := range theirs {
		v.checkOpens(t)
	}
}

// writeVectors makes the file from this table. Keys and nonces are hashes of
// their names: nothing up the sleeve.
func writeVectors(t *testing.T) {
	secretOf := func(name string) string {
		sum := sha256.Sum256([]byte("blindfold vector " + name))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	values := []struct {
		name         string
		uri          wamp.URI
		args, kwargs string
	}{
		{"empty lists", "com.app.x", `[]`, `{}`},
		{"one text", "com.app.x", `["hello"]`, `{}`},
		{"integers", "com.app.x", `[0,-1,9007199254740993,-9223372036854775808,18446744073709551615]`, `{}`},
		{"floats", "com.app.x", `[1.0,-0.0,0.1,1e+16,1e-05,123456789012345.0,5e-324]`, `{}`},
		{"constants", "com.app.x", `[null,true,false]`, `{"none":null}`},
		{"texts", "com.app.x", `["","\u00fcn\u00ef \u20ac \ud834\udd1e","<&>\u2028","\"\\\/\b\f\n\r\t\u0001\u001f\u007f","a\u0000b"]`, `{"\u20ac":1}`},
		{"binaries", "com.app.x", `["\u0000","\u0000AP8=",["\u0000AQID"]]`, `{"b":"\u0000/+8="}`},
		{"nested", "com.app.x", `[[[]],{"a":{"b":[1,{}]}}]`, `{"a":1,"aa":2,"b":[3]}`},
		{"URI beyond ASCII", "com.app.b\u00fccher", `[1]`, `{}`},
	}
	type failure struct {
		name   string
		change func(*vector)
	}
	failures := []failure{
		{"wrong private key", func(v *vector) { v.OpenWith, v.Error = secretOf("stranger"), wamp.ErrDecryptError }},
		{"flipped bit in the nonce", func(v *vector) { v.Payload[0] ^= 1; v.Error = wamp.ErrDecryptError }},
		{"flipped bit in the authenticator", func(v *vector) { v.Payload[nonceSize] ^= 0x80; v.Error = wamp.ErrDecryptError }},
		{"flipped bit in the ciphertext", func(v *vector) { v.Payload[len(v.Payload)-1] ^= 1; v.Error = wamp.ErrDecryptError }},
		{"short payload", func(v *vector) { v.Payload = v.Payload[:Overhead-1]; v.Error = wamp.ErrDecryptError }},
		{"empty payload", func(v *vector) { v.Payload = []byte{}; v.Error = wamp.ErrDecryptError }},
		{"URI mismatch", func(v *vector) { v.OpenURI, v.Error = "com.app.y", wamp.ErrTrustedURIMismatch }},
		{"no key for the URI", func(v *vector) { v.OpenURI, v.Error = "com.other", wamp.ErrNoPayloadCodec }},
	}
	out := vectors{Comment: "Sealed payloads and scrambled URIs. Made by go test -run TestVectors -update; " +
		"checked by TestVectors, and by check_vectors.py with Autobahn|Python and PyNaCl. " +
		"Keys (private), nonces, plaintexts and payloads are base64; in args and kwargs a string that begins with U+0000 is a binary."}
	for _, form := range []string{"transparency", "passthru"} {
		add := func(name string, byOriginator bool, uri wamp.URI, args, kwargs string) *vector {
			nonce := sha256.Sum256([]byte("nonce " + form + name))
			v := vector{
				Name: form + ": " + name, Form: form, Prefix: "com.app.", Originator: secretOf("originator"), Responder: secretOf("responder"),
				ByOrig: byOriginator, URI: uri, Args: json.RawMessage(args), Kwargs: json.RawMessage(kwargs), Nonce: nonce[:nonceSize],
			}
			v.Plaintext, v.Payload = v.reseal(t)
			attrs := boxAttributes
			if form == "passthru" {
				attrs = passthruAttributes
				attrs.PPTKeyID = v.key(t, byOriginator, v.private(byOriginator)).receiver(!byOriginator).KeyID()
			}
			v.setAttrs(attrs)
			out.Sealed = append(out.Sealed, v)
			return &out.Sealed[len(out.Sealed)-1]
		}
		for _, c := range values {
			add(c.name, true, c.uri, c.args, c.kwargs)
		}
		if form == "transparency" {
			add("no args, no kwargs", true, "com.app.x", `null`, `null`)
		}
		add("by the responder", false, "com.app.x", `["result"]`, `{}`)
		for _, f := range failures {
			v := add(f.name, true, "com.app.x", `["hello"]`, `{}`)
			v.Plaintext = nil
			f.change(v)
			if form == "passthru" && v.OpenWith != "" {
				v.Error = wamp.ErrNoPayloadCodec // its keyid names another key
			}
		}
		v := add("the originator's own payload, by a stranger", false, "com.app.x", `["hello"]`, `{}`)
		v.Plaintext, v.OpenWith, v.Error = nil, secretOf("stranger"), wamp.ErrDecryptError
		if form == "passthru" {
			v.Error = wamp.ErrNoPayloadCodec
		}
	}
	key, err := ParseScrambleKey(secretOf("scramble"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []scrambledVector{
		{URI: "com.app.x", Match: "exact"}, {URI: "x.com.app", Match: "exact"}, {URI: "com.app.b\u00fccher", Match: "exact"},
		{URI: "com.app", Match: "prefix"}, {URI: "com.app.", Match: "prefix"}, {URI: "com..x", Match: "wildcard"}, {URI: "..", Match: "wildcard"},
	} {
		c.Key, c.Scrambled = secretOf("scramble"), scramble(key, c.URI)
		out.Scrambled = append(out.Scrambled, c)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(out); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorsFile, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
