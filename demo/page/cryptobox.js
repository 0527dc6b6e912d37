// Payloads that only their receiver can read, as Autobahn's cryptobox makes them:
// a 24-byte nonce and a Curve25519 box around {"uri", "args", "kwargs"} in JSON.
// In a JSON frame a binary is a string of NUL and base64 (WAMP, "Serializers").

const nacl = globalThis.nacl;
const utf8 = new TextEncoder();

export const attributes = { enc_algo: "cryptobox", enc_serializer: "json" };
export const newKeys = () => nacl.box.keyPair();

export function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

const binary = (bytes) => "\0" + base64(bytes);

function fromBinary(s) {
  if (typeof s !== "string" || s[0] !== "\0") throw new Error("not an opaque payload");
  return Uint8Array.from(atob(s.slice(1)), (c) => c.charCodeAt(0));
}

export function seal(uri, args, theirPublic, ownSecret) {
  const nonce = nacl.randomBytes(nacl.box.nonceLength);
  const box = nacl.box(utf8.encode(JSON.stringify({ uri, args, kwargs: {} })), nonce, theirPublic, ownSecret);
  const sealed = new Uint8Array(nonce.length + box.length);
  sealed.set(nonce);
  sealed.set(box, nonce.length);
  return binary(sealed);
}

export function open(uri, payload, theirPublic, ownSecret) {
  const sealed = fromBinary(payload);
  const n = nacl.box.nonceLength;
  const plain = nacl.box.open(sealed.subarray(n), sealed.subarray(0, n), theirPublic, ownSecret);
  if (!plain) throw new Error("wamp.error.encryption.decrypt_error");
  const inner = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(plain));
  if (inner.uri !== uri) throw new Error("wamp.error.encryption.trusted_uri_mismatch");
  return inner.args;
}
