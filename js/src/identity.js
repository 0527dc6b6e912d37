// Identities of sealed scopes: docs/sealed-scopes.md, "Identities".

import { sha256 } from "@noble/hashes/sha2.js";
import { Decrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { concat, fromBase64, fromBase64url, toBase64, toBase64url, utf8 } from "./bytes.js";
import { publicKey, signer, signNow, verifyNow } from "./ed25519.js";
import { readJSON } from "./values.js";

const MARK = "blindfold-id-1";
const MAX_RECIPIENT = 4096;

export const validName = (name) => /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(name);
const validRecipient = (text) => text.length <= MAX_RECIPIENT && /^[!-~]([ -~]*[!-~])?$/.test(text);

const signed = (name, key, recipient) => concat(`blindfold identity 1\n${name}\n`, key, recipient);

/** The public half of an identity. */
export class Public {
  constructor(name, key, recipient, signature) {
    Object.assign(this, { name, key, recipient, signature });
    Object.freeze(this);
  }

  /** Reads the one line of the public form, and verifies it. */
  static parse(line) {
    const [mark, name, key, signature, ...rest] = line.trim().split(" ");
    const recipient = rest.join(" ");
    const [keyBytes, signatureBytes] = [key, signature].map((text) => fromBase64url(text ?? "-"));
    if (mark !== MARK || !validName(name) || keyBytes?.length !== 32 || signatureBytes?.length !== 64 || !validRecipient(recipient)) {
      throw new TypeError(`not the public line of an identity (${MARK} …)`);
    }
    if (!verifyNow(keyBytes, signed(name, keyBytes, recipient), signatureBytes)) {
      throw new TypeError("the public line of this identity was changed: its signature does not fit");
    }
    return new Public(name, keyBytes, recipient, signatureBytes);
  }

  /** The key as base64url. */
  get id() {
    return toBase64url(this.key);
  }

  /** The 30 digits that two people compare, in groups of five. */
  digits() {
    const h = sha256(concat("blindfold digits 1\n", this.key, this.recipient));
    const group = (i) => h.subarray(5 * i, 5 * i + 5).reduce((n, byte) => n * 256 + byte, 0) % 100000;
    return Array.from({ length: 6 }, (_, i) => String(group(i)).padStart(5, "0")).join(" ");
  }

  toString() {
    return [MARK, this.name, this.id, toBase64url(this.signature), this.recipient].join(" ");
  }
}

/** An identity with its private keys, which it does not show when printed. */
export class Identity {
  #seed;
  #age;

  constructor(name, seed, age, recipient) {
    if (!validName(name)) throw new TypeError("a name is 1 to 64 of A-Z a-z 0-9 . _ @ - and begins with a letter or digit");
    if (seed?.length !== 32 || !validRecipient(recipient)) throw new TypeError("not the parts of an identity");
    const key = publicKey(seed);
    this.#seed = seed;
    this.#age = age;
    this.public = new Public(name, key, recipient, signNow(seed, signed(name, key, recipient)));
    this.sign = signer(seed);
    Object.freeze(this);
  }

  /** A new identity, with an X25519 age identity. */
  static async generate(name) {
    const age = await generateX25519Identity();
    return new Identity(name, globalThis.crypto.getRandomValues(new Uint8Array(32)), age, await identityToRecipient(age));
  }

  /** The identity of a private file's content: text, or its bytes. */
  static parse(content) {
    let file;
    try {
      file = readJSON(typeof content === "string" ? utf8.encode(content) : content);
    } catch {
      throw new SyntaxError("identity file: not JSON");
    }
    const names = ["format", "version", "name", "seed", "age", "recipient"];
    if (!(file instanceof Map) || file.size !== names.length || !names.every((name) => file.has(name))) {
      throw new SyntaxError("identity file: unknown or missing member");
    }
    const { format, version, name, seed, age, recipient } = Object.fromEntries(file);
    if (format !== "blindfold-identity" || version !== 1) throw new SyntaxError("identity file: another format or version");
    if (![name, seed, age, recipient].every((v) => typeof v === "string")) throw new SyntaxError("identity file: wrong type");
    return new Identity(name, fromBase64(seed), age, recipient);
  }

  /** The content of the private file: whoever reads it is this identity. */
  encode() {
    const { name, recipient } = this.public;
    return JSON.stringify({ format: "blindfold-identity", version: 1, name, seed: toBase64(this.#seed), age: this.#age, recipient }, null, 2) + "\n";
  }

  /** What an age file holds, or null if it is not for this identity. */
  async decrypt(file) {
    const decrypter = new Decrypter();
    decrypter.addIdentity(this.#age);
    try {
      return await decrypter.decrypt(file);
    } catch {
      return null;
    }
  }
}
