// Keys by URI prefix, and the keyring file that Blindfold's other programs use.

import nacl from "tweetnacl";
import { fromBase64, toBase64, utf8 } from "./bytes.js";
import { readJSON } from "./values.js";

const KEY_SIZE = 32;

/** Whether prefix is "" or can begin a URI. */
export const validPrefix = (prefix) => typeof prefix === "string" && /^([^\s.#]+\.)*[^\s.#]*$/.test(prefix);

/** The longest of the prefixes (a Map's keys, or a Set) that uri begins with, or undefined. */
export function longestPrefix(prefixes, uri) {
  for (let n = uri.length; n >= 0; n--) {
    if (prefixes.has(uri.slice(0, n))) return uri.slice(0, n);
  }
  return undefined;
}

/** The bytes of a key. A text has one key and a key one text. */
export function keyBytes(base64) {
  const key = typeof base64 === "string" ? fromBase64(base64) : null;
  if (key?.length !== KEY_SIZE || toBase64(key) !== base64) throw new TypeError("a key is the standard base64, with padding, of 32 bytes");
  return key;
}

/** A new private key and its public key, in base64. */
export function generateKey() {
  const { secretKey, publicKey } = nacl.box.keyPair();
  return { private: toBase64(secretKey), public: toBase64(publicKey) };
}

/**
 * Seals and opens payloads. It has two halves, that of the originator (caller,
 * publisher) and that of the responder (callee, subscriber), each {private, public}
 * in base64. The public key may be left out where the private one is there; at least
 * one half has its private key. A Key never changes, and does not show private keys
 * when printed.
 */
export class Key {
  #halves;
  #shared;

  constructor({ originator, responder }) {
    this.#halves = { originator: half(originator), responder: half(responder) };
    const { originator: o, responder: r } = this.#halves;
    this.#shared = { originator: shared(o.secret, r.public), responder: shared(r.secret, o.public) };
    if (!this.#shared.originator && !this.#shared.responder) {
      throw new TypeError("a key needs a private half, of the originator or the responder");
    }
    this.originatorPublic = toBase64(o.public);
    this.responderPublic = toBase64(r.public);
    Object.freeze(this);
  }

  /** The key whose originator and responder are one pair: everyone who holds it can take either side. */
  static shared(privateKey) {
    return new Key({ originator: { private: privateKey }, responder: { private: privateKey } });
  }

  /** The secret that seals and opens on that side, or null where its private key is missing. */
  secret(originator) {
    return this.#shared[originator ? "originator" : "responder"];
  }

  /** Whether other has the same public keys. */
  samePublic(other) {
    return this.originatorPublic === other.originatorPublic && this.responderPublic === other.responderPublic;
  }

  /** Whether other has the same halves and serves the same sides. */
  same(other) {
    return this.samePublic(other) && [true, false].every((side) => !this.secret(side) === !other.secret(side));
  }

  /** The key as the keyring file has it: with its private keys. */
  entry(prefix) {
    const file = ({ secret, public: publicKey }) => ({ ...(secret ? { private: toBase64(secret) } : {}), public: toBase64(publicKey) });
    return { prefix, originator: file(this.#halves.originator), responder: file(this.#halves.responder) };
  }
}

function half({ private: secret, public: publicKey } = {}) {
  const given = publicKey ? keyBytes(publicKey) : null;
  if (!secret) {
    if (!given) throw new TypeError("a key needs at least the public key of both originator and responder");
    return { public: given };
  }
  const pair = nacl.box.keyPair.fromSecretKey(keyBytes(secret));
  if (given && !nacl.verify(given, pair.publicKey)) throw new TypeError("the public key is not the one of the private key");
  return { secret: pair.secretKey, public: pair.publicKey };
}

function shared(secret, peer) {
  if (!secret) return null;
  // A point of low order gives a shared secret that anyone knows.
  if (nacl.scalarMult(secret, peer).every((b) => b === 0)) throw new TypeError("a public key is a point of low order");
  return nacl.box.before(peer, secret);
}

/**
 * Keys by URI prefix. A URI belongs to the longest prefix that it begins with,
 * character by character ("com.app" is a prefix of "com.apple"); "" is the prefix of
 * all URIs.
 *
 * A prefix may hold several keys, for rotation: sealing uses the newest that has the
 * private half of the sealing side, opening tries all, newest first. To rotate
 * without a gap, accept the new key at every peer, then add it at every peer, then
 * remove the old one when nothing sealed with it is under way any more.
 */
export class KeyRing {
  #keys = new Map(); // newest first
  #scramble = new Map(); // kept for the file; not used here

  /** Makes key (a Key, or the base64 of a private key) the newest of prefix. */
  add(prefix, key) {
    const k = asKey(prefix, key);
    this.#keys.set(prefix, [k, ...this.keys(prefix).filter((other) => !other.same(k))]);
    return this;
  }

  /** Makes key the oldest of prefix: it opens, and does not seal where there is another. */
  accept(prefix, key) {
    const k = asKey(prefix, key);
    if (!this.keys(prefix).some((other) => other.same(k))) this.#keys.set(prefix, [...this.keys(prefix), k]);
    return this;
  }

  /** Makes key the only one of prefix; null takes all its keys away. */
  set(prefix, key) {
    if (key === null) this.#keys.delete(prefix);
    else this.#keys.set(prefix, [asKey(prefix, key)]);
    return this;
  }

  /** Takes those keys of prefix away that have the public keys of key. */
  remove(prefix, key) {
    const k = asKey(prefix, key);
    const left = this.keys(prefix).filter((other) => !other.samePublic(k));
    if (left.length > 0) this.#keys.set(prefix, left);
    else this.#keys.delete(prefix);
    return this;
  }

  /** The prefixes that have keys, sorted. */
  prefixes() {
    return [...this.#keys.keys()].sort();
  }

  /** The keys of prefix, newest first. */
  keys(prefix) {
    return [...(this.#keys.get(prefix) ?? [])];
  }

  /** Whether uri has a key, on either side. */
  covers(uri) {
    return longestPrefix(this.#keys, uri) !== undefined;
  }

  /** The keys that uri belongs to, newest first. */
  lookup(uri) {
    return this.keys(longestPrefix(this.#keys, uri));
  }

  /** The keyring of a keyring file's content: text, or its bytes. */
  static parse(content) {
    let value;
    try {
      value = readJSON(typeof content === "string" ? utf8.encode(content) : content);
    } catch {
      throw new SyntaxError("keyring: not JSON");
    }
    const file = members(value, "keyring", ["format", "version", "keys"], ["scramble"]);
    if (file.format !== "blindfold-keyring") throw new SyntaxError('keyring: "format" is not "blindfold-keyring"');
    if (file.version !== 1) throw new SyntaxError('keyring: "version" is not 1, the one known here');
    const ring = new KeyRing();
    list(file.keys, "keyring: keys").forEach((entry, i) => {
      const where = `keyring: keys[${i}]`;
      const { prefix, originator, responder } = members(entry, where, ["prefix", "originator", "responder"]);
      if (!validPrefix(prefix)) throw new SyntaxError(`${where}: "prefix" cannot begin a URI`);
      const key = named(where, () => new Key({
        originator: members(originator, `${where}: originator`, [], ["private", "public"]),
        responder: members(responder, `${where}: responder`, [], ["private", "public"]),
      }));
      ring.#keys.set(prefix, [...ring.keys(prefix), key]);
    });
    list(file.scramble ?? [], "keyring: scramble").forEach((entry, i) => {
      const where = `keyring: scramble[${i}]`;
      const { prefix, key } = members(entry, where, ["prefix", "key"]);
      if (!validPrefix(prefix) || ring.#scramble.has(prefix)) {
        throw new SyntaxError(`${where}: "prefix" cannot begin a URI, or has a scramble key already`);
      }
      named(where, () => keyBytes(key));
      ring.#scramble.set(prefix, key);
    });
    return ring;
  }

  /**
   * The content of a keyring file: it holds the private keys. The same keys always
   * give the same text, as from the other programs of Blindfold.
   */
  encode() {
    const file = {
      format: "blindfold-keyring",
      version: 1,
      keys: this.prefixes().flatMap((prefix) => this.keys(prefix).map((key) => key.entry(prefix))),
    };
    if (this.#scramble.size > 0) file.scramble = [...this.#scramble.keys()].sort().map((prefix) => ({ prefix, key: this.#scramble.get(prefix) }));
    return JSON.stringify(file, null, 2) + "\n";
  }
}

function asKey(prefix, key) {
  if (!validPrefix(prefix)) throw new TypeError("not a prefix of a URI");
  if (key instanceof Key) return key;
  return Key.shared(key);
}

function members(value, where, required, optional = []) {
  if (!(value instanceof Map) || !required.every((name) => value.has(name)) || ![...value.keys()].every((name) => required.includes(name) || optional.includes(name))) {
    throw new SyntaxError(`${where}: unknown or missing member`);
  }
  return Object.fromEntries(value);
}

function list(value, where) {
  if (!Array.isArray(value)) throw new SyntaxError(`${where} is not a list`);
  return value;
}

function named(where, make) {
  try {
    return make();
  } catch (e) {
    throw new SyntaxError(`${where}: ${e.message}`);
  }
}
