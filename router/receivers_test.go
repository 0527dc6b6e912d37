package router

import (
	"fmt"
	"slices"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Lists select the same receivers however long they are; to ask about one costs the same
// where a list is long, and nothing is allocated where lists are short.
func TestReceivers(t *testing.T) {
	peer := func(i int) *wamp.Peer {
		return &wamp.Peer{Session: wamp.ID(i), AuthID: fmt.Sprint("u", i%50), AuthRole: fmt.Sprint("r", i%7)}
	}
	ids := func(n int) (list []wamp.ID) {
		for i := range n {
			list = append(list, wamp.ID(1+3*i))
		}
		return list
	}
	texts := func(prefix string, n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint(prefix, 2*i))
		}
		return list
	}
	for _, n := range []int{0, 1, longList - 1, longList, 4096} {
		for name, o := range map[string]wamp.PublishOptions{
			"exclude":           {Exclude: ids(n)},
			"eligible":          {Eligible: ids(n)},
			"exclude_authid":    {ExcludeAuthID: texts("u", n)},
			"eligible_authid":   {EligibleAuthID: texts("u", n)},
			"exclude_authrole":  {ExcludeAuthRole: texts("r", n)},
			"eligible_authrole": {EligibleAuthRole: texts("r", n)},
			"empty":             {Eligible: []wamp.ID{}},
		} {
			r := receiversOf(&o)
			r.index()
			for i := range 500 {
				p := peer(i)
				want := !(slices.Contains(o.Exclude, p.Session) || slices.Contains(o.ExcludeAuthID, p.AuthID) || slices.Contains(o.ExcludeAuthRole, p.AuthRole) ||
					o.Eligible != nil && !slices.Contains(o.Eligible, p.Session) ||
					o.EligibleAuthID != nil && !slices.Contains(o.EligibleAuthID, p.AuthID) ||
					o.EligibleAuthRole != nil && !slices.Contains(o.EligibleAuthRole, p.AuthRole))
				if r.admits(p) != want {
					t.Fatalf("%s of %d: %v admitted, want %t", name, n, p, want)
				}
			}
			for _, s := range []*receiverList[string]{&r.excludeAuthID, &r.excludeAuthRole, &r.eligibleAuthID, &r.eligibleAuthRole} {
				if len(s.list) >= longList && s.set == nil {
					t.Errorf("%s of %d is gone through for each receiver", name, n)
				}
			}
			if n >= longList && (len(o.Exclude) > 0 && r.exclude.set == nil || len(o.Eligible) > 0 && r.eligible.set == nil) {
				t.Errorf("%s of %d is gone through for each receiver", name, n)
			}
		}
	}
	o := wamp.PublishOptions{Exclude: ids(longList - 1), EligibleAuthID: texts("u", longList-1)}
	p := peer(4)
	if n := testing.AllocsPerRun(100, func() {
		r := receiversOf(&o)
		r.index()
		r.admits(p)
	}); n != 0 {
		t.Errorf("%v allocations for short lists", n)
	}
}
