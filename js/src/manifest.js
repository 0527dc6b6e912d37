// Scopes and their lists of members: docs/sealed-scopes.md, "Scopes".

import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { encode } from "cborg";
import { concat, sameBytes, toBase64url } from "./bytes.js";
import { verifyNow } from "./ed25519.js";
import { SealError } from "./errors.js";
import { validName } from "./identity.js";
import { readCBOR } from "./values.js";

export const PUBLISH = 1, SUBSCRIBE = 2, CALL = 4, REGISTER = 8;
export const MAX_BUNDLE = 256 << 10;
export const TOPIC_PREFIX = "blindfold.scope.";
const MAX_FILES = 8;
const MAX_MEMBERS = 4096;

export const scopeError = (name, text) => new SealError(`blindfold.error.scope.${name}`, text);
export const malformed = (text) => scopeError("malformed", text);

export function need(ok, what) {
  if (!ok) throw malformed(what);
}

/** The items of a CBOR array of that length. */
export function array(data, length, what) {
  let value;
  try {
    value = readCBOR(data);
  } catch {
    throw malformed(what);
  }
  need(Array.isArray(value) && value.length === length, what);
  return value;
}

// An integer beyond 2^53 is none that this implementation takes.
export const isUint = (value) => Number.isSafeInteger(value) && value >= 0;
export const isBytes = (value, ...lengths) => value instanceof Uint8Array && (lengths.length === 0 || lengths.includes(value.length));

export const scopeID = (owner, realm, prefix) => sha256(concat("blindfold scope 1\n", owner, `${realm}\n${prefix}`)).slice(0, 16);

/** The list of members of an epoch, with its secret. Times are milliseconds. */
export class Manifest {
  #secret;

  constructor(raw) {
    const what = "the list of members does not parse";
    const [version, realm, prefix, owner, epoch, previous, notBefore, notAfter, grace, secret, list] = array(raw, 11, what);
    need(version === 1 && typeof realm === "string" && typeof prefix === "string", what);
    need(isBytes(owner, 32) && isBytes(previous, 0, 32) && isBytes(secret, 32), what);
    need([epoch, notBefore, notAfter, grace].every(isUint) && epoch >= 1 && notBefore <= notAfter, what);
    need(Array.isArray(list) && list.length >= 1 && list.length <= MAX_MEMBERS, what);
    const members = list.map((entry) => {
      need(Array.isArray(entry) && entry.length === 3, what);
      const [name, key, rights] = entry;
      need(typeof name === "string" && validName(name) && isBytes(key, 32) && isUint(rights) && rights < 16, what);
      return { name, key, id: toBase64url(key), rights };
    });
    const unique = (get) => new Set(members.map(get)).size === members.length;
    need(unique((m) => m.name) && unique((m) => m.id), "a member is listed twice");
    this.#secret = secret;
    const id = sha256(concat("blindfold epoch 1\n", raw));
    Object.assign(this, { raw, realm, prefix, owner, epoch, previous, notBefore, notAfter, grace, members, id, keyID: toBase64url(id.subarray(0, 4)) });
    Object.freeze(this);
  }

  /** The index of a member's key (base64url), or -1. */
  index(id) {
    return this.members.findIndex((m) => m.id === id);
  }

  messageKey(stream) {
    return hkdf(sha256, this.#secret, stream, concat("blindfold message key 1\n", this.id), 32);
  }
}

/** Checks 1 to 6 of "Accepting a bundle". newest is the newest epoch known, or 0. */
export async function openBundle(data, { owner, id, newest, identity }) {
  const what = "the bundle does not parse";
  need(data.length <= MAX_BUNDLE, "the bundle is too large");
  const [version, scope, epoch, files, signature] = array(data, 5, what);
  need(version === 1 && isBytes(scope, 16) && isUint(epoch) && isBytes(signature, 64), what);
  need(Array.isArray(files) && files.length >= 1 && files.length <= MAX_FILES && files.every((file) => isBytes(file)), what);
  if (!sameBytes(scope, id)) throw scopeError("wrong_scope", "the bundle is of another scope");
  if (!verifyNow(owner, concat("blindfold bundle 1\n", encode([1, scope, epoch, files])), signature)) {
    throw scopeError("bad_signature", "the bundle is not signed by the scope's owner");
  }
  if (epoch < newest) throw scopeError("old_epoch", "the bundle is of an epoch that is over");
  for (const file of files) {
    const raw = await identity.decrypt(file);
    if (raw) {
      const manifest = new Manifest(raw);
      if (manifest.epoch !== epoch) throw scopeError("wrong_scope", "the bundle holds another epoch than it says");
      return manifest;
    }
  }
  throw scopeError("not_member", "the owner did not encrypt the bundle to this identity");
}
