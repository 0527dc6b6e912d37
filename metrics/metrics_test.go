package metrics

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// gather returns all series as name{label="value",...} and their values. A
// histogram is its _count and its _sum.
func gather(t testing.TB, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			suffix := ""
			if len(labels) > 0 {
				suffix = "{" + strings.Join(labels, ",") + "}"
			}
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				series[f.GetName()+suffix] = m.Counter.GetValue()
			case dto.MetricType_GAUGE:
				series[f.GetName()+suffix] = m.Gauge.GetValue()
			case dto.MetricType_HISTOGRAM:
				series[f.GetName()+"_count"+suffix] = float64(m.Histogram.GetSampleCount())
				series[f.GetName()+"_sum"+suffix] = m.Histogram.GetSampleSum()
			default:
				t.Fatalf("%s is a %s", f.GetName(), f.GetType())
			}
		}
	}
	return series
}

func newMetrics(t testing.TB, realms ...string) (*Metrics, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	m, err := New(reg, Options{Realms: realms, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	return m, reg
}

type transcoder struct{}

func (transcoder) Serializer() wamp.Serializer { return wamp.CBOR }

func (transcoder) DecodePayload([]byte, int) ([]any, map[string]any, error) {
	return nil, nil, errors.New("metrics have no business with payloads")
}

// carry puts a payload of size bytes and its attributes into m.
func carry(m wamp.Message, a wamp.Attributes, shape wamp.Shape, size int) *wamp.Transit {
	p, attributes := m.(wamp.Carrier).Carried()
	*attributes = a
	*p = wamp.NewPayload(transcoder{}, make([]byte, size+2), wamp.PayloadFacts{
		Shape: shape, Elements: 1, Args: 1, Size: size, Opaque: a.Declared() != wamp.FormNone,
	})
	return &wamp.Transit{Message: m}
}

func refusal(reason wamp.Reason) *wamp.Refusal { return &wamp.Refusal{Reason: reason} }

func TestObserve(t *testing.T) {
	crypto := wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}
	ppt := wamp.Attributes{PPTScheme: "wamp"}
	alice := &wamp.Peer{Transport: "websocket", Serializer: wamp.MsgPack}
	cases := []struct {
		name string
		seen router.Observation
		want map[string]float64 // what changed, without blindfold_
	}{
		{
			name: "session opened",
			seen: router.Observation{Kind: router.SessionOpened, Realm: "r", Peer: alice},
			want: map[string]float64{`sessions_opened_total{realm="r"}`: 1, `sessions{realm="r",serializer="msgpack",transport="websocket"}`: 1},
		},
		{
			name: "session closed",
			seen: router.Observation{Kind: router.SessionClosed, Realm: "r", Peer: alice},
			want: map[string]float64{`sessions_closed_total{realm="r",reason="none"}`: 1, `sessions{realm="r",serializer="msgpack",transport="websocket"}`: -1},
		},
		{
			name: "session closed by the router",
			seen: router.Observation{Kind: router.SessionClosed, Realm: "r", Peer: &wamp.Peer{Transport: "carrier pigeon"}, Refusal: refusal(wamp.ReasonQueueFull)},
			want: map[string]float64{`sessions_closed_total{realm="r",reason="queue_full"}`: 1, `sessions{realm="r",serializer="other",transport="other"}`: -1},
		},
		{
			name: "opaque publish",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Transit: carry(&wamp.Publish{}, crypto, wamp.ShapeBinary, 100), Deliveries: 3, Elapsed: time.Second},
			want: map[string]float64{
				`opaque_messages_total{form="transparency",realm="r",scheme="cryptobox",type="PUBLISH"}`:      1,
				`opaque_payload_bytes_total{form="transparency",realm="r",scheme="cryptobox",type="PUBLISH"}`: 100,
				`opaque_payload_size_bytes_count{realm="r",type="PUBLISH"}`:                                   1,
				`opaque_payload_size_bytes_sum{realm="r",type="PUBLISH"}`:                                     100,
				`deliveries_total{realm="r",type="EVENT"}`:                                                    3,
				`route_seconds_count`: 1,
				`route_seconds_sum`:   1,
			},
		},
		{
			name: "opaque call",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Transit: carry(&wamp.Call{}, ppt, wamp.ShapeList, 7), Deliveries: 1},
			want: map[string]float64{
				`opaque_messages_total{form="passthru",realm="r",scheme="wamp",type="CALL"}`:      1,
				`opaque_payload_bytes_total{form="passthru",realm="r",scheme="wamp",type="CALL"}`: 7,
				`opaque_payload_size_bytes_count{realm="r",type="CALL"}`:                          1,
				`opaque_payload_size_bytes_sum{realm="r",type="CALL"}`:                            7,
				`deliveries_total{realm="r",type="INVOCATION"}`:                                   1,
				`route_seconds_count`: 1,
			},
		},
		{
			name: "bare binary yielded",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Transit: carry(&wamp.Yield{}, wamp.Attributes{}, wamp.ShapeBinary, 7), Deliveries: 1},
			want: map[string]float64{
				`opaque_messages_total{form="transparency",realm="r",scheme="none",type="YIELD"}`:      1,
				`opaque_payload_bytes_total{form="transparency",realm="r",scheme="none",type="YIELD"}`: 7,
				`opaque_payload_size_bytes_count{realm="r",type="YIELD"}`:                              1,
				`opaque_payload_size_bytes_sum{realm="r",type="YIELD"}`:                                7,
				`deliveries_total{realm="r",type="RESULT"}`:                                            1,
				`route_seconds_count`: 1,
			},
		},
		{
			name: "custom scheme in an error",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Transit: carry(&wamp.Error{}, wamp.Attributes{EncAlgo: "x_mine"}, wamp.ShapeBinary, 7), Deliveries: 1},
			want: map[string]float64{
				`opaque_messages_total{form="transparency",realm="r",scheme="other",type="ERROR"}`:      1,
				`opaque_payload_bytes_total{form="transparency",realm="r",scheme="other",type="ERROR"}`: 7,
				`opaque_payload_size_bytes_count{realm="r",type="ERROR"}`:                               1,
				`opaque_payload_size_bytes_sum{realm="r",type="ERROR"}`:                                 7,
				`deliveries_total{realm="r",type="ERROR"}`:                                              1,
				`route_seconds_count`: 1,
			},
		},
		{
			name: "clear publish that nobody gets",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Transit: carry(&wamp.Publish{}, wamp.Attributes{}, wamp.ShapeList, 7)},
			want: map[string]float64{`clear_messages_total{realm="r",type="PUBLISH"}`: 1, `route_seconds_count`: 1},
		},
		{
			name: "call without payload",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Transit: &wamp.Transit{Message: &wamp.Call{}}, Deliveries: 1},
			want: map[string]float64{`clear_messages_total{realm="r",type="CALL"}`: 1, `deliveries_total{realm="r",type="INVOCATION"}`: 1, `route_seconds_count`: 1},
		},
		{
			name: "opaque call refused",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Transit: carry(&wamp.Call{}, crypto, wamp.ShapeBinary, 7), Refusal: refusal(wamp.ReasonConversion)},
			want: map[string]float64{
				`refused_total{realm="r",reason="conversion",type="CALL"}`:        1,
				`opaque_refused_total{realm="r",reason="conversion",type="CALL"}`: 1,
			},
		},
		{
			name: "refused on the way out",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Transit: carry(&wamp.Result{}, crypto, wamp.ShapeBinary, 7), Refusal: refusal(wamp.ReasonUnsupported)},
			want: map[string]float64{
				`refused_total{realm="r",reason="receiver_lacks_form",type="YIELD"}`:        1,
				`opaque_refused_total{realm="r",reason="receiver_lacks_form",type="YIELD"}`: 1,
			},
		},
		{
			name: "cleartext refused",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Transit: carry(&wamp.Publish{}, wamp.Attributes{}, wamp.ShapeList, 7), Refusal: refusal(wamp.ReasonCleartext)},
			want: map[string]float64{
				`refused_total{realm="r",reason="cleartext",type="PUBLISH"}`:        1,
				`opaque_refused_total{realm="r",reason="cleartext",type="PUBLISH"}`: 1,
			},
		},
		{
			name: "clear publish refused",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Transit: carry(&wamp.Publish{}, wamp.Attributes{}, wamp.ShapeList, 7), Refusal: refusal(wamp.ReasonUnauthorized)},
			want: map[string]float64{`refused_total{realm="r",reason="not_authorized",type="PUBLISH"}`: 1},
		},
		{
			name: "subscribe refused",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Transit: &wamp.Transit{Message: &wamp.Subscribe{}}, Refusal: refusal(wamp.ReasonURI)},
			want: map[string]float64{`refused_total{realm="r",reason="invalid_uri",type="SUBSCRIBE"}`: 1},
		},
		{
			name: "register refused",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Transit: &wamp.Transit{Message: &wamp.Register{}}, Refusal: refusal(wamp.ReasonURI)},
			want: map[string]float64{`refused_total{realm="r",reason="invalid_uri",type="REGISTER"}`: 1},
		},
		{
			name: "broken frame",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Transit: &wamp.Transit{}, Refusal: refusal(wamp.ReasonProtocol)},
			want: map[string]float64{`refused_total{realm="r",reason="protocol_violation",type="other"}`: 1},
		},
		{
			name: "broken frame without transit",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Refusal: refusal(wamp.ReasonProtocol)},
			want: map[string]float64{`refused_total{realm="r",reason="protocol_violation",type="other"}`: 1},
		},
		{
			name: "a reason of the embedding program's",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Transit: &wamp.Transit{Message: &wamp.Call{}}, Refusal: refusal("too late")},
			want: map[string]float64{`refused_total{realm="r",reason="interceptor",type="CALL"}`: 1},
		},
		{
			name: "opaque event dropped",
			seen: router.Observation{Kind: router.Dropped, Realm: "r", Transit: carry(&wamp.Publish{}, crypto, wamp.ShapeBinary, 7), Refusal: refusal(wamp.ReasonConversion)},
			want: map[string]float64{
				`dropped_total{realm="r",reason="conversion"}`:                     1,
				`opaque_refused_total{realm="r",reason="conversion",type="EVENT"}`: 1,
			},
		},
		{
			name: "clear event dropped",
			seen: router.Observation{Kind: router.Dropped, Realm: "r", Transit: carry(&wamp.Event{}, wamp.Attributes{}, wamp.ShapeList, 7), Refusal: refusal(wamp.ReasonQueueFull)},
			want: map[string]float64{`dropped_total{realm="r",reason="queue_full"}`: 1},
		},
		{
			name: "something else dropped",
			seen: router.Observation{Kind: router.Dropped, Realm: "r", Transit: &wamp.Transit{}, Refusal: refusal(wamp.ReasonQueueFull)},
			want: map[string]float64{`dropped_total{realm="r",reason="queue_full"}`: 1},
		},
		{
			name: "turned away",
			seen: router.Observation{Kind: router.Turned, Realm: "of the client's choice", Refusal: refusal(wamp.ReasonLimit)},
			want: map[string]float64{`turned_away_total{reason="limit"}`: 1},
		},
		{
			name: "unknown realm",
			seen: router.Observation{Kind: router.Refused, Realm: "other", Refusal: refusal(wamp.ReasonLimit)},
			want: map[string]float64{`unknown_realm_total`: 1},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, reg := newMetrics(t, "r", "s")
			before := gather(t, reg)
			m.Observe(&c.seen)
			got := map[string]float64{}
			for name, value := range gather(t, reg) {
				if value != before[name] {
					got[strings.TrimPrefix(name, "blindfold_")] = value - before[name]
				}
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("changed %v\nwant %v", got, c.want)
			}
		})
	}
}

// The whole contract with dashboards: names, labels, and how many series there are.
func TestEverySeriesIsThereFromTheStart(t *testing.T) {
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
		"blindfold_opaque_messages_total": 4 * 2 * 6, "blindfold_opaque_payload_bytes_total": 4 * 2 * 6,
		"blindfold_opaque_payload_size_bytes_count": 4, "blindfold_opaque_payload_size_bytes_sum": 4,
		"blindfold_clear_messages_total": 4, "blindfold_deliveries_total": 4,
		"blindfold_opaque_refused_total": 5 * reasons, "blindfold_refused_total": 7 * reasons,
		"blindfold_dropped_total": reasons, "blindfold_turned_away_total": reasons,
		"blindfold_sessions": 4 * 4, "blindfold_sessions_opened_total": 1, "blindfold_sessions_closed_total": reasons + 1,
		"blindfold_subscriptions": 1, "blindfold_registrations": 1, "blindfold_invocations_in_flight": 1,
		"blindfold_route_seconds_count": 1, "blindfold_route_seconds_sum": 1,
		"blindfold_unknown_realm_total": 1, "blindfold_build_info": 1,
	}
	if !maps.Equal(count, want) {
		t.Errorf("series %v\nwant   %v", count, want)
	}
	if _, ok := gather(t, reg)[`blindfold_opaque_refused_total{realm="r",reason="conversion",type="EVENT"}`]; !ok {
		t.Error("the refused conversions of events are not there")
	}
}

// Whatever a session sends or is, no label value comes of it.
func TestNothingAClientSendsCreatesALabelValue(t *testing.T) {
	m, reg := newMetrics(t, "r")
	before := slices.Sorted(maps.Keys(gather(t, reg)))
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
		tr := &wamp.Transit{Message: msg, URI: wamp.URI(word())}
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
			Kind: router.Kind(r.IntN(int(router.Turned) + 1)), Realm: realm, Transit: tr,
			Peer: &wamp.Peer{
				Session: wamp.RandomID(), Realm: word(), AuthID: word(), AuthRole: word(), AuthMethod: word(), Agent: word(),
				Transport: word(), Serializer: wamp.Serializer(r.IntN(256)),
			},
			Refusal: refusal(wamp.Reason(word())), Deliveries: r.IntN(5),
		})
		counted++
	}
	if after := slices.Sorted(maps.Keys(gather(t, reg))); !slices.Equal(before, after) {
		t.Errorf("%d series became %d after %d observations", len(before), len(after), counted)
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

func TestRegistrationFailsWhole(t *testing.T) {
	reg := prometheus.NewRegistry()
	taken := prometheus.NewGauge(prometheus.GaugeOpts{Name: "blindfold_sessions", Help: "In the way."})
	reg.MustRegister(taken)
	if _, err := New(reg, Options{Realms: []string{"r"}}); err == nil {
		t.Fatal("registered a name twice")
	}
	if got := gather(t, reg); len(got) != 1 {
		t.Errorf("the failure left something behind: %v", got)
	}
}

func TestBuildInfo(t *testing.T) {
	_, reg := newMetrics(t)
	for name, value := range gather(t, reg) {
		if strings.HasPrefix(name, "blindfold_build_info{") && strings.Contains(name, `version="1.2.3"`) && value == 1 {
			return
		}
	}
	t.Error("no build_info with the version")
}

func TestConcurrentUse(t *testing.T) {
	m, reg := newMetrics(t, "r0")
	const each, routines = 500, 4
	var wg sync.WaitGroup
	for n := range routines {
		wg.Go(func() {
			tr := carry(&wamp.Publish{}, wamp.Attributes{EncAlgo: "cryptobox"}, wamp.ShapeBinary, 10)
			for k := range each {
				m.Observe(&router.Observation{Kind: router.Routed, Realm: "r0", Transit: tr, Deliveries: 1})
				if k%100 == 0 {
					m.AddRealm(fmt.Sprintf("r%d", n*k))
					m.Watch(source{{Realm: "r0", Subscriptions: 1}})
					if _, err := reg.Gather(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	got := gather(t, reg)
	if n := got[`blindfold_deliveries_total{realm="r0",type="EVENT"}`]; n != each*routines {
		t.Errorf("%v deliveries, want %d", n, each*routines)
	}
	if n := got[`blindfold_subscriptions{realm="r0"}`]; n != routines*each/100 {
		t.Errorf("%v subscriptions", n)
	}
}

// observations is one of each kind.
func observations() map[string]*router.Observation {
	crypto := wamp.Attributes{EncAlgo: "cryptobox"}
	peer := &wamp.Peer{Transport: "rawsocket", Serializer: wamp.CBOR}
	opaque := carry(&wamp.Publish{}, crypto, wamp.ShapeBinary, 1000)
	return map[string]*router.Observation{
		"opened":        {Kind: router.SessionOpened, Realm: "r", Peer: peer},
		"closed":        {Kind: router.SessionClosed, Realm: "r", Peer: peer},
		"routed opaque": {Kind: router.Routed, Realm: "r", Transit: opaque, Deliveries: 100, Elapsed: 20 * time.Microsecond},
		"routed clear":  {Kind: router.Routed, Realm: "r", Transit: carry(&wamp.Call{}, wamp.Attributes{}, wamp.ShapeList, 10), Deliveries: 1, Elapsed: time.Microsecond},
		"refused":       {Kind: router.Refused, Realm: "r", Transit: opaque, Refusal: refusal(wamp.ReasonUnannounced)},
		"dropped":       {Kind: router.Dropped, Realm: "r", Transit: opaque, Refusal: refusal(wamp.ReasonConversion)},
		"turned":        {Kind: router.Turned, Refusal: refusal(wamp.ReasonLimit)},
		"unknown realm": {Kind: router.Routed, Realm: "x", Transit: opaque},
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	m, _ := newMetrics(t, "r")
	for name, o := range observations() {
		if n := testing.AllocsPerRun(100, func() { m.Observe(o) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	m, _ := newMetrics(b, "r")
	for name, o := range observations() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m.Observe(o)
				}
			})
		})
	}
}
