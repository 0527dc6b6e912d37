package verify

import (
	"errors"

	"github.com/blindfold-wamp/blindfold/scope"
	"github.com/blindfold-wamp/blindfold/verify/internal/search"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// scoped is a sealed scope of this run: an owner who publishes, and a member. Their
// secrets are searched for, and the scope's messages and bundle are among the traffic.
type scoped struct {
	owner, member *scope.Sealer
	view          *scope.Scope // the member's
	bundle        []byte
	secrets       []search.Pattern
}

var bundleAttributes = wamp.Attributes{PPTScheme: "x_blindfold_1", PPTSerializer: "cbor"}

func newScoped(realm, prefix wamp.URI) (*scoped, error) {
	var x scoped
	alice, err := scope.NewIdentity("alice", false)
	if err != nil {
		return nil, err
	}
	bob, err := scope.NewIdentity("bob", false)
	if err != nil {
		return nil, err
	}
	list := scope.NewOwner(alice, realm, prefix)
	if err := list.Add("bob", &bob.Public, scope.AllRights); err != nil {
		return nil, err
	}
	hers, err := scope.New(alice, alice.Key, realm, prefix, scope.Options{})
	if err != nil {
		return nil, err
	}
	if x.view, err = scope.New(bob, alice.Key, realm, prefix, scope.Options{}); err != nil {
		return nil, err
	}
	if err := list.Rotate(hers, func(bundle []byte) error {
		x.bundle = bundle
		_, err := x.view.Accept(bundle)
		return err
	}); err != nil {
		return nil, err
	}
	if x.owner, err = scope.NewSealer(realm, hers); err != nil {
		return nil, err
	}
	if x.member, err = scope.NewSealer(realm, x.view); err != nil {
		return nil, err
	}
	for _, s := range append(hers.Secrets(), x.view.Secrets()...) {
		x.secrets = append(x.secrets, search.Encodings(s.Name, s.Bytes, s.Text)...)
	}
	return &x, nil
}

// seal returns a message of the scope.
func (x *scoped) seal(topic wamp.URI, args []any, kwargs map[string]any) (wamp.Attributes, []byte, error) {
	a, payload, sealed, err := x.owner.Seal(&wamp.Subject{Type: wamp.TypePublish, URI: topic, Originator: true}, args, kwargs)
	if err == nil && !sealed {
		err = errors.New("the scope seals nothing")
	}
	return a, payload, err
}

// opens returns nil if what was delivered on a topic can be opened. That it may have been
// delivered before is not what is asked.
func (x *scoped) opens(topic wamp.URI, a *wamp.Attributes, content []byte) error {
	if *a == bundleAttributes {
		_, err := x.view.Accept(content)
		return err
	}
	_, _, err := x.member.Open(&wamp.Subject{Type: wamp.TypePublish, URI: topic, Stored: true}, a, content)
	return err
}
