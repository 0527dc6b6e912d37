"""The vectors of sealed scopes, good and bad, and what a member keeps in files."""

import base64
import json
import tempfile
import unittest
from pathlib import Path

from blindfold_seal import Kind, SealError, Subject
from blindfold_seal import message as wire
from blindfold_seal.identity import Identity, Public
from blindfold_seal.manifest import Manifest, open_bundle
from blindfold_seal.scope import BUNDLE_ATTRIBUTES, Scope, Scopes, _Call, _OwnStream
from blindfold_seal.window import State

VECTORS = json.loads((Path(__file__).parents[2] / "testdata/scopes/vectors.json").read_text("utf8"))
SCOPE = VECTORS["scope"]
BUNDLES = {b["name"]: b for b in VECTORS["bundles"]}
KINDS = {"EVENT": Kind.EVENT, "INVOCATION": Kind.CALL, "RESULT": Kind.RESULT, "ERROR": Kind.ERROR}


def identity(v):
    content = {
        "format": "blindfold-identity",
        "version": 1,
        "name": v["name"],
        "seed": base64.b64encode(bytes.fromhex(v["seed"])).decode(),
        "age": v["age"],
        "recipient": v["recipient"],
    }
    return Identity.parse(json.dumps(content).encode())


IDENTITIES = {v["name"]: identity(v) for v in VECTORS["identities"]}


def bundle(name):
    return bytes.fromhex(BUNDLES[name]["bundle"])


def manifest(name, who):
    owner, id_ = bytes.fromhex(SCOPE["owner"]), bytes.fromhex(SCOPE["id"])
    return open_bundle(bundle(name), owner, id_, 0, IDENTITIES[who])


def member(who, start, bundles, **more):
    """The scope as a member sees it who has accepted bundles, each at its not before."""
    clock = [start]
    s = Scope(IDENTITIES[who], bytes.fromhex(SCOPE["owner"]), SCOPE["realm"], SCOPE["prefix"], now=lambda: clock[0] / 1000, **more)
    for name in bundles:
        clock[0] = manifest(name, who).not_before
        s.accept(bundle(name))
    return s, clock


def name(e):
    prefix = "blindfold.error.scope."
    assert e.error.startswith(prefix), e
    return e.error[len(prefix) :]


class Vectors(unittest.TestCase):
    def test_identities(self):
        for v in VECTORS["identities"]:
            with self.subTest(v["name"]):
                public = Public.parse(v["line"])
                self.assertEqual((public.key.hex(), public.recipient, public.digits(), str(public)), (v["key"], v["recipient"], v["digits"], v["line"]))
                self.assertEqual(IDENTITIES[v["name"]].public, public)
        for v in VECTORS["lines"]:
            with self.subTest(v["name"]), self.assertRaises(ValueError):
                Public.parse(v["line"])

    def test_scope(self):
        s, _ = member("bob", 0, [])
        self.assertEqual((s.id.hex(), s.topic), (SCOPE["id"], SCOPE["topic"]))

    def test_bundles(self):
        for v in VECTORS["bundles"]:
            if "epoch_id" in v and v["name"] in ("one", "two", "three"):
                m = manifest(v["name"], "bob")
                self.assertEqual((m.raw.hex(), m.id.hex(), m.key_id), (v["manifest"], v["epoch_id"], v["ppt_keyid"]))
        errors = set()
        for v in VECTORS["accepting"]:
            with self.subTest(v["name"]):
                s, clock = member(v["as"], 0, v["known"])
                before, clock[0] = s.manifest, v["now"]
                error = ""
                try:
                    s.accept(bundle(v["bundle"]))
                except SealError as e:
                    error = name(e)
                    self.assertIs(s.manifest, before)
                self.assertEqual(error, v["error"])
                errors.add(error)
        self.assertEqual(len(errors), 9, errors)

    def test_sealing(self):
        for v in VECTORS["sealing"]:
            with self.subTest(v["name"]):
                m = manifest(v["epoch"], v["sender"])
                body = bytes.fromhex(v["body"])
                stream, call = bytes.fromhex(v["stream"]), bytes.fromhex(v["call"]) or wire.NO_CALL
                leaf = wire.leaf(m.id, stream, v["number"], call, wire.sha256(v["uri"].encode()), body)
                self.assertEqual(leaf.hex(), v["leaf"])
                key = m.message_key(stream)
                self.assertEqual(key.hex(), v["key"])
                plain = wire.decrypt(key, m.id, bytes.fromhex(v["payload"]))
                signature = IDENTITIES[v["sender"]].sign(wire.signed(plain.root(leaf)))
                self.assertEqual(signature, plain.signature)
                proof = bytes.fromhex(v["plaintext"])[64:].split(body)[0]
                self.assertEqual(wire.encrypt(key, m.id, stream, v["number"], signature, proof, body).hex(), v["payload"])
                parsed = wire.Body.parse(body)
                self.assertEqual((parsed.kind, parsed.time, parsed.index), (v["kind"], v["time"], v["index"]))
                self.assertEqual(parsed.encode(), body)

    def test_opening(self):
        errors = set()
        for v in VECTORS["opening"]:
            with self.subTest(v["name"]):
                s, clock = member(v["as"], v["start"], v["epochs"])
                s._mine.update({bytes.fromhex(o["stream"]): _OwnStream(b"", 0, 0, o["exclude_me_false"]) for o in v["own"]})
                call = v["call"]
                if call:
                    call = _Call(s, bytes.fromhex(call["leaf"]), bytes.fromhex(call["peer"]) or None, call["inputs"], call["answers"])
                for step in v["steps"]:
                    clock[0] = step["now"]
                    errors.add(step["error"])
                    self.check_step(s, call, step)
        self.assertEqual(len(errors), 21, errors)

    def check_step(self, s, call, step):
        kind = KINDS[step["message"]]
        if kind is Kind.RESULT and step["progress"]:
            kind = Kind.PROGRESS
        exchange = {"scope": call} if call else {}
        subject = Subject(
            step["uri"], kind, kind in (Kind.RESULT, Kind.PROGRESS, Kind.ERROR), SCOPE["realm"],
            more=step["progress"], retained=step["stored"], exchange=exchange,
        )
        attributes = {k: step[k] for k in ("ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid") if step[k]}
        try:
            opened = Scopes(s).open(subject, attributes, bytes.fromhex(step["payload"]))
        except SealError as e:
            self.assertEqual(name(e), step["error"])
            return
        self.assertEqual(step["error"], "")
        o = opened.seal
        self.assertEqual(
            (o.sender, round(o.time.timestamp() * 1000), o.missing, o.first, o.late, o.stored),
            (step["sender"], step["time"], step.get("missing", 0), step.get("first", False), step.get("late", False), step["stored"]),
        )
        self.assertEqual((opened.args, opened.kwargs), (step.get("args", []), step.get("kwargs", {})))

    def test_states(self):
        for v in VECTORS["states"]:
            with self.subTest(v["name"]):
                try:
                    self.assertEqual(State.parse(bytes.fromhex(v["state"])).encode().hex(), v["state"])
                    error = ""
                except SealError as e:
                    error = name(e)
                self.assertEqual(error, v["error"])


class Members(unittest.TestCase):
    """Two members who talk to each other."""

    def setUp(self):
        now = VECTORS["accepting"][0]["now"] + 1000
        self.alice, self.time = member("alice", now - 1000, ["one"])
        self.bob, clock = member("bob", now - 1000, ["one"])
        self.time[0] = clock[0] = now

    def send(self, kind, sender, receiver, uri="com.app.topic", exchanges=(None, None), args=("hello",), **more):
        """What the receiver gets of what the sender seals."""
        a, b = ({} if x is None else x for x in exchanges)
        originator = kind in (Kind.EVENT, Kind.CALL)
        attributes, payload = Scopes(sender).seal(Subject(uri, kind, originator, SCOPE["realm"], exchange=a, **more), list(args), {"k": b"\0"})
        return Scopes(receiver).open(Subject(uri, kind, not originator, SCOPE["realm"], exchange=b, **more), attributes, payload)

    def test_events(self):
        first, second = (self.send(Kind.EVENT, self.alice, self.bob) for _ in range(2))
        self.assertEqual((first.args, first.kwargs, first.seal.sender, first.seal.first), (["hello"], {"k": b"\0"}, "alice", True))
        self.assertEqual((second.seal.first, second.seal.missing), (False, 0))
        self.assertEqual(self.send(Kind.EVENT, self.bob, self.alice, listed=True).seal.sender, "bob")

    def test_calls(self):
        at_alice, at_bob = {}, {}
        self.send(Kind.CALL, self.alice, self.bob, exchanges=(at_alice, at_bob), more=True)
        self.send(Kind.CALL, self.alice, self.bob, exchanges=(at_alice, at_bob))
        for kind in (Kind.PROGRESS, Kind.PROGRESS, Kind.RESULT):
            self.assertEqual(self.send(kind, self.bob, self.alice, exchanges=(at_bob, at_alice)).seal.sender, "bob")
        other = {}
        self.send(Kind.CALL, self.alice, self.bob, exchanges=(other, {}))
        with self.assertRaises(SealError) as e:
            self.send(Kind.ERROR, self.bob, self.alice, "com.other.error", exchanges=(at_bob, other))
        self.assertEqual(name(e.exception), "wrong_call")

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            _, payloads = None, []
            seal = lambda: Scopes(self.alice).seal(Subject("com.app.topic", Kind.EVENT, True, SCOPE["realm"]), ["x"], None)  # noqa: E731
            subject = Subject("com.app.topic", Kind.EVENT, False, SCOPE["realm"])
            s, clock = member("bob", self.time[0] - 1000, ["one"], folder=folder)
            clock[0] = self.time[0]
            payloads.append(seal())
            Scopes(s).open(subject, *payloads[0])
            # Another program with the same identity has no file, and no repetition gets past it.
            second, clock2 = member("bob", self.time[0], [], folder=folder)
            with self.assertRaises(SealError) as e:
                Scopes(second).open(subject, *payloads[0])
            self.assertEqual(name(e.exception), "too_old")
            s.close()
            again, clock3 = member("bob", self.time[0] + 1000, [], folder=folder)
            self.assertEqual(again.manifest.epoch, 1)
            with self.assertRaises(SealError) as e:
                Scopes(again).open(subject, *payloads[0])
            self.assertEqual(name(e.exception), "repeated")
            # One that ended without a word takes its start for the floor.
            again._lock.close()
            crashed, clock4 = member("bob", self.time[0] + 2000, [], folder=folder)
            with self.assertRaises(SealError) as e:
                Scopes(crashed).open(subject, *payloads[0])
            self.assertEqual(name(e.exception), "too_old")
            crashed.close()
            next(Path(folder).glob("*.state")).unlink()
            with self.assertRaises(SealError) as e:
                member("bob", self.time[0], [], folder=folder)
            self.assertEqual(name(e.exception), "state_lost")
            member("bob", self.time[0], [], folder=folder, forget=True)[0].close()

    def test_bundle_travels(self):
        scopes = Scopes(self.bob)
        subject = Subject(self.bob.topic, Kind.EVENT, False, SCOPE["realm"], retained=True)
        self.assertTrue(scopes.covers(subject) and scopes.speaks(BUNDLE_ATTRIBUTES))
        self.assertEqual(scopes.open(subject, BUNDLE_ATTRIBUTES, b"bundle").args, [b"bundle"])


class Identities(unittest.TestCase):
    def test_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.identity"
            new = Identity.new("dave")
            new.save(path)
            self.assertEqual(Identity.load(path).public, new.public)
            self.assertNotIn("AGE-SECRET", repr(new))
            path.chmod(0o644)
            with self.assertRaises(PermissionError):
                Identity.load(path)
            with self.assertRaises(ValueError):
                Identity.new("not a name")


if __name__ == "__main__":
    unittest.main()
