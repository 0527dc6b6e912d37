package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// configMetrics tell which configuration is in force, and how the last reload ended.
type configMetrics struct {
	reloads *prometheus.CounterVec
	good    prometheus.Gauge
	since   prometheus.Gauge
	info    *prometheus.GaugeVec
	expiry  *prometheus.GaugeVec
}

func newConfigMetrics(reg prometheus.Registerer) (*configMetrics, error) {
	m := &configMetrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "blindfold_config_reloads_total",
			Help: "Reloads of the configuration, by result: applied, or refused because the new one is wrong."}, []string{"result"}),
		good: prometheus.NewGauge(prometheus.GaugeOpts{Name: "blindfold_config_last_reload_successful",
			Help: "1 if the last reload, or the start, was applied; 0 if it was refused and an older configuration is in force."}),
		since: prometheus.NewGauge(prometheus.GaugeOpts{Name: "blindfold_config_applied_timestamp_seconds",
			Help: "When the configuration in force was applied."}),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "blindfold_config_info",
			Help: "1, with the digest of the configuration in force, which blindfold --check prints."}, []string{"digest"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "blindfold_certificate_expiry_timestamp_seconds",
			Help: "When the first certificate of a listener's chain expires."}, []string{"listener"}),
	}
	m.reloads.WithLabelValues("applied")
	m.reloads.WithLabelValues("refused")
	for _, c := range []prometheus.Collector{m.reloads, m.good, m.since, m.info, m.expiry} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// inForce notes that c is applied.
func (m *configMetrics) inForce(c *config) {
	m.good.Set(1)
	m.since.SetToCurrentTime()
	m.info.Reset()
	m.info.WithLabelValues(c.runningDigest()).Set(1)
	for i := range c.listeners {
		if end := firstExpiry(c.listeners[i].tls); !end.IsZero() {
			m.expiry.WithLabelValues(fmt.Sprintf("listeners[%d]", i)).Set(float64(end.Unix()))
		}
	}
}

// reloaded notes how a reload ended; next is nil if it was refused.
func (m *configMetrics) reloaded(next *config) {
	if next == nil {
		m.reloads.WithLabelValues("refused").Inc()
		m.good.Set(0)
		return
	}
	m.reloads.WithLabelValues("applied").Inc()
	m.inForce(next)
}

// firstExpiry is when the first certificate of the chain expires, or zero without TLS.
func firstExpiry(c *tls.Config) (first time.Time) {
	if c == nil {
		return first
	}
	for _, pair := range c.Certificates {
		for _, der := range pair.Certificate {
			if cert, err := x509.ParseCertificate(der); err == nil && (first.IsZero() || cert.NotAfter.Before(first)) {
				first = cert.NotAfter
			}
		}
	}
	return first
}

// runningDigest stands for the whole configuration, as far as it is not secret: the same
// text means that the same rules are in force.
func (c *config) runningDigest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %+v %+v %s %s\n", c.digest(), c.limits, c.addresses, c.admin, c.log.format)
	for i := range c.listeners {
		l := c.listeners[i]
		l.tls = nil
		fmt.Fprintf(h, "%+v %v\n", l, firstExpiry(c.listeners[i].tls))
	}
	for i := range c.realms {
		for _, m := range c.realms[i].methods {
			fmt.Fprintf(h, "%q %q %v %q\n", m.name, m.procedure, m.bound, m.origins)
		}
		for _, p := range c.realms[i].principals {
			fmt.Fprintf(h, "%q %q\n", p.AuthID, p.Roles)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}
