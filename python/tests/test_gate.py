"""What a gate makes of messages: the scenarios that the JavaScript package runs, too."""

import json
import unittest
from pathlib import Path

from blindfold_seal import DECRYPT_ERROR, INVALID_ARGUMENT, KeyRing, Opened, SealError
from blindfold_seal.gate import FEATURES, Gate

FILE = json.loads((Path(__file__).parents[2] / "testdata/gate/scenarios.json").read_text("utf8"))


class Fake:
    """The sealer of the scenarios."""

    def covers(self, subject):
        return subject.uri.startswith("com.secret.")

    def speaks(self, attributes):
        return "x_test" in (attributes.get("enc_algo"), attributes.get("ppt_scheme"))

    def seal(self, subject, args, kwargs):
        if args == ["unsealable"]:
            raise SealError(INVALID_ARGUMENT, "not this")
        return {"enc_algo": "x_test"}, json.dumps([subject.uri, subject.kind.value, args, kwargs]).encode()

    def open(self, subject, attributes, payload):
        uri, kind, args, kwargs = json.loads(payload)
        if (uri, kind) != (subject.uri, subject.kind.value):
            raise SealError(DECRYPT_ERROR, "not for this")
        return Opened(args, kwargs)


def to_wire(value):
    if isinstance(value, list):
        return [to_wire(v) for v in value]
    if isinstance(value, dict) and "sealed" in value:
        return json.dumps(value["sealed"]).encode()
    return value


def from_wire(value):
    if isinstance(value, list):
        return [from_wire(v) for v in value]
    if isinstance(value, bytes):
        return {"sealed": json.loads(value)}
    return value


class Scenarios(unittest.TestCase):
    def test_scenarios(self):
        for scenario in FILE["scenarios"]:
            with self.subTest(scenario["name"]):
                self.reported = []
                gate = Gate([Fake()], ["com.open."], lambda e: self.reported.append(e.error))
                roles = {"publisher": {"features": {"x": True}}, "callee": {}}
                hello = gate.outgoing([1, "realm1", {"roles": roles}])
                self.assertEqual(hello[2]["roles"], {"publisher": {"features": {"x": True, **FEATURES}}, "callee": {"features": FEATURES}})
                gate.incoming([2, 1, {"roles": {r: {"features": scenario.get("welcome", FEATURES)} for r in ("broker", "dealer")}}])
                for step in FILE["setup"] + scenario["steps"]:
                    self.step(gate, step)

    def step(self, gate, step):
        self.reported.clear()
        reply = None
        if "out" in step:
            try:
                got = gate.outgoing(to_wire(step["out"]))
            except SealError as e:
                self.assertEqual(e.error, step.get("error"), step)
                return
            self.assertNotIn("error", step)
        else:
            received = gate.incoming(to_wire(step["in"]))
            got = received.message
            if received.reply is not None:
                reply = gate.outgoing(received.reply)
        if "want" in step:
            want = step["want"]
            if want and want[-1] == "text":  # one that people read
                self.assertIsInstance(got[-1][0], str)
                got, want = got[:-1], want[:-1]
            self.assertEqual(from_wire(got), want, step)
        self.assertEqual(reply, step.get("reply"), step)
        self.assertEqual(self.reported, [step["reported"]] if "reported" in step else [], step)

    def test_setup(self):
        ring = KeyRing(KeyRing.generate_key()[0])
        for wrong in ({"sealers": []}, {"sealers": [ring], "clear": ["com.open."]}, {"sealers": [Fake()], "clear": ["a b"]}):
            with self.subTest(wrong), self.assertRaises(ValueError):
                Gate(**wrong)
        with self.assertRaises(TypeError):
            Gate([ring], "com.open.")


if __name__ == "__main__":
    unittest.main()
