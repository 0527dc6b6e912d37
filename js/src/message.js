// The bytes of a message of a scope: docs/sealed-scopes.md, "Messages".

import { sha256 } from "@noble/hashes/sha2.js";
import { encode } from "cborg";
import { concat, utf8 } from "./bytes.js";
import { CALL, isBytes, isUint, malformed, need, PUBLISH, REGISTER, scopeError } from "./manifest.js";
import { readCBOR, toPlain } from "./values.js";

export const ATTRIBUTES = { ppt_scheme: "x_blindfold_1", ppt_serializer: "cbor", ppt_cipher: "aes256gcm" };
export const STREAM = 12, HEAD = 16, MIN_PAYLOAD = 108;
export const NO_CALL = new Uint8Array(32);
const SIGNATURE = 64;
const MAX_LEVELS = 6;

export const EVENT = 0, EVENT_TO_SOME = 1, CALLED = 2, CALLED_INPUTS_FOLLOW = 3, INPUT = 4, LAST_INPUT = 5, RESULT = 6, PROGRESS = 7, ERROR = 8;
/** Kinds from here on belong to a call that has begun. */
export const BOUND = INPUT;

const { subtle } = globalThis.crypto;

export const right = (kind) => (kind <= EVENT_TO_SOME ? PUBLISH : kind <= LAST_INPUT ? CALL : REGISTER);

/** The kinds that fit a message. */
export function kinds({ kind, more }, begun) {
  switch (kind) {
    case "event":
      return [EVENT, EVENT_TO_SOME];
    case "call":
      if (begun) return [more ? INPUT : LAST_INPUT];
      return [more ? CALLED_INPUTS_FOLLOW : CALLED];
    default:
      return [{ result: RESULT, progress: PROGRESS, error: ERROR }[kind]];
  }
}

export const digest = (...parts) => sha256(concat(...parts));

export function number4(n) {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, n);
  return out;
}

/** args and kwargs as normalize returns them. */
export function encodeBody({ kind, sender, time, hint, args, kwargs, index, callHint }) {
  const more = kind >= BOUND ? [index, callHint] : [];
  return encode([kind, sender, time, hint, args, kwargs, ...more]);
}

export function parseBody(data) {
  const what = "the body does not parse";
  let value;
  try {
    value = readCBOR(data);
  } catch {
    throw malformed(what);
  }
  need(Array.isArray(value) && (value.length === 6 || value.length === 8), what);
  const [kind, sender, time, hint, args, kwargs, index, callHint] = value;
  need([kind, sender, time].every(isUint) && kind <= ERROR && isBytes(hint, 4), what);
  need((value.length === 8) === kind >= BOUND && Array.isArray(args) && kwargs instanceof Map, what);
  need(kind < BOUND || (isUint(index) && isBytes(callHint, 4)), what);
  try {
    return { kind, sender, time, hint, args: toPlain(args), kwargs: toPlain(kwargs), index, callHint };
  } catch {
    throw malformed(what);
  }
}

/** uri is the SHA-256 of the URI, call the leaf of the call, or NO_CALL. */
export const leaf = (epoch, stream, number, call, uri, body) => digest(Uint8Array.of(0), epoch, stream, number4(number), call, uri, body);

const MAX_URIS = 1024;
const uriDigests = new Map(); // of the URIs in use

export function uriDigest(uri) {
  let known = uriDigests.get(uri);
  if (!known) {
    if (uriDigests.size >= MAX_URIS) uriDigests.clear();
    known = sha256(utf8.encode(uri));
    uriDigests.set(uri, known);
  }
  return known;
}

export const signed = (root) => concat("blindfold message 1\n", root);

/** Padmé: length is that of the plaintext with its 0x80. */
export function padded(length) {
  const e = Math.floor(Math.log2(length));
  const unit = 2 ** (e - (Math.floor(Math.log2(e)) + 1));
  return Math.ceil(length / unit) * unit;
}

/** A key of AES-256-GCM. */
export const importKey = (key) => subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"]);

const parameters = (epoch, head) => ({ name: "AES-GCM", iv: concat(new Uint8Array(8), head.subarray(STREAM)), additionalData: concat(epoch, head) });

export async function encrypt(key, epoch, stream, number, signature, proof, body) {
  const plain = concat(signature, proof, body, Uint8Array.of(0x80));
  const filled = new Uint8Array(padded(plain.length));
  filled.set(plain);
  const head = concat(stream, number4(number));
  return concat(head, new Uint8Array(await subtle.encrypt(parameters(epoch, head), key, filled)));
}

export async function decrypt(key, epoch, payload) {
  let data;
  try {
    data = new Uint8Array(await subtle.decrypt(parameters(epoch, payload.subarray(0, HEAD)), key, payload.subarray(HEAD)));
  } catch {
    throw scopeError("decrypt", "the payload was changed, or is for another key");
  }
  let end = data.length;
  while (end > 0 && data[end - 1] === 0) end--;
  need(end >= SIGNATURE + 2 && data[end - 1] === 0x80, "the padding");
  const signature = data.subarray(0, SIGNATURE);
  const rest = data.subarray(SIGNATURE, end - 1);
  const levels = rest[0];
  if (levels === 0) return { signature, position: 0, siblings: [], body: rest.subarray(1) };
  const length = 2 + 32 * levels;
  need(levels <= MAX_LEVELS && rest.length >= length && rest[1] < 2 ** levels, "the proof");
  const siblings = Array.from({ length: levels }, (_, i) => rest.subarray(2 + 32 * i, 34 + 32 * i));
  return { signature, position: rest[1], siblings, body: rest.subarray(length) };
}

/** The root that is signed, of a message that was signed with others. */
export function root({ position, siblings }, leaf) {
  const one = Uint8Array.of(1);
  return siblings.reduce((h, sibling, i) => ((position >> i) & 1 ? digest(one, sibling, h) : digest(one, h, sibling)), leaf);
}
