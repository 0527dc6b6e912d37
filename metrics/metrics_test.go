package metrics

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

func (transcoder) DecodePayload([]byte, int, wamp.ValueLimits) ([]any, map[string]any, error) {
	return nil, nil, errors.New("metrics have no business with payloads")
}

// carry puts a payload of size bytes and its attributes into m.
func carry(m wamp.Message, a wamp.Attributes, shape wamp.Shape, size int) *wamp.RoutedMessage {
	p, attributes := m.(wamp.Carrier).Carried()
	*attributes = a
	*p = wamp.NewPayload(transcoder{}, make([]byte, size+2), wamp.PayloadFacts{
		Shape: shape, Elements: 1, Args: 1, Size: size, Opaque: a.Declared() != wamp.FormNone,
	})
	return &wamp.RoutedMessage{Message: m}
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
			seen: router.Observation{Kind: router.SessionClosed, Realm: "r", Peer: alice, End: router.EndGoodbye},
			want: map[string]float64{`sessions_closed_total{realm="r",reason="goodbye"}`: 1, `sessions{realm="r",serializer="msgpack",transport="websocket"}`: -1},
		},
		{
			name: "session closed by the router",
			seen: router.Observation{Kind: router.SessionClosed, Realm: "r", Peer: &wamp.Peer{Transport: "carrier pigeon"}, End: router.EndRefused, Refusal: refusal(wamp.ReasonQueueFull)},
			want: map[string]float64{`sessions_closed_total{realm="r",reason="queue_full"}`: 1, `sessions{realm="r",serializer="other",transport="other"}`: -1},
		},
		{
			name: "opaque publish",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Routed: carry(&wamp.Publish{}, crypto, wamp.ShapeBinary, 100), Deliveries: 3, Elapsed: time.Second},
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
			seen: router.Observation{Kind: router.Routed, Realm: "r", Routed: carry(&wamp.Call{}, ppt, wamp.ShapeList, 7), Deliveries: 1},
			want: map[string]float64{
				`opaque_messages_total{form="passthru",realm="r",scheme="wamp",type="CALL"}`:      1,
				`opaque_payload_bytes_total{form="passthru",realm="r",scheme="wamp",type="CALL"}`: 7,
				`opaque_payload_size_bytes_count{realm="r",type="CALL"}`:                          1,
				`opaque_payload_size_bytes_sum{realm="r",type="CALL"}`:                            7,
				`deliveries_total{realm="r",type="INVOCATION"}`:                                   1,
			},
		},
		{
			name: "bare binary yielded",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Routed: carry(&wamp.Yield{}, wamp.Attributes{}, wamp.ShapeBinary, 7), Deliveries: 1},
			want: map[string]float64{
				`opaque_messages_total{form="transparency",realm="r",scheme="none",type="YIELD"}`:      1,
				`opaque_payload_bytes_total{form="transparency",realm="r",scheme="none",type="YIELD"}`: 7,
				`opaque_payload_size_bytes_count{realm="r",type="YIELD"}`:                              1,
				`opaque_payload_size_bytes_sum{realm="r",type="YIELD"}`:                                7,
				`deliveries_total{realm="r",type="RESULT"}`:                                            1,
			},
		},
		{
			name: "custom scheme in an error",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Routed: carry(&wamp.Error{}, wamp.Attributes{EncAlgo: "x_mine"}, wamp.ShapeBinary, 7), Deliveries: 1},
			want: map[string]float64{
				`opaque_messages_total{form="transparency",realm="r",scheme="other",type="ERROR"}`:      1,
				`opaque_payload_bytes_total{form="transparency",realm="r",scheme="other",type="ERROR"}`: 7,
				`opaque_payload_size_bytes_count{realm="r",type="ERROR"}`:                               1,
				`opaque_payload_size_bytes_sum{realm="r",type="ERROR"}`:                                 7,
				`deliveries_total{realm="r",type="ERROR"}`:                                              1,
			},
		},
		{
			name: "clear publish that nobody gets",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Routed: carry(&wamp.Publish{}, wamp.Attributes{}, wamp.ShapeList, 7), Elapsed: time.Second},
			want: map[string]float64{`clear_messages_total{realm="r",type="PUBLISH"}`: 1, `clear_payload_bytes_total{realm="r",type="PUBLISH"}`: 7, `route_seconds_count`: 1, `route_seconds_sum`: 1},
		},
		{
			name: "call without payload, of which no time was taken",
			seen: router.Observation{Kind: router.Routed, Realm: "r", Routed: &wamp.RoutedMessage{Message: &wamp.Call{}}, Deliveries: 1},
			want: map[string]float64{`clear_messages_total{realm="r",type="CALL"}`: 1, `deliveries_total{realm="r",type="INVOCATION"}`: 1},
		},
		{
			name: "opaque call refused",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Routed: carry(&wamp.Call{}, crypto, wamp.ShapeBinary, 7), Refusal: refusal(wamp.ReasonConversion)},
			want: map[string]float64{
				`refused_total{realm="r",reason="conversion",type="CALL"}`:        1,
				`opaque_refused_total{realm="r",reason="conversion",type="CALL"}`: 1,
			},
		},
		{
			name: "refused on the way out",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Routed: carry(&wamp.Result{}, crypto, wamp.ShapeBinary, 7), Refusal: refusal(wamp.ReasonUnsupported)},
			want: map[string]float64{
				`refused_total{realm="r",reason="receiver_lacks_form",type="YIELD"}`:        1,
				`opaque_refused_total{realm="r",reason="receiver_lacks_form",type="YIELD"}`: 1,
			},
		},
		{
			name: "cleartext refused",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Routed: carry(&wamp.Publish{}, wamp.Attributes{}, wamp.ShapeList, 7), Refusal: refusal(wamp.ReasonCleartext)},
			want: map[string]float64{
				`refused_total{realm="r",reason="cleartext",type="PUBLISH"}`:        1,
				`opaque_refused_total{realm="r",reason="cleartext",type="PUBLISH"}`: 1,
			},
		},
		{
			name: "clear publish refused",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Routed: carry(&wamp.Publish{}, wamp.Attributes{}, wamp.ShapeList, 7), Refusal: refusal(wamp.ReasonUnauthorized)},
			want: map[string]float64{`refused_total{realm="r",reason="not_authorized",type="PUBLISH"}`: 1},
		},
		{
			name: "subscribe refused",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Routed: &wamp.RoutedMessage{Message: &wamp.Subscribe{}}, Refusal: refusal(wamp.ReasonURI)},
			want: map[string]float64{`refused_total{realm="r",reason="invalid_uri",type="SUBSCRIBE"}`: 1},
		},
		{
			name: "register refused",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Routed: &wamp.RoutedMessage{Message: &wamp.Register{}}, Refusal: refusal(wamp.ReasonURI)},
			want: map[string]float64{`refused_total{realm="r",reason="invalid_uri",type="REGISTER"}`: 1},
		},
		{
			name: "broken frame",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Routed: &wamp.RoutedMessage{}, Refusal: refusal(wamp.ReasonProtocol)},
			want: map[string]float64{`refused_total{realm="r",reason="protocol_violation",type="other"}`: 1},
		},
		{
			name: "broken frame without transit",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Refusal: refusal(wamp.ReasonProtocol)},
			want: map[string]float64{`refused_total{realm="r",reason="protocol_violation",type="other"}`: 1},
		},
		{
			name: "a reason of the embedding program's",
			seen: router.Observation{Kind: router.Refused, Realm: "r", Routed: &wamp.RoutedMessage{Message: &wamp.Call{}}, Refusal: refusal("too late")},
			want: map[string]float64{`refused_total{realm="r",reason="interceptor",type="CALL"}`: 1},
		},
		{
			name: "opaque event dropped",
			seen: router.Observation{Kind: router.Dropped, Realm: "r", Routed: carry(&wamp.Publish{}, crypto, wamp.ShapeBinary, 7), Refusal: refusal(wamp.ReasonConversion)},
			want: map[string]float64{
				`dropped_total{realm="r",reason="conversion"}`:                     1,
				`opaque_refused_total{realm="r",reason="conversion",type="EVENT"}`: 1,
			},
		},
		{
			name: "clear event dropped",
			seen: router.Observation{Kind: router.Dropped, Realm: "r", Routed: carry(&wamp.Event{}, wamp.Attributes{}, wamp.ShapeList, 7), Refusal: refusal(wamp.ReasonQueueFull)},
			want: map[string]float64{`dropped_total{realm="r",reason="queue_full"}`: 1},
		},
		{
			name: "something else dropped",
			seen: router.Observation{Kind: router.Dropped, Realm: "r", Routed: &wamp.RoutedMessage{}, Refusal: refusal(wamp.ReasonQueueFull)},
			want: map[string]float64{`dropped_total{realm="r",reason="queue_full"}`: 1},
		},
		{
			name: "turned away",
			seen: router.Observation{Kind: router.Rejected, Realm: "of the client's choice", Refusal: refusal(wamp.ReasonLimit)},
			want: map[string]float64{`turned_away_total{reason="limit"}`: 1},
		},
		{
			name: "an authenticator failed",
			seen: router.Observation{Kind: router.AuthenticatorFailed, Realm: "r", Refusal: refusal(wamp.ReasonUnauthorized)},
			want: map[string]float64{`authenticator_failures_total{realm="r"}`: 1},
		},
		{
			name: "a limit struck",
			seen: router.Observation{Kind: router.Slowed, Realm: "r", Refusal: &wamp.Refusal{Reason: wamp.ReasonQueueFull, Limit: wamp.LimitBackpressure}},
			want: map[string]float64{`limits_total{limit="backpressure_timeout"}`: 1},
		},
		{
			name: "a limit that ended a session was counted before",
			seen: router.Observation{Kind: router.SessionClosed, Realm: "r", Peer: &wamp.Peer{}, Refusal: &wamp.Refusal{Reason: wamp.ReasonQueueFull, Limit: wamp.LimitQueue}},
			want: map[string]float64{`sessions_closed_total{realm="r",reason="queue_full"}`: 1, `sessions{realm="r",serializer="other",transport="other"}`: -1},
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
				m.Observe(&router.Observation{Kind: router.Routed, Realm: "r0", Routed: tr, Deliveries: 1})
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
