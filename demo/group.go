package demo

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/scope"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// groupPrefix is the scope of the demo's group.
const groupPrefix wamp.URI = "com.demo.secret."

// maxGroup is how many members the group has at most: the page is open to whoever
// can reach it.
const maxGroup = 100

// group is a sealed scope with its owner, Alice, who lives in the demo's program. The
// other members live in pages and terminals, and join over the router.
type group struct {
	router string
	realm  wamp.URI
	self   *scope.Identity

	mu    sync.Mutex
	owner *scope.Owner
	scope *scope.Scope
	size  int
}

func newGroup(o Options) (*group, error) {
	self, err := scope.NewIdentity("alice", false)
	if err != nil {
		return nil, err
	}
	g := &group{router: o.Router, realm: wamp.URI(o.Realm), self: self, owner: scope.NewOwner(self, wamp.URI(o.Realm), groupPrefix), size: 1}
	g.scope, err = scope.New(self, self.Key, g.realm, groupPrefix, scope.Options{})
	return g, err
}

// change changes the list of members, and publishes the new epoch.
func (g *group) change(ctx context.Context, f func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := f(); err != nil {
		return err
	}
	sealer, err := scope.NewSealer(g.realm, g.scope)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// JSON, as the pages have it.
	s, err := client.Dial(ctx, client.Config{URL: g.router, Realm: g.realm, Sealer: sealer, Agent: "blindfold-demo"})
	if err != nil {
		return err
	}
	defer s.Close()
	return g.owner.Rotate(g.scope, func(bundle []byte) error {
		_, err := s.Publish(ctx, g.scope.Topic(), []any{bundle}, nil, client.PublishOptions{Acknowledge: true, Retain: true})
		return err
	})
}

// request is what a page asks for.
type request struct {
	Line string `json:"line"` // the public line of somebody to add
	Name string `json:"name"` // the name of somebody to remove
}

var errFull = errors.New("the group is full")

func (g *group) add(ctx context.Context, q request) error {
	p, err := scope.ParsePublic(q.Line)
	if err != nil {
		return err
	}
	return g.change(ctx, func() error {
		if g.size >= maxGroup {
			return errFull
		}
		if err := g.owner.Add(p.Name, p, scope.AllRights); err != nil {
			return err
		}
		g.size++
		return nil
	})
}

func (g *group) remove(ctx context.Context, q request) error {
	return g.change(ctx, func() error {
		if err := g.owner.Remove(q.Name); err != nil {
			return err
		}
		g.size--
		return nil
	})
}

// state is what the page shows of the group.
func (g *group) state() any {
	names := []string{}
	epoch := uint64(0)
	if m := g.scope.Manifest(); m != nil {
		epoch = m.Epoch
		for _, k := range m.Members {
			names = append(names, k.Name)
		}
	}
	return map[string]any{"owner": g.self.Public.String(), "realm": g.realm, "prefix": groupPrefix, "epoch": epoch, "members": names}
}

// handle serves the group below /group.
func (g *group) handle(mux *http.ServeMux) {
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /group", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, g.state()) })
	for path, do := range map[string]func(context.Context, request) error{"POST /group/add": g.add, "POST /group/remove": g.remove} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			var q request
			// Pages of other origins can't send this type without being asked first.
			kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
			d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10))
			if kind != "application/json" || d.Decode(&q) != nil {
				answer(w, http.StatusBadRequest, map[string]string{"error": "not a request of this page"})
				return
			}
			if err := do(r.Context(), q); err != nil {
				answer(w, http.StatusUnprocessableEntity, map[string]string{"error": err.Error()})
				return
			}
			answer(w, http.StatusOK, g.state())
		})
	}
}
