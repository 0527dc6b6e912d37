package passthrough

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

const orderSchema = `{
  "type": "object",
  "properties": {
    "args": {"type": "array", "maxItems": 2, "prefixItems": [{"type": "string", "pattern": "^o-[0-9]+$"}]},
    "kwargs": {
      "type": "object",
      "properties": {
        "amount": {"type": "number", "minimum": 1, "maximum": 1000, "multipleOf": 0.5},
        "note": {"type": "string", "maxLength": 10, "format": "email"},
        "blob": {"type": "string", "contentEncoding": "base64"},
        "lines": {"type": "array", "uniqueItems": true, "items": {"type": "integer"}},
        "kind": {"enum": ["buy", "sell"]},
        "a/b~c": {"type": "string"},
        "tree": {"$ref": "#/$defs/tree"},
        "either": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["x"]}]}
      },
      "additionalProperties": {"type": "boolean"},
      "propertyNames": {"maxLength": 10},
      "required": ["amount"]
    }
  },
  "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}
}`

func compileOrder(t testing.TB) *Schema {
	t.Helper()
	s, err := CompileSchema("order", []byte(orderSchema))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func nested(depth int) any {
	v := []any{}
	for range depth {
		v = []any{v}
	}
	return v
}

func TestReceiveValidates(t *testing.T) {
	kw := func(more ...any) body {
		m := map[string]any{"amount": int64(5)}
		for n := 0; n < len(more); n += 2 {
			m[more[n].(string)] = more[n+1]
		}
		return list(nil, m)
	}
	cases := []struct {
		name string
		body body
		want string // the end of the text; "" passes
	}{
		{"passes", kw(), ""},
		{"passes with an argument", list([]any{"o-1"}, map[string]any{"amount": 2.5}), ""},
		{"a binary is base64", kw("blob", []byte{0xff, 0xfe}), ""},
		{"a large number", kw("amount", uint64(math.MaxUint64)), "maximum at /kwargs/amount"},
		{"missing key", list(nil, map[string]any{}), "required at /kwargs"},
		{"no payload", none, "required at /kwargs"},
		{"wrong argument", list([]any{"MARKER"}, map[string]any{"amount": int64(1)}), "pattern at /args/0"},
		{"too many arguments", list([]any{"o-1", int64(1), int64(1)}, map[string]any{"amount": int64(1)}), "maxItems at /args"},
		{"wrong type", kw("amount", "MARKER"), "type at /kwargs/amount"},
		{"too small", kw("amount", int64(0)), "minimum at /kwargs/amount"},
		{"no multiple", kw("amount", 1.3), "multipleOf at /kwargs/amount"},
		{"too long", kw("note", "MARKER@MARKER.MARKER"), "maxLength at /kwargs/note"},
		{"wrong format", kw("note", "MARKER"), "format at /kwargs/note"},
		{"not base64", kw("blob", "MARKER!"), "contentEncoding at /kwargs/blob"},
		{"wrong item", kw("lines", []any{int64(1), "MARKER"}), "type at /kwargs/lines/1"},
		{"the first of two places", kw("lines", []any{int64(1), "x", "y"}, "note", int64(3)), "type at /kwargs/lines/1"},
		{"double item", kw("lines", []any{int64(7), int64(7)}), "uniqueItems at /kwargs/lines"},
		{"not in the list", kw("kind", "MARKER"), "enum at /kwargs/kind"},
		{"a key to escape", kw("a/b~c", int64(1)), "type at /kwargs/a~1b~0c"},
		{"a key of the sender's", kw("MARKER", "x"), "type at /kwargs/*"},
		{"a long key of the sender's", kw("MARKERMARKER", true), "schema: propertyNames"},
		{"alternatives", kw("either", map[string]any{"MARKER": true}), "anyOf at /kwargs/either"},
		{"NaN", kw("amount", math.NaN()), "number that JSON cannot represent (NaN or infinite)"},
		{"infinite", kw("lines", []any{math.Inf(-1)}), "number that JSON cannot represent (NaN or infinite)"},
		{"as deep as allowed", kw("tree", nested(MaxDepth-2)), ""},
		{"too deep", kw("tree", nested(MaxDepth)), "nested more than 128 deep"},
		{"too many values", kw("lines", make([]any, DefaultValues)), "more values than the rule's \"elements\""},
		{"broken", body{from: fake{serializer: wamp.MsgPack, err: errors.New("MARKER")}, tail: "x", facts: wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1}}, "not well-formed"},
	}
	i := newInterceptor(t, Config{Validation: []Validation{{URI: "com.app.order", Schema: compileOrder(t)}}})
	for _, mt := range inbound {
		for _, c := range cases {
			t.Run(mt.String()+"/"+c.name, func(t *testing.T) {
				tr := &wamp.RoutedMessage{From: everyForm(), URI: "com.app.order", Message: message(t, mt, wamp.Attributes{}, c.body)}
				if c.want == "" || mt == wamp.TypeYield || mt == wamp.TypeError {
					expect(t, i.Receive(tr), "")
					return
				}
				r := expect(t, i.Receive(tr), wamp.ReasonInvalid)
				if !strings.HasSuffix(r.Text, c.want) {
					t.Errorf("text %q, want it to end with %q", r.Text, c.want)
				}
				if strings.Contains(r.Text, "MARKER") {
					t.Errorf("text %q repeats what was sent", r.Text)
				}
			})
		}
	}
	tr := &wamp.RoutedMessage{From: everyForm(), URI: "com.app.other", Message: message(t, wamp.TypePublish, wamp.Attributes{}, none)}
	expect(t, i.Receive(tr), "")
}

func TestReceiveRefusesOpaqueWhereItValidates(t *testing.T) {
	never, err := CompileSchema("never", []byte("false"))
	if err != nil {
		t.Fatal(err)
	}
	rules := func(policies ...OpaquePolicy) Config {
		var c Config
		for _, o := range policies {
			c.Validation = append(c.Validation, Validation{URI: "com.", Match: wamp.MatchPrefix, Schema: never, Opaque: o})
		}
		return c
	}
	for name, c := range map[string]struct {
		config Config
		opaque wamp.Reason
	}{
		"refuse":                    {rules(Refuse), wamp.ReasonValidation},
		"pass":                      {rules(Pass), ""},
		"the stricter of two wins":  {rules(Pass, Refuse), wamp.ReasonValidation},
		"the stricter comes first":  {rules(Refuse, Pass), wamp.ReasonValidation},
		"no rule for opaque at all": {rules(Pass, Pass), ""},
	} {
		i := newInterceptor(t, c.config)
		for _, mt := range []wamp.MessageType{wamp.TypePublish, wamp.TypeCall} {
			for form, m := range map[string]wamp.Message{
				"transparency": message(t, mt, wamp.Attributes{EncAlgo: "cryptobox"}, bare),
				"bare":         message(t, mt, wamp.Attributes{}, bare),
				"passthru":     message(t, mt, wamp.Attributes{PPTScheme: "wamp"}, listed),
				"native":       message(t, mt, wamp.Attributes{PPTScheme: "wamp"}, dict),
				"no payload":   message(t, mt, wamp.Attributes{PPTScheme: "wamp"}, none),
			} {
				t.Run(name+"/"+mt.String()+"/"+form, func(t *testing.T) {
					expect(t, i.Receive(&wamp.RoutedMessage{From: everyForm(), URI: "com.app", Message: m}), c.opaque)
				})
			}
			t.Run(name+"/"+mt.String()+"/clear", func(t *testing.T) {
				clear := message(t, mt, wamp.Attributes{}, oneArg)
				expect(t, i.Receive(&wamp.RoutedMessage{From: everyForm(), URI: "com.app", Message: clear}), wamp.ReasonInvalid)
			})
		}
	}
}

func TestSchemasThatDoNotCompile(t *testing.T) {
	const unfetched = "schemas are not loaded from the network: put the schema into a file in the same folder, without $id"
	for name, c := range map[string]struct{ doc, want string }{
		"not JSON":       {"{\"type\":\n", ":2: not JSON: unexpected end"},
		"nothing":        {"", ":1: not JSON: unexpected end"},
		"a comma":        {"{\n  \"type\": \"object\",\n}\n", ":3: not JSON: invalid character '}' looking for beginning of object key string"},
		"trailing":       {"{}\n\n {}", ":3: not JSON: invalid character after top-level value"},
		"unknown type":   {"{\n  \"properties\": {\n    \"a\": {\"type\": \"text\"}}}", ":3: /properties/a/type: value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'"},
		"in a list":      {"{\"allOf\": [\n{},\n{\"minimum\": \"x\"}]}", ":3: /allOf/1/minimum: got string, want number"},
		"no schema":      {"\n5", ":2: the whole document: got number, want boolean or object"},
		"bad pattern":    {"{\n\"pattern\": \"(\"}", ":2: /pattern: '(' is not valid regex: error parsing regexp: missing closing ): `(`"},
		"network":        {"{\n\"$ref\": \"https://example.com/schema.json\"}", ":2: /$ref: " + unfetched},
		"plain network":  {"{\"items\":\n{\"$ref\": \"http://example.com/schema.json#/a\"}}", ":2: /items/$ref: " + unfetched},
		"file":           {`{"$ref": "file:///etc/passwd"}`, ":1: /$ref: a schema without a file cannot refer to files"},
		"missing target": {"{\n\n\"$ref\": \"#/$defs/none\"}", ":3: /$ref: it refers to a location that does not exist"},
		"missing anchor": {"{\n\"$ref\": \"#none\"}", ":2: /$ref: it refers to an anchor that does not exist"},
		"bad identifier": {"{\"$id\": \"%zz\"}", `: error in parsing id at "memory:///schema.json#"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := CompileSchema("order.schema.json", []byte(c.doc))
			if want := "schema order.schema.json" + c.want; err == nil || err.Error() != want {
				t.Errorf("error %v\nwant  %v", err, want)
			}
		})
	}
	other := filepath.Join(t.TempDir(), "other.json")
	main := filepath.Join(filepath.Dir(other), "main.json")
	for file, doc := range map[string]string{other: "{\n\"type\": 5}", main: `{"$ref": "other.json"}`} {
		if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := LoadSchema(main); err == nil || !strings.HasPrefix(err.Error(), "schema "+other+":2: /type: ") {
		t.Errorf("in a file that it refers to: %v", err)
	}
	if _, err := LoadSchema(filepath.Join(t.TempDir(), "none.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestSchemaRefersToAFileBesideIt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, doc string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("amount.json", `{"properties": {"amount": {"type": "integer"}}}`)
	s, err := LoadSchema(write("order.json", `{"properties": {"kwargs": {"$ref": "amount.json"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	i := newInterceptor(t, Config{Validation: []Validation{{URI: "a", Schema: s}}})
	send := func(v any) error {
		m := message(t, wamp.TypePublish, wamp.Attributes{}, list(nil, map[string]any{"amount": v}))
		return i.Receive(&wamp.RoutedMessage{From: peer(), URI: "a", Message: m})
	}
	expect(t, send(int64(1)), "")
	expectText(t, expect(t, send("x"), wamp.ReasonInvalid), "type at /kwargs/amount")
	if _, err := LoadSchema(write("remote.json", `{"$ref": "https://example.com/x.json"}`)); err == nil {
		t.Error("a file's reference to a network was followed")
	}
}
