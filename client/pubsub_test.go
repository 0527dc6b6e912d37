package client_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func TestPublishOptionsReachTheWire(t *testing.T) {
	s, r := dial(t, client.Config{})
	id, err := s.Publish(within(t), "com.topic", []any{1, "a"}, map[string]any{"k": true}, client.PublishOptions{
		ExcludeMe: wamp.False, DiscloseMe: true, Retain: true, Exclude: []wamp.ID{3}, Eligible: []wamp.ID{},
		EligibleAuthID: []string{"bob"}, ExcludeAuthRole: []string{"guest"},
	})
	if err != nil || id != 0 {
		t.Fatal(id, err)
	}
	m := expect[*wamp.Publish](r)
	args, kwargs, err := m.Payload.Decode()
	if err != nil || !reflect.DeepEqual(args, []any{int64(1), "a"}) || !reflect.DeepEqual(kwargs, map[string]any{"k": true}) {
		t.Errorf("payload %v %v %v", args, kwargs, err)
	}
	want := wamp.PublishOptions{ExcludeMe: wamp.False, DiscloseMe: wamp.True, Retain: wamp.True,
		Exclude: []wamp.ID{3}, Eligible: []wamp.ID{}, EligibleAuthID: []string{"bob"}, ExcludeAuthRole: []string{"guest"}}
	if m.Request != 1 || m.Topic != "com.topic" || !reflect.DeepEqual(m.Options, want) {
		t.Errorf("PUBLISH %+v", m)
	}
}

func TestPublishWaitsForTheAcknowledgement(t *testing.T) {
	s, r := dial(t, client.Config{})
	publish := func() *outcome[wamp.ID] {
		return async(func() (wamp.ID, error) {
			return s.Publish(within(t), "com.topic", nil, nil, client.PublishOptions{Acknowledge: true})
		})
	}
	o := publish()
	m := expect[*wamp.Publish](r)
	if m.Options.Acknowledge != wamp.True {
		t.Errorf("PUBLISH %+v", m)
	}
	r.send(&wamp.Published{Request: m.Request, Publication: 42})
	if id := o.good(t); id != 42 {
		t.Errorf("publication %d", id)
	}
	o = publish()
	r.send(&wamp.Error{RequestType: wamp.TypePublish, Request: expect[*wamp.Publish](r).Request,
		Error: wamp.ErrNotAuthorized, Payload: values("you may not")})
	err := o.bad(t, client.ErrURI(wamp.ErrNotAuthorized))
	var e *client.Error
	if !errors.As(err, &e) || e.Message != "you may not" || len(e.Args) != 1 {
		t.Errorf("%#v", err)
	}
}

func TestWhatCantBeSentCostsNoRequestID(t *testing.T) {
	s, r := dial(t, client.Config{})
	_, err := s.Publish(within(t), "com.topic", []any{make(chan int)}, nil, client.PublishOptions{})
	if !errors.Is(err, client.ErrURI(wamp.ErrInvalidArgument)) {
		t.Error(err)
	}
	_, err = s.Publish(within(t), "not a topic", nil, nil, client.PublishOptions{})
	if !errors.Is(err, client.ErrURI(wamp.ErrInvalidURI)) {
		t.Error(err)
	}
	if _, err := s.Publish(within(t), "com.topic", nil, nil, client.PublishOptions{}); err != nil {
		t.Error(err)
	}
	if m := expect[*wamp.Publish](r); m.Request != 1 {
		t.Errorf("PUBLISH.Request %d", m.Request)
	}
}

// SUBSCRIBED and EVENTs in one go: none may be lost, and they come in order.
func TestEventsRightBehindSubscribed(t *testing.T) {
	s, r := dial(t, client.Config{})
	const n = 100
	got := make(chan *client.Event, n)
	o := async(func() (*client.Subscription, error) {
		return s.Subscribe(within(t), "com.topic", func(_ context.Context, e *client.Event) { got <- e }, client.SubscribeOptions{})
	})
	r.send(&wamp.Subscribed{Request: expect[*wamp.Subscribe](r).Request, Subscription: 5})
	for i := range n {
		r.send(&wamp.Event{Subscription: 5, Publication: wamp.ID(i + 1), Payload: values(i)})
	}
	o.good(t)
	for i := range n {
		e := next(t, got)
		if e.Publication != wamp.ID(i+1) || e.Topic != "com.topic" || e.Sealed || !reflect.DeepEqual(e.Args, []any{int64(i)}) {
			t.Fatalf("event %d: %+v", i, e)
		}
	}
}

func TestSubscribeRefused(t *testing.T) {
	s, r := dial(t, client.Config{})
	o := async(func() (*client.Subscription, error) {
		return s.Subscribe(within(t), "com.", nil, client.SubscribeOptions{Match: wamp.MatchPrefix, GetRetained: true})
	})
	m := expect[*wamp.Subscribe](r)
	if m.Topic != "com." || m.Options.Match != "prefix" || m.Options.GetRetained != wamp.True {
		t.Errorf("SUBSCRIBE %+v", m)
	}
	r.send(&wamp.Error{RequestType: wamp.TypeSubscribe, Request: m.Request, Error: wamp.ErrNotAuthorized})
	o.bad(t, client.ErrURI(wamp.ErrNotAuthorized))
}

// Two handlers of one topic are one subscription to the router, which ends with
// the second.
func TestHandlersShareASubscription(t *testing.T) {
	s, r := dial(t, client.Config{})
	first, second := make(chan *client.Event, 1), make(chan *client.Event, 1)
	handle := func(c chan *client.Event) client.EventHandler {
		return func(_ context.Context, e *client.Event) { c <- e }
	}
	a := r.subscribe(s, 5, "com.topic", handle(first), client.SubscribeOptions{})
	b, err := s.Subscribe(within(t), "com.topic", handle(second), client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.quiet(s)
	r.send(&wamp.Event{Subscription: 5, Publication: 1})
	next(t, first)
	next(t, second)
	if err := a.Unsubscribe(within(t)); err != nil {
		t.Fatal(err)
	}
	r.quiet(s)
	r.send(&wamp.Event{Subscription: 5, Publication: 2})
	next(t, second)
	o := async(func() (int, error) { return 0, b.Unsubscribe(within(t)) })
	m := expect[*wamp.Unsubscribe](r)
	if m.Subscription != 5 {
		t.Errorf("UNSUBSCRIBE %+v", m)
	}
	r.send(&wamp.Event{Subscription: 5, Publication: 3}) // under way
	r.send(&wamp.Unsubscribed{Request: m.Request})
	o.good(t)
	r.send(&wamp.Event{Subscription: 5, Publication: 4}) // late, no violation
	r.quiet(s)
	select {
	case e := <-first:
		t.Errorf("event %d after Unsubscribe", e.Publication)
	case e := <-second:
		t.Errorf("event %d after Unsubscribe", e.Publication)
	case <-b.Done():
	}
	// From the start again.
	r.subscribe(s, 6, "com.topic", handle(first), client.SubscribeOptions{})
}

// What waits in the queue of a subscription ends with it.
func TestNoEventAfterUnsubscribe(t *testing.T) {
	s, r := dial(t, client.Config{})
	hang, resume, other := make(chan struct{}), make(chan struct{}), make(chan struct{}, 2)
	ended := r.subscribe(s, 5, "com.topic", func(_ context.Context, e *client.Event) {
		if e.Publication == 2 {
			t.Error("called after Unsubscribe")
		}
		close(hang)
		<-resume
	}, client.SubscribeOptions{})
	if _, err := s.Subscribe(within(t), "com.topic", func(context.Context, *client.Event) { other <- struct{}{} }, client.SubscribeOptions{}); err != nil {
		t.Fatal(err)
	}
	for id := range wamp.ID(2) {
		r.send(&wamp.Event{Subscription: 5, Publication: id + 1})
		next(t, other)
	}
	next(t, hang)
	if err := ended.Unsubscribe(within(t)); err != nil {
		t.Fatal(err)
	}
	close(resume)
}

// A SUBSCRIBE that nobody waits for any more is undone when it is answered.
func TestAbandonedSubscribeIsUndone(t *testing.T) {
	s, r := dial(t, client.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	o := async(func() (*client.Subscription, error) {
		return s.Subscribe(ctx, "com.topic", func(context.Context, *client.Event) { t.Error("handler called") }, client.SubscribeOptions{})
	})
	m := expect[*wamp.Subscribe](r)
	cancel()
	o.bad(t, context.Canceled)
	again := async(func() (*client.Subscription, error) {
		return s.Subscribe(within(t), "com.topic", func(context.Context, *client.Event) {}, client.SubscribeOptions{})
	})
	r.send(&wamp.Subscribed{Request: m.Request, Subscription: 5})
	r.send(&wamp.Event{Subscription: 5, Publication: 1})
	u := expect[*wamp.Unsubscribe](r)
	r.send(&wamp.Unsubscribed{Request: u.Request})
	// Only now it is the turn of the next one.
	r.send(&wamp.Subscribed{Request: expect[*wamp.Subscribe](r).Request, Subscription: 6})
	again.good(t)
}

// A handler that hangs holds up nothing but its own events; those that don't fit
// its queue are told.
func TestSlowHandlerLosesEventsAndSaysSo(t *testing.T) {
	reported := make(chan error, 10)
	s, r := dial(t, client.Config{Limits: client.Limits{Queue: 2}, OnError: func(err error) { reported <- err }})
	got, resume := make(chan *client.Event), make(chan struct{})
	r.subscribe(s, 5, "com.topic", func(_ context.Context, e *client.Event) {
		got <- e
		<-resume
	}, client.SubscribeOptions{})
	event := func(id wamp.ID) { r.send(&wamp.Event{Subscription: 5, Publication: id}) }
	event(1)
	next(t, got) // the handler hangs in 1; 2 and 3 wait; 4 and 5 are lost
	for id := wamp.ID(2); id <= 5; id++ {
		event(id)
	}
	var full *client.OverflowError
	if err := next(t, reported); !errors.As(err, &full) || full.URI != "com.topic" {
		t.Errorf("%v", err)
	}
	// A RESULT gets through meanwhile.
	call := async(func() (*client.Result, error) {
		return s.Call(within(t), "com.procedure", nil, nil, client.CallOptions{})
	})
	r.send(&wamp.Result{Request: expect[*wamp.Call](r).Request})
	call.good(t)

	resume <- struct{}{}
	if e := next(t, got); e.Publication != 2 || e.Lost != 0 {
		t.Errorf("%+v", e)
	}
	event(6)
	r.quiet(s)
	ping(t, r) // 6 is queued
	close(resume)
	for _, want := range []client.Event{{Publication: 3}, {Publication: 6, Lost: 2}} {
		if e := next(t, got); e.Publication != want.Publication || e.Lost != want.Lost {
			t.Errorf("%d with %d lost, want %d with %d", e.Publication, e.Lost, want.Publication, want.Lost)
		}
	}
}

func TestQueueIsBoundInBytes(t *testing.T) {
	reported := make(chan error, 10)
	s, r := dial(t, client.Config{Limits: client.Limits{QueueBytes: 1000}, OnError: func(err error) { reported <- err }})
	got := make(chan *client.Event)
	r.subscribe(s, 5, "com.topic", func(ctx context.Context, e *client.Event) {
		select {
		case got <- e:
		case <-ctx.Done():
		}
	}, client.SubscribeOptions{})
	for id := wamp.ID(1); id <= 4; id++ {
		r.send(&wamp.Event{Subscription: 5, Publication: id, Payload: values(make([]byte, 600))})
	}
	next(t, reported)
	next(t, got)
}

// Events that the details of a pattern don't account for reach no handler.
func TestPatternEventsNameTheirTopic(t *testing.T) {
	reported := make(chan error, 10)
	s, r := dial(t, client.Config{OnError: func(err error) { reported <- err }})
	got := make(chan *client.Event, 10)
	handler := func(_ context.Context, e *client.Event) { got <- e }
	r.subscribe(s, 5, "com.app.", handler, client.SubscribeOptions{Match: wamp.MatchPrefix})
	r.subscribe(s, 6, "com..x", handler, client.SubscribeOptions{Match: wamp.MatchWildcard})
	r.subscribe(s, 7, "com.exact", handler, client.SubscribeOptions{})
	for _, c := range []struct {
		subscription wamp.ID
		topic, want  wamp.URI
	}{
		{5, "com.app.a", "com.app.a"}, {5, "", ""}, {5, "com.other", ""},
		{6, "com.y.x", "com.y.x"}, {6, "com.y.z", ""},
		{7, "", "com.exact"}, {7, "com.exact", "com.exact"}, {7, "com.other", ""},
	} {
		r.send(&wamp.Event{Subscription: c.subscription, Publication: 1, Details: wamp.EventDetails{Topic: c.topic}})
		if c.want != "" {
			if e := next(t, got); e.Topic != c.want {
				t.Errorf("%+v: topic %s", c, e.Topic)
			}
		} else if err := next(t, reported); !errors.Is(err, client.ErrURI(wamp.ErrProtocolViolation)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if len(got) > 0 {
		t.Errorf("%d events too many", len(got))
	}
}

func TestSubscriptionIsRevoked(t *testing.T) {
	reported := make(chan error, 1)
	s, r := dial(t, client.Config{OnError: func(err error) { reported <- err }})
	sub := r.subscribe(s, 5, "com.topic", nil, client.SubscribeOptions{})
	r.send(&wamp.Unsubscribed{Details: wamp.Revocation{Subscription: 5, Reason: "com.reason"}})
	next(t, sub.Done())
	if !errors.Is(sub.Err(), client.ErrURI("com.reason")) {
		t.Error(sub.Err())
	}
	next(t, reported)
	if err := sub.Unsubscribe(within(t)); err != nil {
		t.Error(err)
	}
	r.subscribe(s, 6, "com.topic", nil, client.SubscribeOptions{})
}

func TestConcurrentPublishersKeepRequestIDsInOrder(t *testing.T) {
	s, r := dial(t, client.Config{})
	const publishers, each = 8, 50
	for i := range publishers {
		go func() {
			for range each {
				if _, err := s.Publish(context.Background(), wamp.URI(fmt.Sprintf("com.topic.%d", i)), []any{i}, nil, client.PublishOptions{}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for i := range publishers * each {
		if m := expect[*wamp.Publish](r); m.Request != wamp.ID(i+1) {
			t.Fatalf("PUBLISH.Request %d after %d", m.Request, i)
		}
	}
}
