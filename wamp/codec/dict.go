package codec

import (
	"hash/maphash"
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// dict reads the options or details whose head is in d.tok. Unknown keys are skipped;
// null counts as absent. A key that occurs twice is an error, as other readers of the
// message may take either value.
func (d *decoding) dict(name string, dict wamp.Dict) {
	seen, unknown := 0, 0
	for l, i := d.entries(name), 0; d.entry(name, &l, i); i++ {
		field := dict.Field(view(d.tok.text))
		if field == nil {
			if unknown++; d.unknownAgain(d.tok.text, unknown) {
				d.fail(name, "has a key twice")
				return
			}
			d.pass(name)
			continue
		}
		d.key = append(d.key[:0], d.tok.text...)
		if d.repeated(field, seen) {
			d.fail(name, "is given twice")
			return
		}
		seen++
		if d.read(name) && d.tok.kind != kindNull {
			d.value(name, field)
		}
		if d.err == nil {
			d.key = d.key[:0]
		}
	}
}

// repeated reports whether field is one of the seen, and adds it to them. A
// dict has fewer fields than there is room.
func (d *decoding) repeated(field any, seen int) bool {
	for _, f := range d.seen[:seen] {
		if f == field {
			return true
		}
	}
	d.seen[seen] = field
	return false
}

// unknownAgain reports whether a dict has had an unknown key before; key is its n-th. A
// keyed hash of each key is stored, which a peer can't predict.
func (d *decoding) unknownAgain(key []byte, n int) bool {
	if n == 1 {
		clear(d.unknown)
	}
	if d.unknown == nil {
		d.unknown, d.hash = make(map[uint64]struct{}), maphash.MakeSeed()
	}
	h := maphash.Bytes(d.hash, key)
	_, again := d.unknown[h]
	d.unknown[h] = struct{}{}
	return again
}

// entries takes d.tok for the head of a dict.
func (d *decoding) entries(name string) remaining {
	if d.tok.kind != kindMap {
		d.fail(name, "must be a dict")
	}
	return d.tok.remaining
}

// entry reads the i-th key of a dict into d.tok and steps to its value.
func (d *decoding) entry(name string, l *remaining, i int) bool {
	if d.err != nil || !d.step(name, l, i) || !d.read(name) {
		return false
	}
	if d.tok.kind != kindText {
		d.fail(name, "has a key that is not a string")
		return false
	}
	key := d.tok.text
	var ok bool
	if *l, ok = step(d.r, *l); !ok {
		d.malformed(name, d.r.fault())
	}
	d.tok.text = key
	return ok
}

// step steps to the i-th element or entry of a container in the envelope.
func (d *decoding) step(name string, l *remaining, i int) bool {
	next, ok := step(d.r, *l)
	*l = next
	if !ok && d.r.fault() != "" {
		d.malformed(name, d.r.fault())
	}
	if ok && i >= d.maxItems {
		d.fail(name, faultTooMany)
		return false
	}
	return ok
}

// value reads the value that begins with d.tok into field, whose type says
// what the value must be.
func (d *decoding) value(name string, field any) {
	switch f := field.(type) {
	case *string:
		d.text(name, f)
		// Absent and empty differ, and an empty attribute would end a
		// receiver's session.
		if d.err == nil && *f == "" && attribute(d.key) {
			d.fail(name, "must not be empty")
		}
	case *wamp.URI:
		d.text(name, (*string)(f))
	case *bool:
		*f = d.boolean(name)
	case *wamp.Flag:
		if *f = wamp.False; d.boolean(name) {
			*f = wamp.True
		}
	case *wamp.ID:
		d.id(name, f, 1)
	case *uint64:
		*f = d.count(name)
	case *wamp.Trust:
		*f = wamp.TrustLevel(d.count(name))
	case *[]wamp.ID:
		list := []wamp.ID{}
		for l, i := d.elements(name), 0; d.item(name, &l, i); i++ {
			list = append(list, 0)
			d.id(name, &list[i], 1)
		}
		*f = slices.Clip(list) // shared with the cache: an append must copy
	case *[]string:
		list := []string{}
		for l, i := d.elements(name), 0; d.item(name, &l, i); i++ {
			list = append(list, "")
			d.text(name, &list[i])
		}
		*f = slices.Clip(list) // shared with the cache: an append must copy
	case *[]any:
		if v, ok := d.build(name, kindArray).([]any); ok {
			*f = slices.Clip(v)
		}
	case *map[string]any:
		if v, ok := d.build(name, kindMap).(map[string]any); ok {
			*f = v
		}
	case *wamp.Roles:
		d.roles(name, f)
	}
}

func attribute(key []byte) bool {
	return len(key) > 4 && (string(key[:4]) == "enc_" || string(key[:4]) == "ppt_")
}

// elements takes d.tok for the head of a list.
func (d *decoding) elements(name string) remaining {
	if d.tok.kind != kindArray {
		d.fail(name, "must be a list")
	}
	return d.tok.remaining
}

// item reads the i-th element of a list in the envelope into d.tok.
func (d *decoding) item(name string, l *remaining, i int) bool {
	return d.err == nil && d.step(name, l, i) && d.read(name)
}

func (d *decoding) boolean(name string) bool {
	if d.tok.kind != kindBool {
		d.fail(name, "must be a boolean")
	}
	return d.tok.num == 1
}

func (d *decoding) count(name string) uint64 {
	n, ok := d.integer()
	if !ok {
		d.fail(name, "must be an integer from 0 to 2^53")
	}
	return n
}

// build makes a value of what d.tok begins, which has to be of kind k.
func (d *decoding) build(name string, k kind) any {
	if d.tok.kind != k {
		if k == kindMap {
			d.fail(name, "must be a dict")
		} else {
			d.fail(name, "must be a list")
		}
		return nil
	}
	d.builder = builder{r: d.r, items: d.maxItems}
	v, problem := d.builder.value(d.tok, d.maxDepth)
	if problem != "" {
		d.fail(name, "holds "+problem)
	}
	return v
}

// roles reads a dict of roles: each a dict with, at most, a dict of features
// (WAMP, "Feature Announcement"). Unknown roles and features are skipped.
func (d *decoding) roles(name string, roles *wamp.Roles) {
	for l, i := d.entries(name), 0; d.entry(name, &l, i); i++ {
		role := roles.Named(view(d.tok.text))
		if role == nil {
			d.pass(name)
			continue
		}
		if !d.read(name) || d.tok.kind == kindNull {
			continue
		}
		role.Present = true
		for l, i := d.entries(name), 0; d.entry(name, &l, i); i++ {
			if string(d.tok.text) != "features" {
				d.pass(name)
			} else if d.read(name) && d.tok.kind != kindNull {
				d.features(name, &role.Features)
			}
		}
	}
}

func (d *decoding) features(name string, set *wamp.Features) {
	for l, i := d.entries(name), 0; d.entry(name, &l, i); i++ {
		f, known := wamp.ParseFeature(d.tok.text)
		if !d.read(name) {
			return
		}
		if known && d.tok.kind == kindBool && d.tok.num == 1 {
			set.Add(f)
		}
		if fault := d.walker.finish(d.r, &d.tok, d.maxDepth, d.maxItems); fault != "" {
			d.malformed(name, fault)
		}
	}
}
