"""The vectors of package cryptobox: what opens, what does not and why, and that the
same values, keys and nonces give the same bytes."""

import base64
import json
import unittest
from pathlib import Path

from nacl.public import PrivateKey

from blindfold_seal import Box, Key, KeyRing, Kind, Passthru, SealError, Subject
from blindfold_seal.values import Content, from_json, to_cbor, to_json

VECTORS = json.loads((Path(__file__).parents[2] / "cryptobox/testdata/vectors.json").read_text("utf8"))["sealed"]


def public(private):
    return base64.b64encode(bytes(PrivateKey(base64.b64decode(private)).public_key)).decode()


def key(vector, originator, private):
    if originator:
        return Key(originator_priv=private, responder_pub=public(vector["responder"]))
    return Key(originator_pub=public(vector["originator"]), responder_priv=private)


def sealer(vector, originator, private):
    ring = KeyRing()
    ring.set_key(vector["prefix"], key(vector, originator, private))
    return (Passthru if vector["form"] == "passthru" else Box)(ring)


def values(vector):
    """The values of a vector, in which binaries are written as in JSON."""
    return from_json(json.dumps({"uri": vector["uri"], "args": vector["args"], "kwargs": vector["kwargs"]}).encode())


def same(a, b):
    """Equality that tells 1 from 1.0 and True, 0.0 from -0.0."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return repr(a) == repr(b)


class Vectors(unittest.TestCase):
    def test_open(self):
        ends = set()
        for v in VECTORS:
            with self.subTest(v["name"]):
                opener = not v["sealed_by_originator"]
                private = v.get("open_with") or v["originator" if opener else "responder"]
                subject = Subject(v.get("open_uri") or v["uri"], Kind.EVENT, opener)
                ends.add(v.get("error"))
                try:
                    opened = sealer(v, opener, private).open(subject, v["attributes"], base64.b64decode(v["payload"]))
                except SealError as e:
                    self.assertEqual(e.error, v.get("error"))
                    continue
                self.assertIsNone(v.get("error"))
                want = values(v)
                self.assertTrue(same(opened.args, want.args) and same(opened.kwargs, want.kwargs), opened)
        self.assertEqual(len(ends), 4, ends)

    def test_seal(self):
        for v in VECTORS:
            if v.get("error"):
                continue
            with self.subTest(v["name"]):
                side = v["sealed_by_originator"]
                want = values(v)
                encode = to_cbor if v["form"] == "passthru" else to_json
                plaintext = encode(Content(v["uri"], want.args, want.kwargs))
                self.assertEqual(plaintext, base64.b64decode(v["plaintext"]))
                private = v["originator" if side else "responder"]
                box = key(v, side, private).box(side)
                self.assertEqual(bytes(box.encrypt(plaintext, base64.b64decode(v["nonce"]))), base64.b64decode(v["payload"]))
                attributes, payload = sealer(v, side, private).seal(Subject(v["uri"], Kind.EVENT, side), want.args, want.kwargs)
                self.assertEqual(attributes, v["attributes"])
                opened = sealer(v, not side, v["originator" if not side else "responder"]).open(
                    Subject(v["uri"], Kind.EVENT, not side), attributes, payload
                )
                self.assertTrue(same(opened.args or [], want.args or []), opened)


if __name__ == "__main__":
    unittest.main()
