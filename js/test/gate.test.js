// What a gate makes of messages: the scenarios that the Python package runs, too; and
// that messages keep their order where sealing takes its time.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { text, utf8 } from "../src/bytes.js";
import { DECRYPT_ERROR, INVALID_ARGUMENT, SealError } from "../src/errors.js";
import { Gate } from "../src/gate.js";
import { generateKey, KeyRing } from "../src/keyring.js";
import { Lanes } from "../src/lanes.js";

const file = JSON.parse(readFileSync(new URL("../../testdata/gate/scenarios.json", import.meta.url)));
const FEATURES = { payload_passthru_mode: true, payload_transparency: true, payload_encryption_cryptobox: true };

// The sealer of the scenarios, at once or later.
class Fake {
  constructor(later) {
    this.answer = later ? (work) => new Promise((resolve) => setTimeout(resolve, 1)).then(work) : (work) => work();
  }

  covers({ uri }) {
    return uri.startsWith("com.secret.");
  }

  speaks({ enc_algo, ppt_scheme }) {
    return enc_algo === "x_test" || ppt_scheme === "x_test";
  }

  seal({ uri, kind }, args, kwargs) {
    return this.answer(() => {
      if (args?.[0] === "unsealable") throw new SealError(INVALID_ARGUMENT, "not this");
      return { attributes: { enc_algo: "x_test" }, payload: utf8.encode(JSON.stringify([uri, kind, args, kwargs])) };
    });
  }

  open(subject, attributes, payload) {
    return this.answer(() => {
      const [uri, kind, args, kwargs] = JSON.parse(text(payload));
      if (uri !== subject.uri || kind !== subject.kind) throw new SealError(DECRYPT_ERROR, "not for this");
      return { args, kwargs };
    });
  }
}

const toWire = (value) => {
  if (Array.isArray(value)) return value.map(toWire);
  return value?.sealed ? utf8.encode(JSON.stringify(value.sealed)) : value;
};
const fromWire = (value) => {
  if (Array.isArray(value)) return value.map(fromWire);
  return value instanceof Uint8Array ? { sealed: JSON.parse(text(value)) } : value;
};

for (const later of [false, true]) {
  test(`scenarios, ${later ? "with promises" : "at once"}`, async () => {
    for (const { name, welcome, steps } of file.scenarios) {
      const reported = [];
      const gate = new Gate({ keys: new Fake(later), clear: ["com.open."], onError: (e) => reported.push(e.error) });
      const [, , { roles }] = gate.outgoing([1, "realm1", { roles: { publisher: { features: { x: true } }, callee: {} } }]);
      assert.deepEqual(roles, { publisher: { features: { x: true, ...FEATURES } }, callee: { features: { ...FEATURES, call_canceling: true, progressive_call_results: true } } });
      const role = { features: welcome ?? FEATURES };
      gate.incoming([2, 1, { roles: { broker: role, dealer: role } }]);
      for (const step of [...file.setup, ...steps]) {
        reported.length = 0;
        let got, reply;
        if (step.out) {
          try {
            got = await gate.outgoing(toWire(step.out));
          } catch (e) {
            assert.equal(e.error, step.error, name);
            continue;
          }
          assert.equal(undefined, step.error, name);
        } else {
          const received = await gate.incoming(toWire(step.in));
          got = received.message ?? null;
          if (received.reply) reply = await gate.outgoing(received.reply);
        }
        if ("want" in step) {
          let { want } = step;
          if (want?.at(-1) === "text") { // one that people read
            assert.equal(typeof got.at(-1)[0], "string", name);
            [got, want] = [got.slice(0, -1), want.slice(0, -1)];
          }
          assert.deepEqual(fromWire(got), want, name);
        }
        assert.deepEqual(reply, step.reply, name);
        assert.deepEqual(reported, step.reported ? [step.reported] : [], name);
      }
    }
  });
}

test("what can't be set up", () => {
  const all = new KeyRing().set("", generateKey().private);
  for (const wrong of [{ keys: [] }, { keys: all, clear: ["com.open."] }, { keys: new Fake(), clear: ["a b"] }, { keys: all, clear: "com.open." }]) {
    assert.throws(() => new Gate(wrong), TypeError);
  }
});

// A connection with a gate that takes its time.
function connection() {
  const [sent, delivered, reported] = [[], [], []];
  const gate = new Gate({ keys: new Fake(true), clear: ["com.open."], onError: (e) => reported.push(e.error) });
  const lanes = new Lanes(gate, (m) => sent.push(m), (m) => delivered.push(m));
  lanes.fromClient([1, "realm1", { roles: {} }]);
  const role = { features: FEATURES };
  lanes.fromRouter([2, 1, { roles: { broker: role, dealer: role } }]);
  sent.length = delivered.length = 0;
  return { lanes, sent, delivered, reported };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 50));

test("an interrupted callee answers at once, and no more", () => {
  const gate = new Gate({ keys: new Fake(), clear: ["com.open."] });
  gate.outgoing([1, "realm1", { roles: {} }]);
  for (const step of file.setup) step.out ? gate.outgoing(step.out) : gate.incoming(step.in);
  gate.incoming([68, 30, 202, {}, [1]]);
  assert.deepEqual(gate.incoming([69, 31, {}]), {});
  const { message, reply } = gate.incoming([69, 30, { mode: "kill" }]);
  assert.equal(message, undefined);
  assert.deepEqual(gate.outgoing(reply), [8, 68, 30, {}, "wamp.error.canceled"]);
  assert.equal(gate.outgoing([70, 30, {}, [2]]), null);
});

test("messages keep their order", async () => {
  const { lanes, sent } = connection();
  lanes.fromClient([16, 1, {}, "com.secret.a"]);
  lanes.fromClient([16, 2, {}, "com.open.b"]);
  lanes.fromClient([16, 3, {}, "com.secret.c"]);
  lanes.fromClient([34, 4, 1]);
  await settled();
  assert.deepEqual(sent.map((m) => m[1]), [1, 2, 3, 4]);
});

test("what can't be sealed is told to who asked", async () => {
  const { lanes, sent, delivered, reported } = connection();
  lanes.fromClient([48, 1, {}, "com.secret.a", ["unsealable"]]);
  lanes.fromClient([16, 2, { acknowledge: true }, "com.secret.a", ["unsealable"]]);
  lanes.fromClient([16, 3, {}, "com.secret.a", ["unsealable"]]);
  await settled();
  assert.deepEqual(sent, []);
  assert.deepEqual(delivered.map((m) => m.slice(0, 5)), [[8, 48, 1, {}, INVALID_ARGUMENT], [8, 16, 2, {}, INVALID_ARGUMENT]]);
  assert.deepEqual(reported, [INVALID_ARGUMENT]);
  assert.throws(() => lanes.fromClient([16, 4, {}, "com.other"]), SealError);
});
