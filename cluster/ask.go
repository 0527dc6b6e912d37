package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Questions go to a node's subject with ".ask" behind it. Headers say what they are; a
// question of the meta API, and its answer, are a CALL and a RESULT or ERROR in CBOR.
const (
	kindHeader  = "Kind"
	realmHeader = "Realm"
	askHello    = "hello" // Data is the asking node's record
	askMeta     = "meta"
)

// maxQuestions is how many questions of other nodes are answered at a time; more wait.
const maxQuestions = 16

// greet tells the other nodes of this one, and waits until they know.
func (n *Node) greet(ctx context.Context) error {
	value, err := json.Marshal(n.record())
	if err != nil {
		return err
	}
	return n.each(func(r *record) error {
		m := nats.Msg{Subject: n.nodeSubject(r.ID) + ".ask", Data: value, Header: nats.Header{kindHeader: []string{askHello}}}
		_, err := n.conn.RequestMsgWithContext(ctx, &m)
		if err != nil && !n.isLive(r.ID) || errors.Is(err, nats.ErrNoResponders) {
			return nil // it has left
		}
		return err
	})
}

// each does something for every other live node, at the same time, and returns the
// first error.
func (n *Node) each(do func(r *record) error) error {
	var all sync.WaitGroup
	others := n.live()
	errs := make([]error, len(others))
	for i := range others {
		all.Go(func() { errs[i] = do(&others[i]) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// answer answers a question of another node. nats.go calls it for one at a time.
func (n *Node) answer(m *nats.Msg) {
	n.received(m)
	switch m.Header.Get(kindHeader) {
	case askHello:
		var r record
		if json.Unmarshal(m.Data, &r) == nil && r.ID != n.id {
			n.nodeLives(r)
		}
		_ = m.Respond(nil)
	case askMeta:
		if l := n.realms[m.Header.Get(realmHeader)]; l != nil {
			n.questions <- struct{}{} // more wait in NATS
			n.running.Go(func() {
				defer func() { <-n.questions }()
				_ = m.Respond(l.answerMeta(m.Data))
			})
			return
		}
		n.drop(dropUnknown, 1)
	default:
		n.drop(dropUnknown, 1)
	}
}

func (l *link) answerMeta(question []byte) []byte {
	m, err := codec.NewDecoder().Decode(wamp.CBOR, question)
	call, ok := m.(*wamp.Call)
	if err != nil || !ok {
		l.node.drop(dropUnknown, 1)
		return nil
	}
	args, kwargs, err := call.Payload.Decode()
	if err != nil {
		l.node.drop(dropUnknown, 1)
		return nil
	}
	a := l.realm.Answer(call.Procedure, args, kwargs)
	var reply wamp.Message = &wamp.Error{RequestType: wamp.TypeCall, Request: 1, Error: a.Error}
	if a.Error == "" {
		payload, err := codec.EncodePayload(wamp.CBOR, a.Args, a.Kwargs)
		if err != nil {
			return nil
		}
		reply = &wamp.Result{Request: 1, Payload: payload}
	}
	b, err := codec.Append(nil, wamp.CBOR, reply)
	if err != nil {
		return nil
	}
	return b
}

// Ask implements router.ClusterLink.
func (l *link) Ask(procedure wamp.URI, args []any, kwargs map[string]any) ([]router.RemoteAnswer, *wamp.Refusal) {
	n := l.node
	if !n.available() {
		return nil, router.ClusterUnavailable
	}
	payload, err := codec.EncodePayload(wamp.CBOR, args, kwargs)
	if err != nil {
		return nil, notForCluster
	}
	question, err := codec.Append(nil, wamp.CBOR, &wamp.Call{Request: 1, Procedure: procedure, Payload: payload})
	if err != nil {
		return nil, notForCluster
	}
	ctx, cancel := context.WithTimeout(context.Background(), n.o.Lease)
	defer cancel()
	var mu sync.Mutex
	var answers []router.RemoteAnswer
	err = n.each(func(r *record) error {
		m := nats.Msg{Subject: n.nodeSubject(r.ID) + ".ask", Data: question,
			Header: nats.Header{kindHeader: []string{askMeta}, realmHeader: []string{l.realm.Name()}}}
		reply, err := n.conn.RequestMsgWithContext(ctx, &m)
		if err != nil && !n.isLive(r.ID) {
			return nil // it has left, and its sessions with it
		}
		if err != nil {
			return fmt.Errorf("node %s: %w", r.Name, err)
		}
		answer, err := parseAnswer(reply.Data)
		if err != nil {
			return fmt.Errorf("node %s: %w", r.Name, err)
		}
		mu.Lock()
		defer mu.Unlock()
		answers = append(answers, answer)
		return nil
	})
	if err != nil {
		n.o.Logger.Warn("a node did not answer a question of the meta API", "procedure", string(procedure), "error", err)
		return nil, router.ClusterUnavailable
	}
	return answers, nil
}

func parseAnswer(b []byte) (a router.RemoteAnswer, err error) {
	m, err := codec.NewDecoder().Decode(wamp.CBOR, b)
	if err != nil {
		return a, err
	}
	switch m := m.(type) {
	case *wamp.Result:
		a.Args, a.Kwargs, err = m.Payload.Decode()
	case *wamp.Error:
		a.Error = m.Error
	default:
		err = errEnvelope
	}
	return a, err
}
