// Ed25519 by WebCrypto, and by @noble/curves where a browser's has none.

import { ed25519 } from "@noble/curves/ed25519.js";
import { toBase64 } from "./bytes.js";

const { subtle } = globalThis.crypto;
const algorithm = { name: "Ed25519" };
let native; // whether WebCrypto has it: a promise once it was asked

function hasNative() {
  native ??= subtle.importKey("raw", ed25519.getPublicKey(new Uint8Array(32)), algorithm, true, ["verify"]).then(() => true, () => false);
  return native;
}

/** The public key of a seed of 32 bytes. */
export const publicKey = (seed) => ed25519.getPublicKey(seed);

/** A signature, at once. */
export const signNow = (seed, message) => ed25519.sign(message, seed);

/** Whether a signature is good, at once. */
export function verifyNow(key, message, signature) {
  try {
    return ed25519.verify(signature, message, key);
  } catch {
    return false;
  }
}

// PKCS #8 of an Ed25519 seed (RFC 8410), up to the seed.
const pkcs8 = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);

/** A function that signs with a seed. */
export function signer(seed) {
  let key;
  return async (message) => {
    if (!(await hasNative())) return signNow(seed, message);
    key ??= subtle.importKey("pkcs8", Uint8Array.of(...pkcs8, ...seed), algorithm, false, ["sign"]);
    return new Uint8Array(await subtle.sign(algorithm, await key, message));
  };
}

const MAX_KEYS = 4096;
const keys = new Map(); // imported public keys

/** Whether a signature is good. */
export async function verify(key, message, signature) {
  if (!(await hasNative())) return verifyNow(key, message, signature);
  const name = toBase64(key);
  let imported = keys.get(name);
  if (!imported) {
    if (keys.size >= MAX_KEYS) keys.clear();
    imported = subtle.importKey("raw", key, algorithm, false, ["verify"]);
    keys.set(name, imported);
  }
  try {
    return await subtle.verify(algorithm, await imported, signature, message);
  } catch {
    return false; // not a key
  }
}
