// Keys by prefix, rotation, and keyring files that are none.

import assert from "node:assert/strict";
import { inspect } from "node:util";
import test from "node:test";
import { Box, generateKey, INVALID_ARGUMENT, Key, KeyRing, NO_KEY, Passthru } from "../src/index.js";

const event = { uri: "com.app.topic", kind: "event", originator: true };
const heard = { ...event, originator: false };
const shown = { enc_algo: "cryptobox", enc_serializer: "json" };
const fresh = () => Key.shared(generateKey().private);

test("prefixes", () => {
  const [a, b] = [fresh(), fresh()];
  const ring = new KeyRing().set("", a).set("com.app", b);
  assert.deepEqual([ring.lookup("com.apple")[0] === b, ring.lookup("com.ap")[0] === a], [true, true]);
  ring.set("", null);
  assert.deepEqual([ring.covers("com.ap"), ring.covers("com.app")], [false, true]);
});

test("rotation", () => {
  const [old, next] = [fresh(), fresh()];
  const [alice, bob] = [new KeyRing().add("com.app.", old), new KeyRing().add("com.app.", old)];
  const arrives = () => {
    const { payload } = new Box(alice).seal(event, ["x"], null);
    assert.deepEqual(new Box(bob).open(heard, shown, payload).args, ["x"]);
    return payload;
  };
  const first = arrives();
  alice.accept("com.app.", next);
  arrives();
  bob.accept("com.app.", next);
  alice.add("com.app.", next);
  arrives();
  bob.add("com.app.", next);
  assert.deepEqual(new Box(bob).open(heard, shown, first).args, ["x"]);
  for (const ring of [alice, bob]) ring.remove("com.app.", old);
  arrives();
  assert.throws(() => new Box(bob).open(heard, shown, first), { error: "wamp.error.encryption.decrypt_error" });
});

test("halves", () => {
  const ring = new KeyRing().add("com.app.", new Key({ originator: { private: generateKey().private }, responder: { public: generateKey().public } }));
  for (const sealer of [new Box(ring), new Passthru(ring)]) assert.throws(() => sealer.seal(heard, [], null), { error: NO_KEY });
});

test("values that are none", () => {
  const ring = new KeyRing().set("", fresh());
  let deep = [];
  for (let i = 0; i < 200; i++) deep = [deep];
  for (const sealer of [new Box(ring), new Passthru(ring)]) {
    for (const value of [Symbol("x"), () => 1, 2n ** 64n, "\ud800", deep, new Date(), new Set(), new Map([[1, 2]])]) {
      assert.throws(() => sealer.seal(event, [value], null), { error: INVALID_ARGUMENT });
    }
  }
  for (const value of [Number.NaN, "\0text"]) assert.throws(() => new Box(ring).seal(event, [value], null), { error: INVALID_ARGUMENT });
});

test("a member called __proto__ is one like others", () => {
  const ring = new KeyRing().set("", fresh());
  const kwargs = JSON.parse('{"__proto__": {"admin": true}}');
  for (const sealer of [new Box(ring), new Passthru(ring)]) {
    const { attributes, payload } = sealer.seal(event, [], kwargs);
    const opened = sealer.open(heard, attributes, payload).kwargs;
    assert.deepEqual(Object.keys(opened), ["__proto__"]);
    assert.equal(opened.admin, undefined);
  }
});

test("private keys are not shown", () => {
  const { private: secret } = generateKey();
  const ring = new KeyRing().set("", secret);
  for (const text of [inspect(ring, { depth: 9, showHidden: true }), JSON.stringify(ring), inspect(ring.lookup("x"), { showHidden: true })]) {
    assert.ok(!text.includes(secret));
  }
});

test("files that are none", () => {
  const good = JSON.parse(new KeyRing().set("", fresh()).encode());
  const [key] = good.keys;
  const wrong = {
    version: { ...good, version: 2 },
    format: { ...good, format: "x" },
    "unknown member": { ...good, x: 1 },
    "no private key": { ...good, keys: [{ ...key, originator: { public: key.originator.public }, responder: { public: key.responder.public } }] },
    "another public key": { ...good, keys: [{ ...key, originator: { ...key.originator, public: generateKey().public } }] },
    "low order": { ...good, keys: [{ ...key, responder: { public: "A".repeat(43) + "=" } }] },
    "short key": { ...good, keys: [{ ...key, responder: { public: "AAAA" } }] },
    "bad prefix": { ...good, keys: [{ ...key, prefix: "a..b" }] },
  };
  for (const [name, file] of Object.entries(wrong)) {
    assert.throws(() => KeyRing.parse(JSON.stringify(file)), (e) => e instanceof SyntaxError && !e.message.includes(key.originator.private), name);
  }
  for (const text of ["", "[]", "{", '{"format":"blindfold-keyring","format":"blindfold-keyring","version":1,"keys":[]}']) {
    assert.throws(() => KeyRing.parse(text), SyntaxError, text);
  }
});
