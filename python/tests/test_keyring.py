"""Keys by prefix, rotation, and keyring files that are none."""

import json
import unittest

from blindfold_seal import DECRYPT_ERROR, INVALID_ARGUMENT, NO_KEY, Box, Key, KeyRing, Kind, Passthru, SealError, Subject, generate_key

EVENT = Subject("com.app.topic", Kind.EVENT, True)
HEARD = Subject("com.app.topic", Kind.EVENT, False)
SHOWN = {"enc_algo": "cryptobox", "enc_serializer": "json"}


class Rings(unittest.TestCase):
    def test_prefixes(self):
        a, b = Key.shared(generate_key()[0]), Key.shared(generate_key()[0])
        ring = KeyRing(a)
        ring.set_key("com.app", b)
        self.assertEqual((ring.lookup("com.apple"), ring.lookup("com.ap")), ([b], [a]))
        ring.set_key("", None)
        self.assertEqual((ring.covers("com.ap"), ring.covers("com.app")), (False, True))

    def test_rotation(self):
        old, new = Key.shared(generate_key()[0]), Key.shared(generate_key()[0])
        alice, bob = KeyRing(), KeyRing()
        for ring in (alice, bob):
            ring.add("com.app.", old)

        def arrives():
            _, payload = Box(alice).seal(EVENT, ["x"], None)
            self.assertEqual(Box(bob).open(HEARD, SHOWN, payload).args, ["x"])
            return payload

        first = arrives()
        alice.accept("com.app.", new)
        arrives()
        bob.accept("com.app.", new)
        alice.add("com.app.", new)
        arrives()
        bob.add("com.app.", new)
        self.assertEqual(Box(bob).open(HEARD, SHOWN, first).args, ["x"])
        for ring in (alice, bob):
            ring.remove("com.app.", old)
        arrives()
        with self.assertRaises(SealError) as e:
            Box(bob).open(HEARD, SHOWN, first)
        self.assertEqual(e.exception.error, DECRYPT_ERROR)

    def test_halves(self):
        (mine, _), (_, theirs) = generate_key(), generate_key()
        ring = KeyRing()
        ring.add("com.app.", Key(originator_priv=mine, responder_pub=theirs))
        for sealer in (Box(ring), Passthru(ring)):
            with self.assertRaises(SealError) as e:
                sealer.seal(HEARD, [], None)
            self.assertEqual(e.exception.error, NO_KEY)

    def test_values_that_are_none(self):
        ring = KeyRing(generate_key()[0])
        deep = []
        for _ in range(200):
            deep = [deep]
        for sealer in (Box(ring), Passthru(ring)):
            for value in (object(), {1: 2}, 2**64, "\ud800", deep, {"a": {"b"}}):
                with self.subTest(repr(value)[:20]), self.assertRaises(SealError) as e:
                    sealer.seal(EVENT, [value], None)
                self.assertEqual(e.exception.error, INVALID_ARGUMENT)
        for value in (float("nan"), "\0text"):
            with self.assertRaises(SealError):
                Box(ring).seal(EVENT, [value], None)

    def test_private_keys_are_not_shown(self):
        private, _ = generate_key()
        ring = KeyRing(private)
        self.assertNotIn(private, repr(ring) + str(ring) + repr(ring.lookup("x")))

    def test_files_that_are_none(self):
        good = json.loads(KeyRing(generate_key()[0]).encode())
        key = good["keys"][0]
        for name, wrong in {
            "version": {**good, "version": 2},
            "format": {**good, "format": "x"},
            "unknown member": {**good, "x": 1},
            "no private key": {**good, "keys": [{**key, "originator": {"public": key["originator"]["public"]}, "responder": {"public": key["responder"]["public"]}}]},
            "another public key": {**good, "keys": [{**key, "originator": {**key["originator"], "public": generate_key()[1]}}]},
            "low order": {**good, "keys": [{**key, "responder": {"public": "A" * 43 + "="}}]},
            "short key": {**good, "keys": [{**key, "responder": {"public": "AAAA"}}]},
            "bad prefix": {**good, "keys": [{**key, "prefix": "a..b"}]},
        }.items():
            with self.subTest(name), self.assertRaises(ValueError) as e:
                KeyRing.parse(json.dumps(wrong).encode())
            self.assertNotIn(key["originator"]["private"], str(e.exception))
        for text in (b"", b"[]", b"{", b'{"format":"blindfold-keyring","format":"blindfold-keyring","version":1,"keys":[]}', b"\xff"):
            with self.subTest(text), self.assertRaises(ValueError):
                KeyRing.parse(text)


if __name__ == "__main__":
    unittest.main()
