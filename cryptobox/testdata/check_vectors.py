#!/usr/bin/python3
"""Checks vectors.json with Autobahn|Python's KeyRing and PyNaCl, both directions.

Usage: check_vectors.py VECTORS < SEALED > SEALED_HERE

Every vector is opened, and must open or fail as it says; those that open are
also created again from their values and nonce, and must come out the same, byte for
byte. SEALED is a JSON list of fresh payloads from the other implementation,
which must open; what is written is such a list, sealed here. Exits with 1 and
one line for each disagreement.
"""

import base64
import hashlib
import hmac
import json
import sys

import cbor2
from autobahn.wamp.cryptobox import EncodedPayload, Key, KeyRing
from autobahn.wamp.serializer import _dumps, _loads
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

NO_KEY = "wamp.error.no_payload_codec"
DECRYPT = "wamp.error.encryption.decrypt_error"
MISMATCH = "wamp.error.encryption.trusted_uri_mismatch"

complaints = []


def complain(name, what):
    complaints.append("%s: %s" % (name, what))


def public(private):
    key = PrivateKey(base64.b64decode(private))
    return base64.b64encode(bytes(key.public_key)).decode()


def keyring(v, originator, private):
    """The keyring of one side: its own private key, the other's public one."""
    if originator:
        key = Key(originator_priv=private, responder_pub=public(v["responder"]))
    else:
        key = Key(originator_pub=public(v["originator"]), responder_priv=private)
    ring = KeyRing()
    ring.set_key(v["prefix"], key)
    return ring


def box(v, originator, private):
    peer = public(v["responder" if originator else "originator"])
    return Box(PrivateKey(base64.b64decode(private)), PublicKey(base64.b64decode(peer)))


def open_vector(v):
    """Returns (args, kwargs, None) or (None, None, the error's URI)."""
    originator = not v["sealed_by_originator"]
    private = v.get("open_with") or v["originator" if originator else "responder"]
    uri = v.get("open_uri") or v["uri"]
    payload = base64.b64decode(v["payload"])
    attrs = v["attributes"]
    if v["form"] == "transparency":
        ring = keyring(v, originator, private)
        if not ring._get_box(originator, uri):
            return None, None, NO_KEY
        encoded = EncodedPayload(payload, attrs["enc_algo"], attrs["enc_serializer"], None)
        try:
            inner, args, kwargs = ring.decode(originator, uri, encoded)
        except (CryptoError, ValueError):
            return None, None, DECRYPT
    else:
        if not uri.startswith(v["prefix"]):
            return None, None, NO_KEY
        own = base64.b64decode(public(private))
        keyid = "0x" + hashlib.sha256(own).digest()[-20:].hex()
        if attrs["ppt_keyid"].lower() != keyid:
            return None, None, NO_KEY
        try:
            plain = cbor2.loads(box(v, originator, private).decrypt(payload))
        except (CryptoError, ValueError):
            return None, None, DECRYPT
        inner, args, kwargs = plain["uri"], plain["args"], plain["kwargs"]
    if inner != uri:
        return None, None, MISMATCH
    return args, kwargs, None


def same(a, b):
    """Equality that tells 1 from 1.0 and True, 0.0 from -0.0, and bytes from str."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return repr(a) == repr(b)


def plaintext(v):
    content = {"uri": v["uri"], "args": v["args"], "kwargs": v["kwargs"]}
    if v["form"] == "transparency":
        return _dumps(content).encode("utf8")
    return cbor2.dumps(content, canonical=True)


def check_vector(v):
    name = v["name"]
    args, kwargs, error = open_vector(v)
    if error != v.get("error"):
        return complain(name, "opening gives %s, not %s" % (error, v.get("error")))
    if error:
        return
    if not (same(args, v["args"]) and same(kwargs, v["kwargs"])):
        complain(name, "opened to %r %r" % (args, kwargs))
    if plaintext(v) != base64.b64decode(v["plaintext"]):
        complain(name, "the plaintext is made differently here: %r" % plaintext(v))
    originator = v["sealed_by_originator"]
    private = v["originator" if originator else "responder"]
    sealed = box(v, originator, private).encrypt(plaintext(v), base64.b64decode(v["nonce"]))
    if bytes(sealed) != base64.b64decode(v["payload"]):
        complain(name, "the payload is made differently here")


def check_scrambled(v):
    key = base64.b64decode(v["key"])
    out = []
    for component in v["uri"].split("."):
        digest = hmac.new(key, component.encode(), hashlib.sha256).digest()
        out.append(base64.b32encode(digest).decode().lower()[:20] if component else "")
    if ".".join(out) != v["scrambled"]:
        complain(v["uri"], "scrambles differently here")


def seal_here(v):
    """Seals the values of a vector with a nonce of Autobahn's own choice."""
    originator = v["sealed_by_originator"]
    private = v["originator" if originator else "responder"]
    fresh = {k: v[k] for k in v if k not in ("nonce", "plaintext")}
    if v["form"] == "transparency":
        encoded = keyring(v, originator, private).encode(originator, v["uri"], v["args"], v["kwargs"])
        payload = encoded.payload
        fresh["attributes"] = {"enc_algo": encoded.enc_algo, "enc_serializer": encoded.enc_serializer}
    else:
        payload = bytes(box(v, originator, private).encrypt(plaintext(v)))
    fresh["payload"] = base64.b64encode(payload).decode()
    return fresh


def main():
    with open(sys.argv[1], encoding="utf8") as f:
        # Autobahn's own reading: binaries by WAMP's convention, at any depth.
        vectors = _loads(f.read())
    sealed = _loads(sys.stdin.read())
    for v in vectors["sealed"]:
        check_vector(v)
    for v in vectors["scrambled"]:
        check_scrambled(v)
    for v in sealed:
        args, kwargs, error = open_vector(v)
        if error or not (same(args, v["args"]) and same(kwargs, v["kwargs"])):
            complain("fresh: " + v["name"], "opened to %r %r, %s" % (args, kwargs, error))
    if not sealed or not vectors["sealed"] or not vectors["scrambled"]:
        complain("input", "nothing to check")
    if complaints:
        sys.exit("\n".join(complaints))
    print(_dumps([seal_here(v) for v in vectors["sealed"] if not v.get("error")]))


main()
