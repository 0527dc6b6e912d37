// The vectors of package cryptobox: what opens, what does not and why, and that the
// same values, keys and nonces give the same bytes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import nacl from "tweetnacl";
import { fromBase64, toBase64, utf8 } from "../src/bytes.js";
import { Box, Passthru, sealBox } from "../src/cryptobox.js";
import { SealError } from "../src/errors.js";
import { Key, KeyRing } from "../src/keyring.js";
import { fromJSON, readJSON, toCBOR, toJSON } from "../src/values.js";

const file = readJSON(readFileSync(new URL("../../cryptobox/testdata/vectors.json", import.meta.url)));
const asObject = (v) => (v instanceof Map ? Object.fromEntries([...v].map(([k, x]) => [k, asObject(x)])) : v);
// The vectors' values are JSON with integers beyond 2^53, so JSON.parse won't do.
const vectors = file.get("sealed").map((v) => ({ ...asObject(v), args: v.get("args"), kwargs: v.get("kwargs"), raw: v }));

const publicOf = (key) => toBase64(nacl.box.keyPair.fromSecretKey(fromBase64(key)).publicKey);

function key(v, originator, secret) {
  return originator
    ? new Key({ originator: { private: secret }, responder: { public: publicOf(v.responder) } })
    : new Key({ originator: { public: publicOf(v.originator) }, responder: { private: secret } });
}

function sealer(v, originator, secret) {
  const ring = new KeyRing().set(v.prefix, key(v, originator, secret));
  return v.form === "passthru" ? new Passthru(ring) : new Box(ring);
}

// What the values of a vector are when they have been opened.
const values = (v) => fromJSON(utf8.encode(write({ uri: v.uri, args: v.args, kwargs: v.kwargs })));
const write = (v) => {
  if (typeof v === "bigint") return String(v);
  if (Array.isArray(v)) return `[${v.map(write)}]`;
  if (v instanceof Map) return write(Object.fromEntries(v));
  if (v !== null && typeof v === "object") return `{${Object.entries(v).map(([k, x]) => `${JSON.stringify(k)}:${write(x)}`)}}`;
  if (typeof v === "number" && !Number.isSafeInteger(v)) return v.toExponential();
  return Object.is(v, -0) ? "-0.0" : JSON.stringify(v);
};

test("opening", () => {
  const ends = new Set();
  for (const v of vectors) {
    const opener = !v.sealed_by_originator;
    const secret = v.open_with ?? v[opener ? "originator" : "responder"];
    ends.add(v.error);
    const open = () => sealer(v, opener, secret).open({ uri: v.open_uri ?? v.uri, originator: opener }, v.attributes, fromBase64(v.payload));
    if (v.error) {
      assert.throws(open, (e) => e instanceof SealError && e.error === v.error, v.name);
    } else {
      const { args, kwargs } = values(v);
      assert.deepEqual(open(), { args, kwargs }, v.name);
    }
  }
  assert.equal(ends.size, 4);
});

test("sealing", () => {
  let exact = 0;
  for (const v of vectors.filter((v) => !v.error)) {
    const side = v.sealed_by_originator;
    const { args, kwargs } = values(v);
    const plaintext = (v.form === "passthru" ? toCBOR : toJSON)({ uri: v.uri, args, kwargs });
    // A float without fraction is an integer to JavaScript.
    if (!v.name.endsWith("floats")) {
      assert.equal(toBase64(plaintext), v.plaintext, v.name);
      exact++;
    }
    const secret = v[side ? "originator" : "responder"];
    assert.equal(toBase64(sealBox(key(v, side, secret).secret(side), fromBase64(v.plaintext), fromBase64(v.nonce))), v.payload, v.name);
    const { attributes, payload } = sealer(v, side, secret).seal({ uri: v.uri, originator: side }, args, kwargs);
    assert.deepEqual(attributes, v.attributes, v.name);
    const opened = sealer(v, !side, v[side ? "responder" : "originator"]).open({ uri: v.uri, originator: !side }, attributes, payload);
    if (!v.name.endsWith("floats")) assert.deepEqual(opened, { args, kwargs }, v.name);
  }
  assert.ok(exact > 15, `${exact}`);
});
