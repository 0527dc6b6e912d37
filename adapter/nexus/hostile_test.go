package nexus

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Messages that nexus's codec, broker or dealer can't cope with: it panics on attributes
// that are no strings, and on elements of another kind than it expects. A panic would end
// the tests.
func TestHostileMessages(t *testing.T) {
	w := newWorld(t)
	alice := w.join("Alice", wamp.JSON)
	alice.Register("com.p", wamp.RegisterOptions{})
	alice.Subscribe("com.t", wamp.MatchExact)
	for _, body := range []string{
		`[16,1,{"ppt_scheme":"x_own","ppt_serializer":5},"com.t",["\u0000AAEC"]]`,
		`[16,1,{"ppt_scheme":"x_own","ppt_cipher":{}},"com.t",["\u0000AAEC"]]`,
		`[16,1,{"ppt_scheme":"x_own","ppt_keyid":[1]},"com.t",["\u0000AAEC"]]`,
		`[48,1,{"ppt_scheme":"x_own","ppt_serializer":5},"com.p",["\u0000AAEC"]]`,
		`[48,1,{"timeout":"soon"},"com.p"]`, `[48,1,{"timeout":1e400},"com.p"]`, `[48,1,{"receive_progress":"yes"},"com.p"]`,
		`[70,1,{"ppt_scheme":"x_own","ppt_serializer":5},["\u0000AAEC"]]`,
		`[8,68,1,{},5]`, `[8,68,1,{},"com.e",5]`, `[8,1,1,{},"com.e"]`, `[8,48,1,{},"com.e"]`,
		`[16,1,{},"com.t",true]`, `[16,1,{},"com.t",[],5]`, `[16,1,{},"com.t",null,{"a":1}]`, `[16,1,null,"com.t"]`, `[16,null,{},"com.t"]`,
		`[16,1,{"exclude":5,"eligible":{}},"com.t"]`, `[16,1,{"exclude_authid":[5,null,[]]},"com.t"]`, `[16,1,{"eligible_x":{"a":[]}},"com.t"]`,
		`[32,1,{"match":5},"com.t"]`, `[32,1,{"match":"no"},"com.t"]`, `[32,1,{},""]`, `[32,1,{},5]`,
		`[64,1,{"invoke":"all"},"com.q"]`, `[64,1,{"invoke":5},"com.q"]`, `[64,1,{"disclose_caller":"x"},"com.q"]`,
		`[49,1,{"mode":5}]`, `[49,1,{"mode":"no"}]`, `[34,1,-1]`, `[66,1,1.5]`, `[69,1,{}]`, `[36,1,1,{}]`, `[50,1,{}]`, `[68,1,1,{}]`, `[2,1,{}]`, `[4,"x",{}]`,
		`[48,1,{},"wamp.session.kill",["x"]]`, `[48,1,{},"wamp.session.get",[{}]]`, `[48,1,{},"wamp.session.count",[5]]`, `[48,1,{},"wamp.session.list",[[5,null]]]`,
		`[48,1,{},"wamp.session.add_testament",[]]`, `[48,1,{},"wamp.session.add_testament",["com.t",5,5]]`, `[48,1,{},"wamp.session.add_testament",["com.t",[1],{"a":1}],{"publish_options":5,"scope":7}]`,
		`[48,1,{},"wamp.subscription.get_events",["x",5]]`, `[48,1,{},"wamp.subscription.list_subscribers",[null]]`, `[48,1,{},"wamp.registration.match",[5]]`,
		`[48,1,{},"wamp.registration.lookup",["com.p",5]]`, `[48,1,{},"wamp.session.modify_details",[1,{"x":null}]]`,
	} {
		mallory := w.join("Mallory", wamp.JSON)
		mallory.SendRaw([]byte(body))
		mallory.Send(&wamp.Goodbye{Reason: wamp.CloseRealm})
		for { // whatever comes, it ends with GOODBYE or ABORT
			m, err := mallory.TryReceive()
			if err != nil {
				break
			}
			if m.Type() == wamp.TypeGoodbye || m.Type() == wamp.TypeAbort {
				break
			}
		}
		_ = mallory.Conn.Close()
	}
	alive(w)
}

// The same, from a client of nexus's own server.
func TestHostileClientsOfNexus(t *testing.T) {
	w := newWorld(t)
	url := w.nexusServer()
	bob := w.join("Bob", wamp.JSON)
	bob.Register("com.p", wamp.RegisterOptions{})
	for _, body := range []string{
		`[16,1,{"acknowledge":true,"ppt_scheme":"x_own","ppt_serializer":5},"com.t",["x"]]`,
		`[16,1,{"acknowledge":true,"ppt_scheme":"x_own","ppt_serializer":null},"com.t",["x"]]`,
		`[48,1,{"ppt_scheme":"x_own","ppt_keyid":{}},"com.p",["x"]]`,
		`[48,1,{"ppt_scheme":"x_own","ppt_keyid":null},"com.nobody",["x"]]`,
	} {
		mallory := w.joinOver(url, "Mallory", wamp.JSON)
		mallory.SendRaw([]byte(body))
		mallory.Receive()
	}
	alive(w)
}

// Messages with some bytes that are others.
func TestMutatedMessages(t *testing.T) {
	w := newWorld(t)
	random := rand.New(rand.NewPCG(1, 2))
	n := 600
	if testing.Short() {
		n = 100
	}
	for _, s := range wamp.Serializers {
		payload, err := codec.EncodePayload(s, []any{"a", 1, []byte{1}, nil}, map[string]any{"k": true})
		routertest.NoError(t, err)
		var corpus [][]byte
		for _, m := range []wamp.Message{
			&wamp.Publish{Request: 1, Topic: "com.t", Options: wamp.PublishOptions{Acknowledge: wamp.True, ExcludeMe: wamp.False, DiscloseMe: wamp.True}, Payload: payload},
			&wamp.Call{Request: 2, Procedure: "com.p", Options: wamp.CallOptions{ReceiveProgress: wamp.True, Timeout: 10}, Payload: payload},
			&wamp.Subscribe{Request: 3, Topic: "com.", Options: wamp.SubscribeOptions{Match: "prefix"}},
			&wamp.Register{Request: 4, Procedure: "com.p", Options: wamp.RegisterOptions{Invoke: "roundrobin"}},
			&wamp.Yield{Request: 1, Payload: payload},
			&wamp.Error{RequestType: wamp.TypeInvocation, Request: 1, Error: "com.e", Payload: payload},
			&wamp.Cancel{Request: 2, Options: wamp.CancelOptions{Mode: "kill"}},
		} {
			body, err := codec.Append(nil, s, m)
			routertest.NoError(t, err)
			corpus = append(corpus, body)
		}
		for range n {
			mallory := w.join("Mallory", s)
			for _, body := range corpus {
				mutant := bytes.Clone(body)
				for range random.IntN(3) {
					mutant[random.IntN(len(mutant))] = byte(random.Uint32())
				}
				frame := mallory.Conn.Framing().AppendFrame(nil, 0, mutant)
				if _, err := mallory.Conn.Write([][]byte{frame}, routertest.Timeout); err != nil {
					break // it was ended for the one before
				}
			}
			_ = mallory.Conn.Close()
		}
	}
	alive(w)
}

func alive(w *world) {
	w.t.Helper()
	alice, bob := w.join("Alice", wamp.JSON), w.join("Bob", wamp.JSON)
	bob.Register("com.alive", wamp.RegisterOptions{})
	alice.Call("com.alive", wamp.Attributes{}, wamp.Payload{})
	routertest.Expect[*wamp.Invocation](bob)
}
