// The vectors of sealed scopes, good and bad, and two members who talk to each other.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { fromHex, toBase64, toHex, utf8 } from "../src/bytes.js";
import { SealError } from "../src/errors.js";
import { Identity, Public } from "../src/identity.js";
import { openBundle } from "../src/manifest.js";
import * as wire from "../src/message.js";
import { folderStore, loadIdentity, saveIdentity } from "../src/node.js";
import { memoryStore, Scope, ScopedCall, Scopes } from "../src/scope.js";
import { normalize } from "../src/values.js";
import { encodeState, parseState } from "../src/window.js";

const vectors = JSON.parse(readFileSync(new URL("../../testdata/scopes/vectors.json", import.meta.url)));
const setting = { realm: vectors.scope.realm, prefix: vectors.scope.prefix };
const owner = { key: fromHex(vectors.scope.owner) };
const identities = new Map(vectors.identities.map((v) => [v.name, new Identity(v.name, fromHex(v.seed), v.age, v.recipient)]));
const bundles = new Map(vectors.bundles.map((v) => [v.name, v]));
const bundle = (name) => fromHex(bundles.get(name).bundle);
const manifest = (name, who) => openBundle(bundle(name), { owner: owner.key, id: fromHex(vectors.scope.id), newest: 0, identity: identities.get(who) });

// The scope as a member sees it who has accepted bundles, each at its not before.
async function member(who, start, known, more = {}) {
  const clock = { now: start };
  const scope = await Scope.open({ ...setting, owner, identity: identities.get(who), now: () => clock.now, ...more });
  for (const name of known) {
    clock.now = (await manifest(name, who)).notBefore;
    await scope.accept(bundle(name));
  }
  return { scope, clock };
}

const nameOf = (e) => {
  if (!(e instanceof SealError)) throw e;
  const prefix = "blindfold.error.scope.";
  assert.ok(e.error.startsWith(prefix), e.message);
  return e.error.slice(prefix.length);
};

// What comes of it: the error's name, or "" and what it returned.
async function outcome(run) {
  try {
    return ["", await run()];
  } catch (e) {
    return [nameOf(e)];
  }
}

test("identities", () => {
  for (const v of vectors.identities) {
    const p = Public.parse(v.line);
    assert.deepEqual([toHex(p.key), p.recipient, p.digits(), String(p)], [v.key, v.recipient, v.digits, v.line]);
    assert.deepEqual(String(identities.get(v.name).public), v.line);
  }
  for (const v of vectors.lines) assert.throws(() => Public.parse(v.line), TypeError, v.name);
});

test("bundles", async () => {
  const { scope } = await member("bob", 0, []);
  assert.deepEqual([toHex(scope.id), scope.topic], [vectors.scope.id, vectors.scope.topic]);
  for (const name of ["one", "two", "three"]) {
    const m = await manifest(name, "bob");
    assert.deepEqual([toHex(m.raw), toHex(m.id), m.keyID], [bundles.get(name).manifest, bundles.get(name).epoch_id, bundles.get(name).ppt_keyid]);
  }
  const errors = new Set();
  for (const v of vectors.accepting) {
    const { scope, clock } = await member(v.as, 0, v.known);
    const before = scope.manifest;
    clock.now = v.now;
    const [error] = await outcome(() => scope.accept(bundle(v.bundle)));
    assert.equal(error, v.error, v.name);
    if (error) assert.equal(scope.manifest, before, v.name);
    errors.add(error);
  }
  assert.equal(errors.size, 9);
});

test("sealing", async () => {
  for (const v of vectors.sealing) {
    const m = await manifest(v.epoch, v.sender);
    const body = fromHex(v.body);
    const stream = fromHex(v.stream);
    const call = v.call ? fromHex(v.call) : wire.NO_CALL;
    const leaf = wire.leaf(m.id, stream, v.number, call, wire.uriDigest(v.uri), body);
    assert.equal(toHex(leaf), v.leaf, v.name);
    assert.equal(toHex(m.messageKey(stream)), v.key, v.name);
    const key = await wire.importKey(m.messageKey(stream));
    const plain = await wire.decrypt(key, m.id, fromHex(v.payload));
    const signature = await identities.get(v.sender).sign(wire.signed(wire.root(plain, leaf)));
    assert.equal(toHex(signature), toHex(plain.signature), v.name);
    const proof = fromHex(v.plaintext.slice(128).split(v.body)[0]);
    assert.equal(toHex(await wire.encrypt(key, m.id, stream, v.number, signature, proof, body)), v.payload, v.name);
    const parsed = wire.parseBody(body);
    assert.deepEqual([parsed.kind, parsed.time], [v.kind, v.time], v.name);
    assert.equal(toHex(wire.encodeBody({ ...parsed, args: normalize(parsed.args), kwargs: normalize(parsed.kwargs) })), v.body, v.name);
  }
});

test("opening", async () => {
  const errors = new Set();
  const kinds = { EVENT: "event", INVOCATION: "call", RESULT: "result", ERROR: "error" };
  for (const v of vectors.opening) {
    const { scope, clock } = await member(v.as, v.start, v.epochs);
    for (const own of v.own) scope.markOwn(fromHex(own.stream), own.exclude_me_false);
    let call;
    if (v.call) {
      call = new ScopedCall(scope, fromHex(v.call.leaf), v.call.peer ? Buffer.from(v.call.peer, "hex").toString("base64url") : null);
      Object.assign(call, { inputs: v.call.inputs, answers: v.call.answers });
    }
    for (const step of v.steps) {
      clock.now = step.now;
      const kind = step.message === "RESULT" && step.progress ? "progress" : kinds[step.message];
      const subject = { uri: step.uri, kind, realm: setting.realm, more: step.progress, retained: step.stored, exchange: call ? { scope: call } : {} };
      const attributes = Object.fromEntries(["ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid"].filter((k) => step[k]).map((k) => [k, step[k]]));
      const [error, opened] = await outcome(() => new Scopes(scope).open(subject, attributes, fromHex(step.payload)));
      errors.add(error);
      assert.equal(error, step.error, v.name);
      if (error) continue;
      const { sender, time, missing, first, late, stored } = opened.seal;
      assert.deepEqual(
        { sender, time: time.getTime(), missing, first, late, stored },
        { sender: step.sender, time: step.time, missing: step.missing ?? 0, first: step.first ?? false, late: step.late ?? false, stored: step.stored },
        v.name,
      );
      assert.deepEqual([opened.args, opened.kwargs], [step.args ?? [], step.kwargs ?? {}], v.name);
    }
  }
  assert.equal(errors.size, 21);
});

test("states", () => {
  for (const v of vectors.states) {
    const read = () => toHex(encodeState(parseState(fromHex(v.state))));
    if (v.error) assert.throws(read, (e) => nameOf(e) === v.error, v.name);
    else assert.equal(read(), v.state, v.name);
  }
});

const now = vectors.accepting[0].now + 1000;

async function pair() {
  const [alice, bob] = [await member("alice", now - 1000, ["one"]), await member("bob", now - 1000, ["one"])];
  alice.clock.now = bob.clock.now = now;
  const send = async (kind, from, to, { uri = "com.app.topic", at = [{}, {}], ...more } = {}) => {
    const originator = kind === "event" || kind === "call";
    const subject = { uri, kind, realm: setting.realm, ...more };
    const { attributes, payload } = await new Scopes(from.scope).seal({ ...subject, originator, exchange: at[0] }, ["hello"], { k: new Uint8Array([0]) });
    return new Scopes(to.scope).open({ ...subject, originator: !originator, exchange: at[1] }, attributes, payload);
  };
  return { alice, bob, send };
}

test("events", async () => {
  const { alice, bob, send } = await pair();
  const first = await send("event", alice, bob);
  const second = await send("event", alice, bob);
  assert.deepEqual([first.args, first.kwargs], [["hello"], { k: new Uint8Array([0]) }]);
  assert.deepEqual([first.seal.sender, first.seal.first, second.seal.first, second.seal.missing], ["alice", true, false, 0]);
  assert.equal((await send("event", bob, alice, { listed: true })).seal.sender, "bob");
});

test("calls", async () => {
  const { alice, bob, send } = await pair();
  const [atAlice, atBob, other] = [{}, {}, {}];
  await send("call", alice, bob, { at: [atAlice, atBob], more: true });
  await send("call", alice, bob, { at: [atAlice, atBob] });
  for (const kind of ["progress", "progress", "result"]) assert.equal((await send(kind, bob, alice, { at: [atBob, atAlice] })).seal.sender, "bob");
  await send("call", alice, bob, { at: [other, {}] });
  assert.deepEqual(await outcome(() => send("error", bob, alice, { uri: "com.other.error", at: [atBob, other] })), ["wrong_call"]);
});

test("what is kept", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "seal-"));
  try {
    for (const store of [memoryStore(), folderStore(folder)]) {
      await member("bob", now, ["one"], { store });
      const again = await member("bob", now, [], { store });
      assert.equal(again.scope.manifest.epoch, 1);
      await member("bob", now, ["two"], { store });
      const { scope, clock } = await member("bob", now, [], { store });
      clock.now = now;
      assert.deepEqual(await outcome(() => scope.accept(bundle("one"))), ["old_epoch"]);
    }
    await unlink(path.join(folder, `${vectors.scope.id}.state`));
    assert.deepEqual(await outcome(() => member("bob", now, [], { store: folderStore(folder) })), ["state_lost"]);
    await member("bob", now, [], { store: folderStore(folder), forget: true });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a message that comes before its list of members waits for it", async () => {
  const { alice, bob } = await pair();
  const later = (await manifest("two", "bob")).notBefore;
  alice.clock.now = bob.clock.now = later;
  await alice.scope.accept(bundle("two"));
  const subject = { uri: "com.app.topic", kind: "event", realm: setting.realm, exchange: {} };
  const { attributes, payload } = await new Scopes(alice.scope).seal(subject, ["early"], null);
  const opening = new Scopes(bob.scope).open(subject, attributes, payload);
  await bob.scope.accept(bundle("two"));
  assert.deepEqual((await opening).args, ["early"]);
});

test("identity files", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "seal-"));
  try {
    const dave = await Identity.generate("dave");
    const file = path.join(folder, "dave");
    await saveIdentity(file, dave);
    assert.equal(String((await loadIdentity(file)).public), String(dave.public));
    assert.ok(!JSON.stringify(dave).includes("AGE-SECRET"));
    assert.throws(() => Identity.parse(utf8.encode("{}")), SyntaxError);
    assert.equal(toBase64(dave.public.key).length, 44);
  } finally {
    await rm(folder, { recursive: true });
  }
});
