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

// watchEvery is how often the files that the configuration came from are looked
// at, and how long they must have been left alone before they are read: whoever
// writes a certificate and its key writes two files.
const watchEvery = 2 * time.Second

// stamp is what tells a changed file from the same.
type stamp struct {
	size    int64
	changed time.Time
	info    os.FileInfo
}

func stampsOf(files []string) []stamp {
	out := make([]stamp, len(files))
	for i, name := range files {
		if info, err := os.Stat(name); err == nil {
			out[i] = stamp{info.Size(), info.ModTime(), info}
		}
	}
	return out
}

func sameFiles(a, b []stamp) bool {
	return slices.EqualFunc(a, b, func(x, y stamp) bool {
		return x.size == y.size && x.changed.Equal(y.changed) && (x.info == nil) == (y.info == nil) &&
			(x.info == nil || os.SameFile(x.info, y.info))
	})
}

// keepUp reloads the configuration of a server when asked to by SIGHUP, or when
// one of the files that it came from has changed, until ctx ends.
func (s *server) keepUp(ctx context.Context, name string, c *config, hangup <-chan os.Signal) {
	if name == "" {
		name = os.DevNull // SIGHUP then changes nothing, and ends nothing
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	files := c.files
	read := stampsOf(files) // as of the last reading
	last := read
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			if name == os.DevNull {
				s.log.Info("there is no configuration file to reload")
				continue
			}
		case <-tick.C:
			now := stampsOf(files)
			settled := sameFiles(now, last)
			last = now
			if !settled || sameFiles(now, read) {
				continue
			}
		}
		read = stampsOf(files)
		last = read
		if next := s.reload(name, c); next != nil {
			c = next
			if !slices.Equal(files, c.files) {
				files = c.files
				read = stampsOf(files)
				last = read
			}
		}
	}
}

// reload reads the configuration again and puts it to work. What is wrong is
// logged, and the old one stays: then it returns nil.
func (s *server) reload(name string, old *config) *config {
	notify(reloading())
	defer notify("READY=1")
	c, err := load(name)
	if err == nil {
		err = s.apply(c, old)
	}
	if err != nil {
		s.log.Error("the new configuration is refused, the old one stays", "error", err.Error())
		return nil
	}
	s.log.Info("the configuration was reloaded", "file", name)
	return c
}

// apply puts a new configuration to work, as far as that goes without a restart.
func (s *server) apply(c, old *config) error {
	if old.given && !c.given {
		// Such is a file that is only half written; and the default lets anybody in.
		return fmt.Errorf("realms is no longer there: to go back to the default takes a restart")
	}
	if len(c.listeners) != len(old.listeners) {
		return fmt.Errorf("listeners can't be added or removed without a restart")
	}
	for i, l := range c.listeners {
		if !l.sameAs(&old.listeners[i]) {
			return fmt.Errorf("listeners[%d] has changed: only its certificates can without a restart", i)
		}
	}
	if c.admin != old.admin || c.webConfig != old.webConfig || c.pprof != old.pprof {
		return fmt.Errorf("admin can't be changed without a restart")
	}
	for i := range c.realms {
		for j := range old.realms {
			if c.realms[i].name == old.realms[j].name && !reflect.DeepEqual(c.realms[i].extras, old.realms[j].extras) {
				return fmt.Errorf("realms[%d]: meta, trustlevels, history, retained and testaments can't be changed without a restart", i)
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
	old.log.level.Set(c.log.level.Level()) // the log and PUT /loglevel hold on to the old one
	c.log.level = old.log.level
	for i, t := range s.secured {
		if t != nil {
			t.config.Store(c.listeners[i].tls)
		}
	}
	return nil
}
