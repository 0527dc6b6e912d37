package main

import (
	"log/slog"
	"path/filepath"
	"strconv"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/router/eventstore/boltstore"
)

// advanced are the features of the WAMP Advanced Profile that a realm can have.
// By default only the meta API is on.
type advanced struct {
	noMeta      bool
	trustLevels map[string]uint64
	history     []router.HistoryRule
	historyFile string
	retained    *router.RetainedLimits
	testaments  *router.TestamentLimits
}

// apply copies the settings into c.
func (x *advanced) apply(c *router.RealmConfig, log *slog.Logger) {
	c.NoMeta, c.TrustLevels = x.noMeta, x.trustLevels
	c.History = x.history
	if x.historyFile != "" {
		c.HistoryStore = boltstore.New(x.historyFile, log)
	}
	c.Retained, c.Testaments = x.retained, x.testaments
}

// fields are the keys of a realm that fill x.
func (x *advanced) fields() []field {
	return []field{
		{"meta", func(v value) {
			on := true
			boolean("", &on).read(v)
			x.noMeta = !on
		}},
		{"trustlevels", x.readTrustLevels},
		{"history", x.readHistory},
		{"retained", func(v value) {
			x.retained = new(router.RetainedLimits)
			v.mapping(integer("topics", &x.retained.Topics, 1), size("size", &x.retained.Bytes, 1<<40))
		}},
		{"testaments", func(v value) {
			x.testaments = new(router.TestamentLimits)
			v.mapping(integer("count", &x.testaments.Count, 1), size("size", &x.testaments.Bytes, 1<<40))
		}},
	}
}

func (x *advanced) readTrustLevels(v value) {
	x.trustLevels = make(map[string]uint64)
	v.list(func(v value) {
		role, level, given := "", 0, false
		v.mapping(text("role", &role), field{"level", func(v value) {
			integer("", &level, 0).read(v)
			given = true
		}})
		switch _, twice := x.trustLevels[role]; {
		case role == "" || !given:
			v.fail("needs a role and a level")
		case twice:
			v.fail("the role %s has two levels", strconv.Quote(role))
		}
		x.trustLevels[role] = uint64(level)
	})
}

func (x *advanced) readHistory(v value) {
	v.mapping(
		field{"file", func(v value) {
			text("", &x.historyFile).read(v)
			if x.historyFile != "" && !filepath.IsAbs(x.historyFile) { // relative to the configuration file
				x.historyFile = filepath.Join(filepath.Dir(v.file.name), x.historyFile)
			}
		}},
		field{"topics", func(v value) {
			x.history = readList(v, readHistoryRule)
			v.distinct(namesOf(x.history, func(r *router.HistoryRule) string { return r.Match.String() + " " + string(r.URI) }))
		}},
	)
	if len(x.history) == 0 {
		v.fail("needs topics")
	}
}

func readHistoryRule(v value) (r router.HistoryRule) {
	given := false
	v.mapping(
		uriField(&r.URI, &given),
		matchField(&r.Match),
		integer("limit", &r.Limit, 1),
		size("size", &r.Bytes, 1<<40),
	)
	checkURI(v, r.URI, r.Match, given)
	return r
}
