// Curve25519 boxes (NaCl crypto_box) in the two forms of WAMP. A payload is a random
// nonce of 24 bytes, then crypto_box of the plaintext.

import { sha256 } from "@noble/hashes/sha2.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import nacl from "tweetnacl";
import { toHex, utf8 } from "./bytes.js";
import { DECRYPT_ERROR, NO_KEY, SealError, URI_MISMATCH } from "./errors.js";
import { keyBytes } from "./keyring.js";
import { fromCBOR, fromJSON, toCBOR, toJSON } from "./values.js";

const NONCE = nacl.box.nonceLength;
/** How much longer a payload is than its plaintext, in bytes. */
export const OVERHEAD = NONCE + nacl.box.overheadLength;

/** The payload of a plaintext; nonce is given by tests alone. */
export function sealBox(secret, plaintext, nonce = nacl.randomBytes(NONCE)) {
  const box = nacl.box.after(plaintext, nonce, secret);
  const payload = new Uint8Array(NONCE + box.length);
  payload.set(nonce);
  payload.set(box, NONCE);
  return payload;
}

class CryptoBox {
  constructor(keys) {
    this.keys = keys;
  }

  covers({ uri }) {
    return this.keys.covers(uri);
  }

  sealingKey({ uri, originator }) {
    const keys = this.keys.lookup(uri);
    const key = keys.find((k) => k.secret(originator));
    if (!key) throw new SealError(NO_KEY, keys.length > 0 ? "the private half of this side is missing" : "no key for this URI");
    return key;
  }

  openWith(keys, { originator }, payload) {
    if (keys.length === 0) throw new SealError(NO_KEY, "no key for this URI");
    if (payload.length < OVERHEAD) throw new SealError(DECRYPT_ERROR, "payload cannot be decrypted: too short");
    for (const key of keys) {
      const plaintext = nacl.box.open.after(payload.subarray(NONCE), payload.subarray(0, NONCE), key.secret(originator));
      if (plaintext) return plaintext;
    }
    throw new SealError(DECRYPT_ERROR, "payload cannot be decrypted: no key of this URI fits");
  }

  openingKeys({ uri, originator }) {
    return this.keys.lookup(uri).filter((key) => key.secret(originator));
  }
}

const BOX = { enc_algo: "cryptobox", enc_serializer: "json" };

/** Seals in the transparency form, as Autobahn|Python's KeyRing does. */
export class Box extends CryptoBox {
  speaks(attributes) {
    return "enc_algo" in attributes;
  }

  seal(subject, args, kwargs) {
    const secret = this.sealingKey(subject).secret(subject.originator);
    return { attributes: { ...BOX }, payload: sealBox(secret, toJSON({ uri: subject.uri, args, kwargs })) };
  }

  open(subject, attributes, payload) {
    if (Object.keys(attributes).length !== 2 || !declares(attributes, BOX)) throw new SealError(NO_KEY, "not a cryptobox payload with JSON inside");
    const { uri, args, kwargs } = fromJSON(this.openWith(this.openingKeys(subject), subject, payload));
    // Without this the router could pass what was sealed for one URI as another's.
    if (uri !== subject.uri) throw new SealError(URI_MISMATCH, "payload was sealed for another URI");
    return { args, kwargs };
  }
}

const PASSTHRU = { ppt_scheme: "wamp", ppt_serializer: "cbor", ppt_cipher: "xsalsa20poly1305" };

/** Seals in the passthru form, by WAMP's predefined end-to-end scheme. */
export class Passthru extends CryptoBox {
  /**
   * allowUnbound opens payloads that name no URI inside, from senders that write only
   * what the specification asks for. A router can then pass what was sealed for one
   * URI of a key as another's.
   */
  constructor(keys, { allowUnbound = false } = {}) {
    super(keys);
    this.allowUnbound = allowUnbound;
  }

  speaks(attributes) {
    return attributes.ppt_scheme === "wamp";
  }

  seal(subject, args, kwargs) {
    const key = this.sealingKey(subject);
    const payload = sealBox(key.secret(subject.originator), toCBOR({ uri: subject.uri, args, kwargs }));
    return { attributes: { ...PASSTHRU, ppt_keyid: keyID(receiver(key, !subject.originator)) }, payload };
  }

  open(subject, attributes, payload) {
    if (!declares(attributes, PASSTHRU)) throw new SealError(NO_KEY, "not an xsalsa20poly1305 payload of scheme wamp with CBOR inside");
    const name = attributes.ppt_keyid;
    const keys = this.openingKeys(subject).filter((key) => !name || isNamed(receiver(key, subject.originator), name));
    const { uri, args, kwargs } = fromCBOR(this.openWith(keys, subject, payload));
    if (uri === undefined && !this.allowUnbound) throw new SealError(URI_MISMATCH, "payload names no URI");
    if (uri !== undefined && uri !== subject.uri) throw new SealError(URI_MISMATCH, "payload was sealed for another URI");
    return { args, kwargs };
  }
}

const declares = (attributes, wanted) => Object.entries(wanted).every(([name, value]) => attributes[name] === value);

const receiver = (key, originator) => (originator ? key.originatorPublic : key.responderPublic);

// By its key id, whatever its letters' case, or by the key itself, as in the
// specification's examples.
const isNamed = (publicKey, name) => name === publicKey || name.toLowerCase() === keyID(publicKey).toLowerCase();

const ids = new Map();

/**
 * The identifier of a public key in the passthru form: "0x" and the last 20 bytes of
 * its SHA-256 in hexadecimal, whose letters' case is the checksum of EIP-55.
 */
export function keyID(publicKey) {
  let id = ids.get(publicKey);
  if (!id) {
    const digits = toHex(sha256(keyBytes(publicKey)).slice(-20));
    const checksum = toHex(keccak_256(utf8.encode(digits)));
    id = "0x" + Array.from(digits, (digit, i) => (checksum[i] >= "8" ? digit.toUpperCase() : digit)).join("");
    ids.set(publicKey, id);
  }
  return id;
}
