// The plaintext of both cryptobox forms: a URI, args and kwargs, as JSON or CBOR.
//
// Numbers are JavaScript's: an integer beyond 2^53 is a bigint, and a float without
// fraction is sent as an integer.

import { decode as decodeCBOR, encode as encodeCBOR } from "cborg";
import { decode as decodeJSON } from "cborg/json";
import { DECRYPT_ERROR, INVALID_ARGUMENT, SealError } from "./errors.js";
import { asBytes, fromBase64, text, toBase64, utf8 } from "./bytes.js";

const MAX_DEPTH = 100;
const MIN_INT = -(2n ** 63n);
const MAX_INT = 2n ** 64n - 1n;

const unsealable = (why) => new SealError(INVALID_ARGUMENT, `value cannot be sealed: ${why}`);
const unreadable = (why) => new SealError(DECRYPT_ERROR, `payload cannot be decrypted: ${why}`);

/**
 * A copy of value made of null, booleans, numbers, bigints, strings, Uint8Arrays,
 * arrays and Maps alone, the Maps sorted by key.
 */
export function normalize(value, depth = MAX_DEPTH) {
  switch (typeof value) {
    case "undefined":
      return null;
    case "boolean":
    case "number":
      return value;
    case "string":
      if (!value.isWellFormed()) throw unsealable("a string is not Unicode text");
      return value;
    case "bigint":
      if (value < MIN_INT || value > MAX_INT) throw unsealable("an integer is out of range");
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    case "object":
      break;
    default:
      throw unsealable(`a ${typeof value} has no counterpart in WAMP`);
  }
  if (value === null) return null;
  const bytes = asBytes(value);
  if (bytes) return bytes;
  if (depth === 0) throw unsealable("nested too deeply");
  if (Array.isArray(value)) return Array.from(value, (item) => normalize(item, depth - 1));
  const entries = value instanceof Map ? [...value] : isPlain(value) ? Object.entries(value).filter(([, v]) => v !== undefined) : null;
  if (!entries) throw unsealable(`a ${value.constructor?.name ?? "strange object"} has no counterpart in WAMP`);
  if (!entries.every(([key]) => typeof key === "string" && key.isWellFormed())) throw unsealable("a key is not Unicode text");
  return new Map(entries.sort(([a], [b]) => byCodePoint(a, b)).map(([key, item]) => [key, normalize(item, depth - 1)]));
}

function isPlain(value) {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

// The order of UTF-8, which that of UTF-16 is not beyond the basic plane.
function byCodePoint(a, b) {
  const [left, right] = [utf8.encode(a), utf8.encode(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    if (left[i] !== right[i]) return left[i] - right[i];
  }
  return left.length - right.length;
}

// JSON: {"uri":…,"args":…,"kwargs":…}, with binaries as U+0000 and base64.

export function toJSON({ uri, args, kwargs }) {
  const members = [["uri", uri], ["args", args ?? null], ["kwargs", kwargs ?? null]];
  return utf8.encode(`{${members.map(([name, v]) => `"${name}":${writeJSON(normalize(v))}`).join(",")}}`);
}

function writeJSON(value) {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw unsealable("NaN and infinities have no JSON");
    // An integer beyond 2^53 is a float here, and others would take its digits for an integer.
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) return value.toExponential();
    return Object.is(value, -0) ? "-0.0" : String(value);
  }
  if (typeof value === "bigint") return String(value);
  if (typeof value === "string") {
    // The other side would take it for a binary.
    if (value.startsWith("\0")) throw unsealable("a string that begins with U+0000 is a binary in JSON");
    return JSON.stringify(value);
  }
  if (value instanceof Uint8Array) return JSON.stringify(binaryText(value));
  if (Array.isArray(value)) return `[${value.map(writeJSON).join(",")}]`;
  if (value instanceof Map) return `{${[...value].map(([key, item]) => `${JSON.stringify(key)}:${writeJSON(item)}`).join(",")}}`;
  return String(value);
}

/** How a binary stands in JSON (WAMP, "Binary support in JSON"). */
export const binaryText = (bytes) => "\0" + toBase64(bytes);

/** The binary that a string of JSON stands for, or null. */
export const textBinary = (value) => (typeof value === "string" && value.startsWith("\0") ? fromBase64(value.slice(1)) : null);

/** Decodes strict JSON into values with Maps for objects. */
export function readJSON(bytes) {
  text(bytes); // throws where it is not UTF-8
  return decodeJSON(bytes, { useMaps: true, allowBigInt: true, rejectDuplicateMapKeys: true });
}

export function fromJSON(bytes) {
  let value;
  try {
    value = readJSON(bytes);
  } catch {
    throw unreadable("what is inside is not the JSON of this form");
  }
  return content(value, true);
}

// CBOR: the same as a map, deterministic (RFC 8949, 4.2.1).

export function toCBOR({ uri, args, kwargs }) {
  return encodeCBOR(new Map([["uri", uri], ["args", normalize(args ?? [])], ["kwargs", normalize(kwargs ?? {})]]));
}

// A Uint8Array of some JavaScript encoders (RFC 8746).
const tags = { 64: (inner) => inner() };

/** Decodes one item of CBOR into values with Maps for maps. */
export const readCBOR = (bytes) => decodeCBOR(bytes, { useMaps: true, allowUndefined: false, rejectDuplicateMapKeys: true, tags });

export function fromCBOR(bytes) {
  let value;
  try {
    value = readCBOR(bytes);
  } catch {
    throw unreadable("what is inside is not the CBOR of this form");
  }
  return content(value, false);
}

function content(value, json) {
  if (!(value instanceof Map)) throw unreadable("what is inside is not of this form");
  const [uri, args, kwargs] = ["uri", "args", "kwargs"].map((name) => value.get(name));
  if (!((typeof uri === "string" || !value.has("uri")) && (args == null || Array.isArray(args)) && (kwargs == null || kwargs instanceof Map))) {
    throw unreadable("wrong type of a member inside");
  }
  return { uri, args: plain(args ?? null, json, MAX_DEPTH), kwargs: plain(kwargs ?? null, json, MAX_DEPTH) };
}

// What the application gets: objects instead of Maps.
function plain(value, json, depth) {
  if (depth < 0) throw unreadable("nested too deeply");
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw unreadable("a string inside is not Unicode text");
    if (!json || !value.startsWith("\0")) return value;
    const bytes = textBinary(value);
    if (!bytes) throw unreadable("a binary inside is not base64");
    return bytes;
  }
  if (typeof value === "bigint" && (value < MIN_INT || value > MAX_INT)) throw unreadable("a number inside is out of range");
  if (json && typeof value === "number" && !Number.isFinite(value)) throw unreadable("a number inside is out of range");
  if (Array.isArray(value)) return value.map((item) => plain(item, json, depth - 1));
  if (value instanceof Map) return asObject([...value].map(([key, item]) => [key, plain(item, json, depth - 1)]));
  return value;
}

/** An object of entries, of which one may be called __proto__. */
export function asObject(entries) {
  const object = {};
  for (const [key, value] of entries) {
    if (typeof key !== "string") throw unreadable("a key inside is not a string");
    Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
  }
  return object;
}

/** What a value decoded from CBOR is to an application; an error if it is of another type. */
export const toPlain = (value) => plain(value, false, MAX_DEPTH);
