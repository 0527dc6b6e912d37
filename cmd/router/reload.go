package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/blindfold-wamp/blindfold/router"
)

// watchEvery is the interval at which the files of the configuration are checked
// for changes. They are read again once they have not changed for one interval:
// a certificate and its key are two files, and are written one after the other.
const watchEvery = 2 * time.Second

// fileState is compared to find out whether a file has changed.
type fileState struct {
	size    int64
	changed time.Time
	info    os.FileInfo
}

func fileStates(files []string) []fileState {
	out := make([]fileState, len(files))
	for i, name := range files {
		if info, err := os.Stat(name); err == nil {
			out[i] = fileState{info.Size(), info.ModTime(), info}
		}
	}
	return out
}

func sameFiles(a, b []fileState) bool {
	return slices.EqualFunc(a, b, func(x, y fileState) bool {
		return x.size == y.size && x.changed.Equal(y.changed) && (x.info == nil) == (y.info == nil) &&
			(x.info == nil || os.SameFile(x.info, y.info))
	})
}

// watchConfig reloads the configuration on SIGHUP, and when one of its files has
// changed, until ctx ends.
func (s *server) watchConfig(ctx context.Context, name string, c *config, hangup <-chan os.Signal) {
	if name == "" {
		name = os.DevNull // SIGHUP then does nothing
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	files := c.files
	read := fileStates(files) // when they were last read
	last := read
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			if name == os.DevNull {
				s.log.Info("SIGHUP ignored: the router was started without a configuration file")
				continue
			}
		case <-tick.C:
			now := fileStates(files)
			settled := sameFiles(now, last)
			last = now
			if !settled || sameFiles(now, read) {
				continue
			}
		}
		read = fileStates(files)
		last = read
		next := s.reload(name, c)
		s.config.reloaded(next)
		if next != nil {
			c = next
			if !slices.Equal(files, c.files) {
				files = c.files
				read = fileStates(files)
				last = read
			}
		}
	}
}

// reload reads the configuration again and applies it. If that fails, it logs
// the error, keeps the old configuration, and returns nil.
func (s *server) reload(name string, old *config) *config {
	notify(reloading())
	defer notify("READY=1")
	c, err := load(name)
	if err == nil {
		err = s.apply(c, old)
	}
	if err != nil {
		s.log.Error("reload failed: the old configuration stays in force", "error", err.Error())
		return nil
	}
	warn(s.log, c)
	s.log.Info("configuration reloaded", "file", name)
	return c
}

// apply applies a new configuration. It changes nothing and returns an error if
// c needs a restart.
func (s *server) apply(c, old *config) error {
	if old.realmsSet && !c.realmsSet {
		// A half-written file looks like this, and the default realm admits everybody.
		return fmt.Errorf("realms is missing: going back to the default realm needs a restart")
	}
	if len(c.listeners) != len(old.listeners) {
		return fmt.Errorf("listeners: adding or removing one needs a restart")
	}
	for i, l := range c.listeners {
		if !l.sameAs(&old.listeners[i]) {
			return fmt.Errorf("listeners[%d]: any change but that of its certificates needs a restart", i)
		}
	}
	if !reflect.DeepEqual(c.cluster, old.cluster) {
		return fmt.Errorf("cluster: a change needs a restart")
	}
	if c.admin != old.admin || !slices.Equal(c.adminHosts, old.adminHosts) || c.webConfig != old.webConfig || c.pprof != old.pprof {
		return fmt.Errorf("admin: a change needs a restart")
	}
	if c.log.format != old.log.format || c.log.names != old.log.names {
		return fmt.Errorf("log: a change of format or names needs a restart")
	}
	for i := range c.realms {
		for j := range old.realms {
			if c.realms[i].name == old.realms[j].name && !reflect.DeepEqual(c.realms[i].advanced, old.realms[j].advanced) {
				return fmt.Errorf("realms[%d]: a change of meta, trustlevels, history, retained or testaments needs a restart", i)
			}
		}
	}
	realms, err := s.realmsOf(c)
	if err != nil {
		return err
	}
	if err := s.router.Reload(router.Config{Realms: realms, Limits: c.limits}); err != nil {
		return err
	}
	s.transport.SetLimits(c.transportLimits())
	old.log.level.Set(c.log.level.Level()) // the logger and PUT /loglevel have the old one
	c.log.level = old.log.level
	for i, t := range s.tls {
		if t != nil {
			t.config.Store(c.listeners[i].tls)
		}
	}
	return nil
}
