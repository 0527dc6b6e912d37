package metrics

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// The whole contract with dashboards: names, labels, and how many series there are.
func TestSeriesOfAnIdleRealm(t *testing.T) {
	_, reg := newMetrics(t, "r")
	count := map[string]int{}
	for name, value := range gather(t, reg) {
		family, _, _ := strings.Cut(name, "{")
		count[family]++
		if value != 0 && family != "blindfold_build_info" {
			t.Errorf("%s begins at %v", name, value)
		}
	}
	reasons := len(wamp.Reasons)
	want := map[string]int{
		"blindfold_opaque_payload_size_bytes_count": 4, "blindfold_opaque_payload_size_bytes_sum": 4,
		"blindfold_clear_messages_total": 4, "blindfold_clear_payload_bytes_total": 4, "blindfold_deliveries_total": 4,
		"blindfold_opaque_refused_total": 5 * 4, "blindfold_dropped_total": 4, "blindfold_turned_away_total": reasons, "blindfold_authenticator_failures_total": 1,
		"blindfold_limits_total":          len(wamp.Limits),
		"blindfold_sessions_opened_total": 1, "blindfold_sessions_closed_total": len(router.Ends) - 1,
		"blindfold_subscriptions": 1, "blindfold_registrations": 1, "blindfold_invocations_in_flight": 1,
		"blindfold_route_seconds_count": 1, "blindfold_route_seconds_sum": 1,
		"blindfold_unknown_realm_total": 1, "blindfold_build_info": 1,
	}
	if !maps.Equal(count, want) {
		t.Errorf("series %v\nwant   %v", count, want)
	}
	ofRealm := 0
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if len(m.Label) > 0 && m.Label[0].GetName() == "realm" {
				ofRealm++
				if h := m.GetHistogram(); h != nil {
					ofRealm += len(h.GetBucket()) + 2 // buckets, +Inf, sum and count, instead of one
				}
			}
		}
	}
	if ofRealm > 100 {
		t.Errorf("an idle realm has %d series", ofRealm)
	}
	if _, ok := gather(t, reg)[`blindfold_opaque_refused_total{realm="r",reason="conversion",type="EVENT"}`]; !ok {
		t.Error("the refused conversions of events are not there")
	}
}

// Whatever a session sends or is, no label value comes of it.
func TestNothingAClientSendsCreatesALabelValue(t *testing.T) {
	m, reg := newMetrics(t, "r")
	known := map[string]bool{"r": true, "": true, "transparency": true, "passthru": true}
	for _, list := range [][]string{typeNames[:], deliveredNames[:], schemes[:], transports[:], serializers[:]} {
		for _, name := range list {
			known[name] = true
		}
	}
	for _, reason := range wamp.Reasons {
		known[string(reason)] = true
	}
	for _, end := range router.Ends {
		known[string(end)] = true
	}
	for _, limit := range wamp.Limits {
		known[string(limit)] = true
	}
	r := rand.New(rand.NewPCG(3, 4))
	word := func() string {
		if r.IntN(3) == 0 {
			return ""
		}
		b := make([]byte, r.IntN(12))
		for n := range b {
			b[n] = byte(r.IntN(256))
		}
		return string(b)
	}
	messages := []wamp.MessageType{
		wamp.TypePublish, wamp.TypeCall, wamp.TypeYield, wamp.TypeError, wamp.TypeEvent, wamp.TypeInvocation,
		wamp.TypeResult, wamp.TypeSubscribe, wamp.TypeRegister, wamp.TypeCancel, wamp.TypeHello,
	}
	counted := 0
	for range 20000 {
		msg := wamp.New(messages[r.IntN(len(messages))])
		tr := &wamp.RoutedMessage{Message: msg, URI: wamp.URI(word())}
		if _, ok := msg.(wamp.Carrier); ok {
			tr = carry(msg, wamp.Attributes{
				EncAlgo: word(), EncKey: word(), EncSerializer: word(),
				PPTScheme: word(), PPTSerializer: word(), PPTCipher: word(), PPTKeyID: word(),
			}, wamp.Shape(r.IntN(3)), r.IntN(100))
		}
		realm := "r"
		if r.IntN(4) == 0 {
			realm = word()
		}
		m.Observe(&router.Observation{
			Kind: router.Kind(r.IntN(int(router.AuthenticatorFailed) + 1)), Realm: realm, Routed: tr,
			Peer: &wamp.Peer{
				Session: wamp.RandomID(), Realm: word(), AuthID: word(), AuthRole: word(), AuthMethod: word(), Agent: word(),
				Transport: word(), Serializer: wamp.Serializer(r.IntN(256)),
			},
			Refusal: refusal(wamp.Reason(word())), End: router.End(word()), Deliveries: r.IntN(5),
		})
		counted++
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := 0
	for _, f := range families {
		for _, m := range f.Metric {
			series++
			for _, l := range m.Label {
				if f.GetName() != "blindfold_build_info" && !known[l.GetValue()] {
					t.Errorf("%s: the label %s is %q after %d observations", f.GetName(), l.GetName(), l.GetValue(), counted)
				}
			}
		}
	}
	if series < 100 {
		t.Errorf("%d series: the test tests too little", series)
	}
	if gather(t, reg)["blindfold_unknown_realm_total"] == 0 {
		t.Error("no unknown realm was counted: the test tests too little")
	}
}

func TestLint(t *testing.T) {
	_, reg := newMetrics(t, "r")
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

type source []router.RealmStats

func (s source) Stats() []router.RealmStats { return s }

func TestWatch(t *testing.T) {
	m, reg := newMetrics(t, "r", "s")
	m.Watch(source{{Realm: "r", Subscriptions: 1, Registrations: 2, Invocations: 3}, {Realm: "not configured", Subscriptions: 9}})
	m.Watch(source{{Realm: "r", Subscriptions: 10}})
	got := gather(t, reg)
	for name, want := range map[string]float64{
		`blindfold_subscriptions{realm="r"}`: 11, `blindfold_registrations{realm="r"}`: 2, `blindfold_invocations_in_flight{realm="r"}`: 3,
		`blindfold_subscriptions{realm="s"}`: 0,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v, want %v", name, value, want)
		}
	}
	if len(gather(t, reg)) != len(got) {
		t.Error("the number of series changed")
	}
	for name := range got {
		if strings.Contains(name, "not configured") {
			t.Errorf("%s is there", name)
		}
	}
}
