package scope

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

var update = flag.Bool("update", false, "write testdata/scopes anew")

// The files of vectors. docs/sealed-scopes.md, "Vectors", describes them.
type vectors struct {
	Identities []vectorIdentity `json:"identities"`
	Lines      []vectorLine     `json:"lines"`
	Scope      vectorScope      `json:"scope"`
	Bundles    []vectorBundle   `json:"bundles"`
	Accepting  []vectorAccept   `json:"accepting"`
	Sealing    []vectorSeal     `json:"sealing"`
	Opening    []vectorOpen     `json:"opening"`
	States     []vectorState    `json:"states"`
}

type vectorIdentity struct {
	Name      string `json:"name"`
	Seed      string `json:"seed"`
	Age       string `json:"age"`
	Recipient string `json:"recipient"`
	Key       string `json:"key"`
	Line      string `json:"line"`
	Digits    string `json:"digits"`
}

type vectorLine struct {
	Name string `json:"name"`
	Line string `json:"line"` // that is to be refused
}

type vectorScope struct {
	Owner  string `json:"owner"`
	Realm  string `json:"realm"`
	Prefix string `json:"prefix"`
	ID     string `json:"id"`
	Topic  string `json:"topic"`
}

type vectorBundle struct {
	Name     string `json:"name"`
	Bundle   string `json:"bundle"`
	Manifest string `json:"manifest,omitempty"`
	EpochID  string `json:"epoch_id,omitempty"`
	KeyID    string `json:"ppt_keyid,omitempty"`
}

type vectorAccept struct {
	Name   string   `json:"name"`
	As     string   `json:"as"`
	Known  []string `json:"known"` // bundles accepted before, at their not before
	Now    uint64   `json:"now"`
	Bundle string   `json:"bundle"` // by its name
	Error  string   `json:"error"`
}

type vectorSeal struct {
	Name      string         `json:"name"`
	Sender    string         `json:"sender"`
	Epoch     string         `json:"epoch"`
	Stream    string         `json:"stream"`
	Number    uint32         `json:"number"`
	Kind      uint64         `json:"kind"`
	URI       string         `json:"uri"`
	Time      uint64         `json:"time"`
	Index     uint64         `json:"index"`
	Call      string         `json:"call"`
	Args      []any          `json:"args"`
	Kwargs    map[string]any `json:"kwargs"`
	Body      string         `json:"body"`
	Leaf      string         `json:"leaf"`
	Key       string         `json:"key"`
	Plaintext string         `json:"plaintext"`
	Payload   string         `json:"payload"`
}

type vectorOpen struct {
	Name   string       `json:"name"`
	As     string       `json:"as"`
	Epochs []string     `json:"epochs"` // accepted at their not before
	Start  uint64       `json:"start"`
	Own    []vectorOwn  `json:"own"`
	Call   *vectorCall  `json:"call"` // that all steps belong to
	Steps  []vectorStep `json:"steps"`
}

type vectorOwn struct {
	Stream string `json:"stream"`
	ToSelf bool   `json:"exclude_me_false"`
}

type vectorCall struct {
	Leaf    string `json:"leaf"`
	Inputs  uint64 `json:"inputs"`
	Answers uint64 `json:"answers"`
	Peer    string `json:"peer"` // caller, or who answered; "" for none yet
}

type vectorStep struct {
	Now        uint64         `json:"now"`
	Message    string         `json:"message"` // EVENT, INVOCATION, RESULT or ERROR
	URI        string         `json:"uri"`
	Progress   bool           `json:"progress"`
	Stored     bool           `json:"stored"`
	Scheme     string         `json:"ppt_scheme"`
	Serializer string         `json:"ppt_serializer"`
	Cipher     string         `json:"ppt_cipher"`
	KeyID      string         `json:"ppt_keyid"`
	Payload    string         `json:"payload"`
	Error      string         `json:"error"`
	Sender     string         `json:"sender,omitempty"`
	Time       uint64         `json:"time,omitempty"`
	Missing    uint64         `json:"missing,omitempty"`
	First      bool           `json:"first,omitempty"`
	Late       bool           `json:"late,omitempty"`
	Args       []any          `json:"args,omitempty"`
	Kwargs     map[string]any `json:"kwargs,omitempty"`
}

type vectorState struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Error string `json:"error"`
}

var vectorFile = filepath.Join("..", "testdata", "scopes", "vectors.json")

// TestVectorsAreWhatTheGeneratorMakes makes the vectors anew, from fixed
// randomness, and compares; with -update it writes them.
func TestVectorsAreWhatTheGeneratorMakes(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 16)
	made := encodeJSON(makeVectors(t))
	if *update {
		if err := os.MkdirAll(filepath.Dir(vectorFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, want) {
		t.Error("the vectors have changed; go test ./scope -run TestVectors -update writes them")
	}
}

const t0 = 1_800_000_000_000 // the not before of epoch 1

// world is what the generator makes vectors of.
type world struct {
	t       testing.TB
	v       *vectors
	ids     map[string]*Identity
	epochs  map[string]*epoch // by bundle name
	bundles map[string][]byte
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) identity(name string) {
	id, err := NewIdentity(name, false)
	w.check(err)
	w.ids[name] = id
	w.v.Identities = append(w.v.Identities, vectorIdentity{name, hex.EncodeToString(id.keys().private.Seed()), id.keys().age, id.Recipient,
		hex.EncodeToString(id.Key), id.Public.String(), id.Digits()})
}

// bundle makes a bundle of owner for the named members.
func (w *world) bundle(name string, m *Manifest, owner string, members ...Member) {
	var recipients []string
	m.Members = members
	for i := range members {
		id := w.ids[members[i].Name]
		members[i].Key = id.Key
		recipients = append(recipients, id.Recipient)
	}
	m.inner().secret = sha256.Sum256([]byte("secret of " + name))
	if m.Owner == nil {
		m.Owner = w.ids[owner].Key
	}
	data, err := sealBundle(m, w.ids[owner], recipients)
	w.check(err)
	m.inner().raw = m.encode()
	w.keep(name, m, data)
}

func (w *world) keep(name string, m *Manifest, data []byte) {
	e := newEpoch(m, w.ids["alice"])
	w.epochs[name], w.bundles[name] = e, data
	w.v.Bundles = append(w.v.Bundles, vectorBundle{name, hex.EncodeToString(data), hex.EncodeToString(m.encode()), hex.EncodeToString(e.id[:]), e.keyID})
}

// raw adds a bundle that no epoch belongs to.
func (w *world) raw(name string, data []byte) {
	w.bundles[name] = data
	w.v.Bundles = append(w.v.Bundles, vectorBundle{Name: name, Bundle: hex.EncodeToString(data)})
}

const (
	realm  = wamp.URI("realm1")
	prefix = wamp.URI("com.app.")
	topic  = wamp.URI("com.app.topic")
	proc   = wamp.URI("com.app.proc")
)

func manifest(n uint64, previous []byte, notBefore uint64) *Manifest {
	return &Manifest{inner: hide(new(manifestSecret)), Realm: realm, Prefix: prefix, Epoch: n, Previous: previous,
		NotBefore: fromMillis(notBefore), NotAfter: fromMillis(notBefore + 86_400_000), Grace: 60 * time.Second}
}

const (
	t1 = t0 + 3_600_000 // epoch 2, without mallory
	t2 = t1 + 3_600_000 // epoch 3
)

func makeVectors(t testing.TB) *vectors {
	w := &world{t: t, v: new(vectors), ids: map[string]*Identity{}, epochs: map[string]*epoch{}, bundles: map[string][]byte{}}
	for _, name := range []string{"alice", "bob", "carol", "mallory", "eve"} {
		w.identity(name)
	}
	w.makeLines()
	owner := w.ids["alice"]
	id := scopeID(owner.Key, realm, prefix)
	w.v.Scope = vectorScope{hex.EncodeToString(owner.Key), string(realm), string(prefix), id.String(), string(id.Topic())}
	w.makeBundles()
	w.makeMessages()
	w.makeStates()
	return w.v
}

func (w *world) makeLines() {
	alice, bob := w.ids["alice"].Public, w.ids["bob"].Public
	bad := func(name string, p Public) { w.v.Lines = append(w.v.Lines, vectorLine{name, p.String()}) }
	other := alice
	other.Recipient = bob.Recipient
	bad("another's recipient", other)
	other = alice
	other.Name = "bob"
	bad("another name", other)
	other = alice
	other.Key = bob.Key
	bad("another key", other)
	line := alice.String()
	w.v.Lines = append(w.v.Lines, vectorLine{"cut off", line[:len(line)-1]}, vectorLine{"another version", "blindfold-id-2" + line[14:]},
		vectorLine{"two spaces", "blindfold-id-1 " + line[14:]}, vectorLine{"empty", ""}, vectorLine{"padded key", line[:len("blindfold-id-1 alice ")+43] + "=" + line[len("blindfold-id-1 alice ")+43:]})
}

func (w *world) makeBundles() {
	all := func(names ...string) (out []Member) {
		for _, n := range names {
			r := AllRights
			if n == "carol" {
				r = Subscribe | Call
			}
			out = append(out, Member{Name: n, Rights: r})
		}
		return out
	}
	w.bundle("one", manifest(1, nil, t0), "alice", all("alice", "bob", "carol", "mallory")...)
	one := w.epochs["one"].id
	w.bundle("two", manifest(2, one[:], t1), "alice", all("alice", "bob", "carol")...)
	two := w.epochs["two"].id
	w.bundle("three", manifest(3, two[:], t2), "alice", all("alice", "bob", "carol")...)
	w.bundle("two again", manifest(2, one[:], t1), "alice", all("alice", "bob", "carol", "mallory")...)
	w.bundle("three of another two", manifest(3, one[:], t2), "alice", all("alice", "bob")...)
	w.bundle("two without a past", manifest(2, nil, t1), "alice", all("alice", "bob")...)
	w.bundle("one with a past", manifest(1, one[:], t0), "alice", all("alice", "bob")...)
	m := manifest(1, nil, t0)
	m.Realm = "realm2"
	w.bundle("other realm", m, "alice", all("alice", "bob")...)
	m = manifest(1, nil, t0)
	w.bundle("other owner", m, "mallory", all("mallory", "bob")...)
	// Made by mallory, in alice's name.
	m = manifest(2, one[:], t1)
	m.Owner = w.ids["alice"].Key
	w.bundle("forged", m, "mallory", all("alice", "bob", "mallory")...)
	// The outside is of epoch 3, the inside of epoch 2.
	b, err := parseBundle(w.bundles["two"])
	w.check(err)
	b.epoch = 3
	b.signature = w.ids["alice"].sign(bundleContext, b.signed())
	w.raw("inside of another epoch", b.encode())
	// Encrypted to eve, who is not in the list.
	m = manifest(2, one[:], t1)
	m.Owner, m.Members = w.ids["alice"].Key, []Member{{"alice", w.ids["alice"].Key, AllRights}}
	data, err := sealBundle(m, w.ids["alice"], []string{w.ids["eve"].Recipient})
	w.check(err)
	w.raw("eve is not in the list", data)
	for _, c := range []struct {
		name   string
		change func(*Manifest)
	}{
		{"no members", func(m *Manifest) { m.Members = nil }},
		{"a name twice", func(m *Manifest) { m.Members = append(m.Members, Member{"bob", w.ids["eve"].Key, AllRights}) }},
		{"a key twice", func(m *Manifest) { m.Members = append(m.Members, Member{"rob", w.ids["bob"].Key, AllRights}) }},
		{"unknown rights", func(m *Manifest) { m.Members[1].Rights = 16 }},
		{"bad previous", func(m *Manifest) { m.Previous = []byte{1, 2} }},
		{"ends before it begins", func(m *Manifest) { m.NotAfter = m.NotBefore.Add(-time.Second) }},
	} {
		m := manifest(1, nil, t0)
		m.Owner = w.ids["alice"].Key
		m.Members = []Member{{"alice", w.ids["alice"].Key, AllRights}, {"bob", w.ids["bob"].Key, AllRights}}
		c.change(m)
		data, err := sealBundle(m, w.ids["alice"], []string{w.ids["bob"].Recipient})
		w.check(err)
		w.raw(c.name, data)
	}
	good := w.bundles["one"]
	w.raw("empty", nil)
	w.raw("cut off", good[:len(good)-1])
	w.raw("one byte more", append(bytes.Clone(good), 0))
	changed := bytes.Clone(good)
	changed[len(changed)/2] ^= 1
	w.raw("changed", changed)
	version := bytes.Clone(good)
	version[1] = 2
	w.raw("version 2", version)

	accept := func(name, as string, known []string, now uint64, bundle, want string) {
		if known == nil {
			known = []string{}
		}
		w.v.Accepting = append(w.v.Accepting, vectorAccept{name, as, known, now, bundle, want})
	}
	day := uint64(86_400_000)
	accept("the first", "bob", nil, t0, "one", "")
	accept("the next", "bob", []string{"one"}, t1, "two", "")
	accept("the same again", "bob", []string{"one"}, t0+5, "one", "")
	accept("one was missed", "bob", []string{"one"}, t2, "three", "")
	accept("a later one first", "bob", nil, t2, "three", "")
	accept("held back, repeated", "bob", []string{"one", "two"}, t1, "one", "old_epoch")
	accept("two histories", "bob", []string{"one", "two"}, t1, "two again", "forked")
	accept("continues another", "bob", []string{"one", "two"}, t2, "three of another two", "forked")
	accept("a first one with a past", "bob", nil, t0, "one with a past", "forked")
	accept("a later one without a past", "bob", nil, t1, "two without a past", "forked")
	accept("other realm", "bob", nil, t0, "other realm", "wrong_scope")
	accept("other owner", "bob", nil, t0, "other owner", "wrong_scope")
	accept("forged", "bob", []string{"one"}, t1, "forged", "bad_signature")
	accept("changed", "bob", nil, t0, "changed", "bad_signature")
	accept("inside of another epoch", "bob", []string{"one"}, t1, "inside of another epoch", "wrong_scope")
	accept("removed", "mallory", []string{"one"}, t1, "two", "not_member")
	accept("never a member", "eve", nil, t0, "one", "not_member")
	accept("not in the list", "eve", nil, t1, "eve is not in the list", "not_member")
	accept("too early", "bob", nil, t0-300_001, "one", "not_yet")
	accept("early, within the window", "bob", nil, t0-300_000, "one", "")
	accept("expired", "bob", nil, t0+day+1, "one", "expired")
	for _, name := range []string{"no members", "a name twice", "a key twice", "unknown rights", "bad previous", "ends before it begins",
		"empty", "cut off", "one byte more", "version 2"} {
		accept(name, "bob", nil, t0, name, "malformed")
	}
}

// spec is a message to make.
type spec struct {
	epoch, sender string
	stream        string
	number        uint32
	kind          kind
	uri           wamp.URI
	time          uint64 // since not before
	index         uint64
	call          [32]byte
	args          []any
	kwargs        map[string]any

	// What a forger changes.
	signer string // whose key signs
	hintOf wamp.URI
	callOf *[32]byte // the call hint
	index0 *uint64
	body   []byte
	proof  *proof
	root   *[32]byte
	tamper func(plain []byte) []byte
}

func streamOf(name string) (s stream) {
	sum := sha256.Sum256([]byte("stream " + name))
	copy(s[:], sum[:])
	return s
}

// made is a message, in all its parts.
type made struct {
	spec    spec
	e       *epoch
	leaf    [32]byte
	body    []byte
	plain   []byte
	payload []byte
}

func (w *world) message(s spec) made {
	e := w.epochs[s.epoch]
	content, err := encodeContent(s.args, s.kwargs)
	w.check(err)
	uri := sha256.Sum256([]byte(s.uri))
	b := &body{kind: s.kind, sender: uint64(e.index(w.ids[s.sender].Key)), time: s.time, index: s.index}
	if s.index0 != nil {
		b.sender = *s.index0
	}
	copy(b.hint[:], uri[:])
	copy(b.callHint[:], s.call[:])
	if s.hintOf != "" {
		other := sha256.Sum256([]byte(s.hintOf))
		copy(b.hint[:], other[:])
	}
	if s.callOf != nil {
		copy(b.callHint[:], s.callOf[:])
	}
	data := b.encode(content)
	if s.body != nil {
		data = s.body
	}
	st := streamOf(s.stream)
	var call [32]byte
	if s.kind.bound() {
		call = s.call
	}
	l := leaf(&e.id, st, s.number, &call, &uri, data)
	root, p := l, proof{}
	if s.proof != nil {
		p, root = *s.proof, s.proof.root(l)
	}
	if s.root != nil {
		root = *s.root
	}
	who := s.sender
	if s.signer != "" {
		who = s.signer
	}
	signature := ed25519.Sign(w.ids[who].keys().private, signedRoot(&root))
	plain := append(append(bytes.Clone(signature), p.append(nil)...), data...)
	plain = append(plain, 0x80)
	plain = append(plain, make([]byte, padded(len(plain))-len(plain))...)
	if s.tamper != nil {
		plain = s.tamper(plain)
	}
	a := newAEAD(&e.inner().secret, &e.id, st)
	head, nonce, aad := header(&e.id, st, s.number)
	return made{s, e, l, data, plain, a.Seal(bytes.Clone(head[:]), nonce[:], plain, aad[:])}
}

func (w *world) sealing(name string, s spec) made {
	m := w.message(s)
	st := streamOf(s.stream)
	key := hkdfKey(&m.e.inner().secret, &m.e.id, st)
	v := vectorSeal{Name: name, Sender: s.sender, Epoch: s.epoch, Stream: hex.EncodeToString(st[:]), Number: s.number, Kind: uint64(s.kind),
		URI: string(s.uri), Time: s.time, Index: s.index, Args: s.args, Kwargs: s.kwargs, Body: hex.EncodeToString(m.body),
		Leaf: hex.EncodeToString(m.leaf[:]), Key: hex.EncodeToString(key), Plaintext: hex.EncodeToString(m.plain), Payload: hex.EncodeToString(m.payload)}
	if s.kind.bound() {
		v.Call = hex.EncodeToString(s.call[:])
	}
	if v.Args == nil {
		v.Args = []any{}
	}
	if v.Kwargs == nil {
		v.Kwargs = map[string]any{}
	}
	w.v.Sealing = append(w.v.Sealing, v)
	return m
}

// step opens m as a message of that type.
func (m made) step(now uint64, message, want string) vectorStep {
	v := vectorStep{Now: now, Message: message, URI: string(m.spec.uri), Scheme: scheme, Serializer: serializer, Cipher: cipherName, KeyID: m.e.keyID,
		Payload: hex.EncodeToString(m.payload), Error: want}
	switch m.spec.kind {
	case kindCallInputsFollow, kindInput, kindProgress:
		v.Progress = true
	}
	if want == "" {
		v.Sender, v.Time, v.Args, v.Kwargs = m.spec.sender, millis(m.e.NotBefore)+m.spec.time, m.spec.args, m.spec.kwargs
	}
	return v
}

func (v vectorStep) with(change func(*vectorStep)) vectorStep {
	change(&v)
	return v
}

func first(missing uint64) func(*vectorStep) {
	return func(v *vectorStep) { v.First, v.Missing = true, missing }
}

func (w *world) opening(name, as string, epochs []string, start uint64, call *vectorCall, steps ...vectorStep) *vectorOpen {
	w.v.Opening = append(w.v.Opening, vectorOpen{Name: name, As: as, Epochs: epochs, Start: start, Own: []vectorOwn{}, Call: call, Steps: steps})
	return &w.v.Opening[len(w.v.Opening)-1]
}

func (w *world) makeMessages() {
	one, both := []string{"one"}, []string{"one", "two"}
	event := func(n uint32, text string) spec {
		return spec{epoch: "one", sender: "alice", stream: "alice topic", number: n, uri: topic, time: 10_000 + uint64(n), args: []any{text}}
	}
	now := uint64(t0 + 11_000)
	hello := w.sealing("event", event(0, "hello"))
	w.sealing("event with everything", spec{epoch: "two", sender: "bob", stream: "bob topic", number: 70_000, uri: topic, time: 3_000_000_000,
		args:   []any{nil, true, int64(-1), int64(1 << 40), 1.5, "é", []any{int64(1), []any{}}, map[string]any{"k": "v"}},
		kwargs: map[string]any{"a": int64(1), "bb": "x"}})
	call := w.sealing("call", spec{epoch: "one", sender: "carol", stream: "carol proc", uri: proc, kind: kindCall, time: 10_000, args: []any{int64(1), int64(2)}})
	result := w.sealing("result", spec{epoch: "one", sender: "bob", stream: "bob bound", uri: proc, kind: kindResult, time: 10_500, call: call.leaf, args: []any{int64(3)}})
	failure := w.sealing("error", spec{epoch: "one", sender: "bob", stream: "bob bound", number: 1, uri: "com.app.error.sum", kind: kindError, time: 10_500, call: call.leaf, args: []any{"no"}})

	w.opening("an event", "bob", one, t0, nil, hello.step(now, "EVENT", "").with(first(0)))
	w.opening("events in order", "bob", one, t0, nil,
		hello.step(now, "EVENT", "").with(first(0)), w.message(event(1, "two")).step(now, "EVENT", ""), w.message(event(2, "three")).step(now, "EVENT", ""))
	w.opening("what came before", "bob", one, t0, nil, w.message(event(7, "x")).step(now, "EVENT", "").with(first(7)))
	w.opening("dropped", "bob", one, t0, nil, hello.step(now, "EVENT", "").with(first(0)),
		w.message(event(3, "four")).step(now, "EVENT", "").with(func(v *vectorStep) { v.Missing = 2 }))
	w.opening("late", "bob", one, t0, nil, hello.step(now, "EVENT", "").with(first(0)),
		w.message(event(2, "c")).step(now, "EVENT", "").with(func(v *vectorStep) { v.Missing = 1 }),
		w.message(event(1, "b")).step(now, "EVENT", "").with(func(v *vectorStep) { v.Late = true }),
		w.message(event(1, "b")).step(now, "EVENT", "repeated"))
	w.opening("repeated", "bob", one, t0, nil, hello.step(now, "EVENT", "").with(first(0)), hello.step(now+1, "EVENT", "repeated"))
	w.opening("reordered beyond the window", "bob", one, t0, nil, w.message(event(1, "b")).step(now, "EVENT", "").with(first(1)),
		w.message(event(1024, "z")).step(now+2000, "EVENT", "").with(func(v *vectorStep) { v.Missing = 1022 }), hello.step(now+2000, "EVENT", "reordered"),
		w.message(event(1025, "z")).step(now+2000, "EVENT", ""), w.message(event(1, "b")).step(now+2000, "EVENT", "reordered"))
	w.opening("before the start", "bob", one, t0+10_000, nil, hello.step(now, "EVENT", "too_old"))
	w.opening("held back", "bob", one, t0, nil, hello.step(t0+10_000+300_001, "EVENT", "too_old"))
	w.opening("just in time", "bob", one, t0, nil, hello.step(t0+10_000+300_000, "EVENT", "").with(first(0)))
	w.opening("a fast clock", "bob", one, t0, nil, w.message(spec{epoch: "one", sender: "alice", stream: "fast", uri: topic, time: 400_000}).step(t0+99_999, "EVENT", "too_new"))
	stored := func(v *vectorStep) { v.Stored = true }
	w.opening("a retained event", "bob", both, t2, nil, hello.step(t2, "EVENT", "").with(stored), hello.step(t2+1, "EVENT", "").with(stored))
	w.opening("misdirected to another topic", "bob", one, t0, nil, hello.step(now, "EVENT", "wrong_uri").with(func(v *vectorStep) { v.URI = "com.app.other" }))
	w.opening("a topic outside", "bob", one, t0, nil, hello.step(now, "EVENT", "no_scope").with(func(v *vectorStep) { v.URI = "com.other" }))
	w.opening("an event as a call", "bob", one, t0, nil, hello.step(now, "INVOCATION", "wrong_kind"))
	w.opening("a call as an event", "bob", one, t0, nil, call.step(now, "EVENT", "wrong_kind"))

	own := w.opening("reflected", "alice", one, t0, nil, hello.step(now, "EVENT", "reflected"))
	st := streamOf("alice topic")
	own.Own = []vectorOwn{{hex.EncodeToString(st[:]), false}}
	own = w.opening("one's own, asked for", "alice", one, t0, nil, hello.step(now, "EVENT", "").with(first(0)))
	own.Own = []vectorOwn{{hex.EncodeToString(st[:]), true}}

	// Forgeries by members, who have the secret.
	s := event(0, "forged")
	s.signer = "mallory"
	w.opening("signed by another member", "bob", one, t0, nil, w.message(s).step(now, "EVENT", "bad_signature"))
	s = event(0, "forged")
	nine := uint64(9)
	s.index0 = &nine
	w.opening("a sender that is not there", "bob", one, t0, nil, w.message(s).step(now, "EVENT", "unknown_sender"))
	s = event(0, "forged")
	s.sender, s.stream = "carol", "carol topic"
	w.opening("without the right to publish", "bob", one, t0, nil, w.message(s).step(now, "EVENT", "no_right"))
	// Hints that fit by chance prove nothing.
	s = event(0, "x")
	s.hintOf = "com.app.other"
	w.opening("for another topic, with the hint of this one", "bob", one, t0, nil,
		w.message(s).step(now, "EVENT", "bad_signature").with(func(v *vectorStep) { v.URI = "com.app.other" }))
	// Somebody's signature in another place of another stream.
	moved := hello
	{
		other := w.message(event(5, "hello"))
		copy(other.plain, hello.plain[:64])
		a := newAEAD(&other.e.inner().secret, &other.e.id, st)
		head, nonce, aad := header(&other.e.id, st, 5)
		moved.payload = a.Seal(bytes.Clone(head[:]), nonce[:], other.plain, aad[:])
	}
	w.opening("a signature moved to another number", "bob", one, t0, nil, moved.step(now, "EVENT", "bad_signature"))
	changed := hello
	changed.payload = bytes.Clone(hello.payload)
	changed.payload[40] ^= 1
	w.opening("changed", "bob", one, t0, nil, changed.step(now, "EVENT", "decrypt"))
	changed.payload = bytes.Clone(hello.payload)
	changed.payload[15] ^= 1
	w.opening("another number", "bob", one, t0, nil, changed.step(now, "EVENT", "decrypt"))
	changed.payload = hello.payload[:107]
	w.opening("too short", "bob", one, t0, nil, changed.step(now, "EVENT", "malformed"))
	for _, c := range []struct {
		name   string
		tamper func([]byte) []byte
	}{
		{"no padding", func(p []byte) []byte { p = bytes.TrimRight(p, "\x00"); return p[:len(p)-1] }},
		{"zeros only", func(p []byte) []byte { return make([]byte, len(p)) }},
		{"proof of seven levels", func(p []byte) []byte { p[64] = 7; return p }},
	} {
		s = event(0, "x")
		s.tamper = c.tamper
		w.opening(c.name, "bob", one, t0, nil, w.message(s).step(now, "EVENT", "malformed"))
	}
	hint := sha256.Sum256([]byte(topic))
	head := append([]byte{0x86, 0, 0, 0, 0x44}, hint[:4]...)
	for _, c := range []struct {
		name string
		body []byte
	}{
		{"no kwargs", append(append([]byte{0x85}, head[1:]...), 0x80)},
		{"one element more", append(append([]byte{0x87}, head[1:]...), 0x80, 0xa0, 0)},
		{"trailing bytes", append(bytes.Clone(head), 0x80, 0xa0, 0)},
		{"args are a map", append(bytes.Clone(head), 0xa0, 0xa0)},
		{"kwargs are an array", append(bytes.Clone(head), 0x80, 0x80)},
		{"kwargs with a number as key", append(bytes.Clone(head), 0x80, 0xa1, 1, 1)},
		{"unknown kind", append([]byte{0x86, 9, 0, 0, 0x44, hint[0], hint[1], hint[2], hint[3]}, 0x80, 0xa0)},
		{"an index in an event", append(append([]byte{0x88}, head[1:]...), 0x80, 0xa0, 0, 0x44, 0, 0, 0, 0)},
		{"not CBOR", []byte{0xff, 0xff, 0xff}},
	} {
		s = event(0, "x")
		s.body = c.body
		w.opening(c.name, "bob", one, t0, nil, w.message(s).step(now, "EVENT", "malformed"))
	}
	for _, c := range []struct {
		name   string
		change func(*vectorStep)
	}{
		{"another scheme", func(v *vectorStep) { v.Scheme = "x_blindfold_2" }},
		{"another serializer", func(v *vectorStep) { v.Serializer = "json" }},
		{"another cipher", func(v *vectorStep) { v.Cipher = "xsalsa20poly1305" }},
	} {
		w.opening(c.name, "bob", one, t0, nil, hello.step(now, "EVENT", "malformed").with(c.change))
	}
	w.opening("unknown key id", "bob", one, t0, nil, hello.step(now, "EVENT", "unknown_epoch").with(func(v *vectorStep) { v.KeyID = "AAAAAA" }))

	// Batches.
	leaves := make([][32]byte, 3)
	texts := []string{"a", "b", "c"}
	for i := range leaves {
		leaves[i] = w.message(event(uint32(i), texts[i])).leaf
	}
	root, proofs := tree(leaves)
	var steps []vectorStep
	for i := range leaves {
		s := event(uint32(i), texts[i])
		s.proof, s.root = &proofs[i], &root
		m := w.sealing(fmt.Sprintf("batch of three, %d", i), s)
		v := m.step(now, "EVENT", "")
		v.First = i == 0
		steps = append(steps, v)
	}
	w.opening("a batch", "bob", one, t0, nil, steps...)
	s = event(1, "b")
	s.proof, s.root = &proofs[0], &root
	w.opening("a proof of another leaf", "bob", one, t0, nil, w.message(s).step(now, "EVENT", "bad_signature"))
	s = event(1, "b")
	wrong := proof{position: 5, siblings: proofs[1].siblings}
	s.proof, s.root = &wrong, &root
	w.opening("a position out of range", "bob", one, t0, nil, w.message(s).step(now, "EVENT", "malformed"))

	// Epochs.
	later := uint64(t1 + 1000)
	old := spec{epoch: "one", sender: "bob", stream: "bob topic", uri: topic, time: t1 - t0 + 500, args: []any{"of epoch 1"}}
	w.opening("the epoch before, in its grace", "alice", both, t0, nil, w.message(old).step(later, "EVENT", "").with(first(0)))
	w.opening("the epoch before, after its grace", "alice", both, t0, nil, w.message(old).step(t1+60_001, "EVENT", "old_epoch"))
	w.opening("an epoch of long ago", "alice", []string{"one", "two", "three"}, t0, nil, w.message(old).step(t2+1, "EVENT", "old_epoch"))
	gone := spec{epoch: "one", sender: "mallory", stream: "mallory topic", uri: topic, time: t1 - t0 + 500}
	w.opening("a member that was removed", "bob", both, t0, nil, w.message(gone).step(later, "EVENT", "removed"))
	w.opening("of an epoch that was held back", "bob", one, t0, nil,
		w.message(spec{epoch: "two", sender: "alice", stream: "alice topic", uri: topic, time: 1000}).step(later, "EVENT", "unknown_epoch"))
	w.opening("expired", "bob", one, t0, nil,
		w.message(spec{epoch: "one", sender: "alice", stream: "alice topic", uri: topic, time: 86_400_000 + 300_001}).step(t0+86_400_000+300_001, "EVENT", "expired"))

	// Calls.
	w.opening("a call", "bob", one, t0, nil, call.step(now, "INVOCATION", "").with(first(0)))
	w.opening("a call again", "bob", one, t0, nil, call.step(now, "INVOCATION", "").with(first(0)), call.step(now, "INVOCATION", "repeated"))
	asked := func() *vectorCall { return &vectorCall{Leaf: hex.EncodeToString(call.leaf[:]), Inputs: 1} }
	w.opening("a result", "carol", one, t0, asked(), result.step(now, "RESULT", ""))
	w.opening("an error", "carol", one, t0, asked(), failure.step(now, "ERROR", ""))
	w.opening("an error under another URI", "carol", one, t0, asked(), failure.step(now, "ERROR", "wrong_uri").with(func(v *vectorStep) { v.URI = "com.app.error.other" }))
	w.opening("an error as a result", "carol", one, t0, asked(), failure.step(now, "RESULT", "wrong_kind"))
	other := asked()
	other.Leaf = hex.EncodeToString(hello.leaf[:])
	w.opening("a result of another call", "carol", one, t0, other, result.step(now, "RESULT", "wrong_call"))
	s = spec{epoch: "one", sender: "bob", stream: "bob bound", number: 2, uri: proc, kind: kindResult, time: 10_500, call: hello.leaf, callOf: &call.leaf}
	w.opening("a result of another call, with the hint of this one", "carol", one, t0, asked(), w.message(s).step(now, "RESULT", "bad_signature"))
	w.opening("a result by who may not answer", "bob", one, t0, asked(),
		w.message(spec{epoch: "one", sender: "carol", stream: "carol bound", uri: proc, kind: kindResult, time: 10_500, call: call.leaf}).step(now, "RESULT", "no_right"))
	w.opening("the call as its result", "carol", one, t0, asked(), call.step(now, "RESULT", "wrong_kind"))
	progress := func(i uint64, sender string) made {
		return w.message(spec{epoch: "one", sender: sender, stream: sender + " bound", number: uint32(10 + i), uri: proc, kind: kindProgress, time: 10_600, index: i, call: call.leaf, args: []any{int64(i)}})
	}
	last := func(i uint64, sender string) made {
		return w.message(spec{epoch: "one", sender: sender, stream: sender + " bound", number: uint32(10 + i), uri: proc, kind: kindResult, time: 10_600, index: i, call: call.leaf, args: []any{"end"}})
	}
	w.opening("progressive results", "carol", one, t0, asked(), progress(0, "bob").step(now, "RESULT", ""), progress(1, "bob").step(now, "RESULT", ""), last(2, "bob").step(now, "RESULT", ""))
	w.opening("one is left out", "carol", one, t0, asked(), progress(0, "bob").step(now, "RESULT", ""), progress(2, "bob").step(now, "RESULT", "missing"))
	w.opening("cut short", "carol", one, t0, asked(), progress(0, "bob").step(now, "RESULT", ""), last(2, "bob").step(now, "RESULT", "missing"))
	w.opening("one twice", "carol", one, t0, asked(), progress(0, "bob").step(now, "RESULT", ""), progress(0, "bob").step(now, "RESULT", "repeated"))
	w.opening("one is made the last", "carol", one, t0, asked(), progress(0, "bob").step(now, "RESULT", "wrong_kind").with(func(v *vectorStep) { v.Progress = false }))
	w.opening("the last is made progressive", "carol", one, t0, asked(), last(0, "bob").step(now, "RESULT", "wrong_kind").with(func(v *vectorStep) { v.Progress = true }))
	w.opening("two who answer", "carol", one, t0, asked(), progress(0, "bob").step(now, "RESULT", ""), last(1, "alice").step(now, "RESULT", "wrong_sender"))
	begun := w.sealing("call, inputs follow", spec{epoch: "one", sender: "carol", stream: "carol proc", number: 1, uri: proc, kind: kindCallInputsFollow, time: 10_000, args: []any{int64(1)}})
	input := func(i uint64, k kind, sender string) made {
		return w.message(spec{epoch: "one", sender: sender, stream: sender + " bound", number: uint32(i), uri: proc, kind: k, time: 10_700, index: i, call: begun.leaf, args: []any{int64(i)}})
	}
	w.opening("inputs", "bob", one, t0, &vectorCall{Leaf: hex.EncodeToString(begun.leaf[:]), Inputs: 1, Peer: hex.EncodeToString(w.ids["carol"].Key)},
		input(1, kindInput, "carol").step(now, "INVOCATION", ""), input(2, kindLastInput, "carol").step(now, "INVOCATION", ""))
	w.opening("an input is left out", "bob", one, t0, &vectorCall{Leaf: hex.EncodeToString(begun.leaf[:]), Inputs: 1, Peer: hex.EncodeToString(w.ids["carol"].Key)},
		input(2, kindLastInput, "carol").step(now, "INVOCATION", "missing"))
	w.opening("an input of somebody else", "bob", one, t0, &vectorCall{Leaf: hex.EncodeToString(begun.leaf[:]), Inputs: 1, Peer: hex.EncodeToString(w.ids["carol"].Key)},
		input(1, kindInput, "mallory").step(now, "INVOCATION", "wrong_sender"))
	some := spec{epoch: "one", sender: "alice", stream: "alice some", uri: topic, kind: kindEventToSome, time: 10_000, args: []any{"for some"}}
	w.sealing("event to some", some)
	w.opening("an event to some", "bob", one, t0, nil, w.message(some).step(now, "EVENT", "").with(first(0)))
}

func (w *world) makeStates() {
	id := scopeID(w.ids["alice"].Key, realm, prefix)
	st := &state{scope: id, epoch: 2, clean: true, windows: newWindows(fromMillis(t0))}
	for _, n := range []uint32{0, 1, 2, 5, 1030} {
		if _, err := st.accept(streamKey{[32]byte(w.ids["bob"].Key), streamOf("bob topic")}, n, t0+1+uint64(n)); err != nil {
			w.t.Fatal(err)
		}
	}
	good := st.encode()
	add := func(name string, data []byte, want string) {
		w.v.States = append(w.v.States, vectorState{name, hex.EncodeToString(data), want})
	}
	add("one stream", good, "")
	add("cut off", good[:len(good)-1], "state_lost")
	add("empty", nil, "state_lost")
	add("one byte more", append(bytes.Clone(good), 0), "state_lost")
	version := bytes.Clone(good)
	version[1] = 2
	add("version 2", version, "state_lost")
}

// The vectors are read and checked as another implementation would.

func readVectors(t testing.TB) *vectors {
	t.Helper()
	data, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	v := new(vectors)
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func nameOf(err error) string {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Name()
	}
	return err.Error()
}

func (v *vectors) identities(t testing.TB) map[string]*Identity {
	ids := make(map[string]*Identity)
	for _, k := range v.Identities {
		id, err := assemble(k.Name, unhex(t, k.Seed), k.Age, k.Recipient)
		if err != nil {
			t.Fatal(err)
		}
		ids[k.Name] = id
	}
	return ids
}

func (v *vectors) bundle(t testing.TB, name string) []byte {
	for _, b := range v.Bundles {
		if b.Name == name {
			return unhex(t, b.Bundle)
		}
	}
	t.Fatalf("no bundle %s", name)
	return nil
}

func TestVectorsOfIdentities(t *testing.T) {
	v := readVectors(t)
	for _, k := range v.Identities {
		p, err := ParsePublic(k.Line)
		if err != nil {
			t.Fatal(err)
		}
		if p.Digits() != k.Digits || hex.EncodeToString(p.Key) != k.Key || p.Recipient != k.Recipient || p.String() != k.Line {
			t.Errorf("%s: %s", k.Name, p)
		}
	}
	for _, k := range v.Lines {
		if _, err := ParsePublic(k.Line); err == nil {
			t.Errorf("%s: accepted", k.Name)
		}
	}
	if len(v.Identities) < 4 || len(v.Lines) < 8 {
		t.Error("vectors are missing")
	}
}

// clock is a clock that vectors set.
type clock struct{ ms uint64 }

func (c *clock) now() time.Time { return fromMillis(c.ms) }

// member returns the view of a member that has accepted bundles, each at its not before.
func (v *vectors) member(t testing.TB, as *Identity, c *clock, start uint64, bundles []string) *Scope {
	t.Helper()
	c.ms = start
	s, err := New(as, unhex(t, v.Scope.Owner), wamp.URI(v.Scope.Realm), wamp.URI(v.Scope.Prefix), Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range bundles {
		b, err := parseBundle(v.bundle(t, name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := b.open(as)
		if err != nil {
			t.Fatal(err)
		}
		c.ms = millis(m.NotBefore)
		if _, err := s.Accept(v.bundle(t, name)); err != nil {
			t.Fatal(name, err)
		}
	}
	return s
}

func TestVectorsOfBundles(t *testing.T) {
	v := readVectors(t)
	ids := v.identities(t)
	names := make(map[string]bool)
	for _, k := range v.Accepting {
		t.Run(k.Name, func(t *testing.T) {
			var c clock
			s := v.member(t, ids[k.As], &c, t0, k.Known)
			before := s.Manifest()
			c.ms = k.Now
			fresh, err := s.Accept(v.bundle(t, k.Bundle))
			if nameOf(err) != k.Error {
				t.Fatalf("error %q, not %q", nameOf(err), k.Error)
			}
			if err != nil && s.Manifest() != before {
				t.Error("a refused bundle became the newest")
			}
			if err == nil && !fresh && s.Manifest() != before {
				t.Error("not fresh, and the newest")
			}
		})
		names[k.Error] = true
	}
	for _, e := range []string{"", "malformed", "wrong_scope", "bad_signature", "old_epoch", "not_member", "forked", "not_yet", "expired"} {
		if !names[e] {
			t.Errorf("no bundle gives %q", e)
		}
	}
}

func TestVectorsOfSealing(t *testing.T) {
	v := readVectors(t)
	ids := v.identities(t)
	for _, k := range v.Sealing {
		t.Run(k.Name, func(t *testing.T) {
			b, err := parseBundle(v.bundle(t, k.Epoch))
			if err != nil {
				t.Fatal(err)
			}
			m, err := b.open(ids[k.Sender])
			if err != nil {
				t.Fatal(err)
			}
			e := newEpoch(m, ids[k.Sender])
			d := &draft{epoch: e, stream: stream(unhex(t, k.Stream)), number: k.Number, body: unhex(t, k.Body), leaf: [32]byte(unhex(t, k.Leaf))}
			d.cipher = newAEAD(&e.inner().secret, &e.id, d.stream)
			plain, err := parsePlain(unhex(t, k.Plaintext))
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(d.payload(plain.signature, plain.proof)); got != k.Payload {
				t.Errorf("payload %s, not %s", got, k.Payload)
			}
			root := plain.proof.root(d.leaf)
			if want := ed25519.Sign(ids[k.Sender].keys().private, signedRoot(&root)); !bytes.Equal(want, plain.signature) {
				t.Error("another signature")
			}
		})
	}
	if len(v.Sealing) < 9 {
		t.Error("vectors are missing")
	}
}

func TestVectorsOfOpening(t *testing.T) {
	v := readVectors(t)
	ids := v.identities(t)
	names := make(map[string]bool)
	for _, k := range v.Opening {
		t.Run(k.Name, func(t *testing.T) {
			var c clock
			s := v.member(t, ids[k.As], &c, k.Start, k.Epochs)
			for _, own := range k.Own {
				s.sent.mine[stream(unhex(t, own.Stream))] = &ownStream{toSelf: own.ToSelf}
			}
			sealer, err := NewSealer(s.realm, s)
			if err != nil {
				t.Fatal(err)
			}
			var x *exchange
			if k.Call != nil {
				x = &exchange{scope: s, leaf: [32]byte(unhex(t, k.Call.Leaf)), inputs: k.Call.Inputs, answers: k.Call.Answers}
				if k.Call.Peer != "" {
					x.peer = unhex(t, k.Call.Peer)
				}
			}
			for i, step := range k.Steps {
				c.ms = step.Now
				checkStep(t, fmt.Sprintf("step %d", i), sealer, x, &step)
			}
		})
		for _, step := range k.Steps {
			names[step.Error] = true
		}
	}
	for _, e := range []*Error{ErrMalformed, ErrNoScope, ErrBadSignature, ErrExpired, ErrOldEpoch, ErrUnknownEpoch, ErrDecrypt, ErrUnknownSender, ErrWrongKind,
		ErrWrongURI, ErrWrongCall, ErrWrongSender, ErrNoRight, ErrRemoved, ErrTooOld, ErrTooNew, ErrRepeated, ErrReordered, ErrMissing, ErrReflected} {
		if !names[e.Name()] {
			t.Errorf("no message gives %s", e.Name())
		}
	}
}

func checkStep(t *testing.T, where string, sealer *Sealer, x *exchange, step *vectorStep) {
	t.Helper()
	on := &wamp.Subject{URI: wamp.URI(step.URI), Progress: step.Progress, Stored: step.Stored}
	switch step.Message {
	case "EVENT":
		on.Type = wamp.TypePublish
	case "INVOCATION":
		on.Type = wamp.TypeCall
	case "RESULT":
		on.Type, on.Originator = wamp.TypeYield, true
	case "ERROR":
		on.Type, on.Originator = wamp.TypeError, true
	default:
		t.Fatalf("%s: message %s", where, step.Message)
	}
	if on.Type != wamp.TypePublish {
		on.Call = &wamp.SealedCall{Procedure: proc}
		if x != nil {
			on.Call.State = x
		}
	}
	attrs := &wamp.Attributes{PPTScheme: step.Scheme, PPTSerializer: step.Serializer, PPTCipher: step.Cipher, PPTKeyID: step.KeyID}
	args, kwargs, err := sealer.Open(on, attrs, unhex(t, step.Payload))
	if nameOf(err) != step.Error {
		t.Fatalf("%s: error %q, not %q", where, nameOf(err), step.Error)
	}
	if err != nil {
		if args != nil || kwargs != nil || on.Origin != nil {
			t.Errorf("%s: something was handed over", where)
		}
		return
	}
	o := on.Origin
	if o.Sender != step.Sender || millis(o.Time) != step.Time || o.Missing != step.Missing || o.First != step.First || o.Late != step.Late || o.Stored != step.Stored {
		t.Errorf("%s: origin %+v", where, o)
	}
	if !reflect.DeepEqual(asJSON(t, args), asJSON(t, orEmpty(step.Args))) || !reflect.DeepEqual(asJSON(t, kwargs), asJSON(t, orNone(step.Kwargs))) {
		t.Errorf("%s: args %v %v", where, args, kwargs)
	}
}

func orEmpty(v []any) []any {
	if v == nil {
		return []any{}
	}
	return v
}

func orNone(v map[string]any) map[string]any {
	if v == nil {
		return map[string]any{}
	}
	return v
}

func asJSON(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVectorsOfStates(t *testing.T) {
	for _, k := range readVectors(t).States {
		st, err := parseState(unhex(t, k.State))
		if nameOf(err) != k.Error {
			t.Errorf("%s: %v", k.Name, err)
		}
		if err == nil && hex.EncodeToString(st.encode()) != k.State {
			t.Errorf("%s: encodes to something else", k.Name)
		}
	}
}
