package wamp

// Form is how an opaque payload is declared.
type Form uint8

// The forms. FormNone is a clear payload.
const (
	FormNone Form = iota
	// FormTransparency is a bare binary with enc_algo and its like beside it.
	FormTransparency
	// FormPassthru is a list that holds one element, with ppt_scheme and its
	// like beside it (WAMP, "Payload Passthru Mode").
	FormPassthru
)

// Forms lists the forms of opaque payloads.
var Forms = [...]Form{FormTransparency, FormPassthru}

// String returns the form's name, as metrics label it.
func (f Form) String() string {
	switch f {
	case FormTransparency:
		return "transparency"
	case FormPassthru:
		return "passthru"
	}
	return "none"
}

// Attributes are the options that say how an opaque payload was made. They
// travel with it unchanged, from PUBLISH to EVENT, CALL to INVOCATION, YIELD to
// RESULT and ERROR to ERROR. An empty string is an absent attribute, and is
// never sent.
type Attributes struct {
	EncAlgo, EncKey, EncSerializer                string
	PPTScheme, PPTSerializer, PPTCipher, PPTKeyID string
}

// Declared returns the form that the attributes declare; transparency wins
// where both are declared, which Receive of package passthrough refuses.
func (a *Attributes) Declared() Form {
	switch {
	case a.EncAlgo != "" || a.EncKey != "" || a.EncSerializer != "":
		return FormTransparency
	case a.PPTScheme != "" || a.PPTSerializer != "" || a.PPTCipher != "" || a.PPTKeyID != "":
		return FormPassthru
	}
	return FormNone
}

// Size returns the bytes of the attributes.
func (a *Attributes) Size() int {
	return len(a.EncAlgo) + len(a.EncKey) + len(a.EncSerializer) +
		len(a.PPTScheme) + len(a.PPTSerializer) + len(a.PPTCipher) + len(a.PPTKeyID)
}

// Scheme returns the value that names the encryption: enc_algo or ppt_scheme.
func (a *Attributes) Scheme() string {
	if a.EncAlgo != "" {
		return a.EncAlgo
	}
	return a.PPTScheme
}

func (a *Attributes) field(key string) any {
	switch key {
	case "enc_algo":
		return &a.EncAlgo
	case "enc_key":
		return &a.EncKey
	case "enc_serializer":
		return &a.EncSerializer
	case "ppt_scheme":
		return &a.PPTScheme
	case "ppt_serializer":
		return &a.PPTSerializer
	case "ppt_cipher":
		return &a.PPTCipher
	case "ppt_keyid":
		return &a.PPTKeyID
	}
	return nil
}

func (a *Attributes) write(w DictWriter) {
	if *a == (Attributes{}) {
		return
	}
	w.String("enc_algo", a.EncAlgo)
	w.String("enc_key", a.EncKey)
	w.String("enc_serializer", a.EncSerializer)
	w.String("ppt_scheme", a.PPTScheme)
	w.String("ppt_serializer", a.PPTSerializer)
	w.String("ppt_cipher", a.PPTCipher)
	w.String("ppt_keyid", a.PPTKeyID)
}

// FormOf returns the form of a message's payload: what its shape shows or its
// attributes declare. FormNone means that the payload is clear.
func FormOf(a *Attributes, p *Payload) Form {
	if p.Shape() == ShapeBinary {
		return FormTransparency
	}
	return a.Declared()
}
