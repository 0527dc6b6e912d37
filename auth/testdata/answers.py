"""Answers challenges with Autobahn|Python's own authenticators.

Reads one JSON object per line and answers with one:
{"new": {"name": ..., ...}}          -> {"authextra": {...}}
{"challenge": {...}, "tls_unique": hex or null} -> {"signature": ...}
{"welcome": {...}}                   -> {"error": text or null}
"""
import asyncio
import binascii
import json
import sys
from types import SimpleNamespace

import txaio
txaio.use_asyncio()
loop = asyncio.new_event_loop()
txaio.config.loop = loop

from autobahn.asyncio.util import transport_channel_id
from autobahn.wamp.auth import create_authenticator
from autobahn.wamp.types import Challenge


class Transport:
    """What Autobahn asks of an asyncio transport for its channel id."""

    def __init__(self, tls_unique):
        self.tls_unique = tls_unique

    def get_extra_info(self, name):
        return self

    def get_channel_binding(self, cb_type):
        return self.tls_unique


def session(tls_unique):
    channel_id = {}
    if tls_unique:
        transport = Transport(binascii.a2b_hex(tls_unique))
        channel_id["tls-unique"] = transport_channel_id(transport, False, "tls-unique")
    details = SimpleNamespace(channel_id=channel_id)
    return SimpleNamespace(
        _transport=SimpleNamespace(transport_details=details),
        log=SimpleNamespace(info=lambda *_: None, error=lambda *_: None),
    )


def handle(authenticator, message):
    if "new" in message:
        authenticator = create_authenticator(**message["new"])
        return authenticator, {"authextra": authenticator.authextra}
    if "challenge" in message:
        challenge = Challenge(authenticator.name, message["challenge"])
        answer = authenticator.on_challenge(session(message["tls_unique"]), challenge)
        if asyncio.isfuture(answer):
            answer = loop.run_until_complete(answer)
        if isinstance(answer, bytes):
            answer = answer.decode("ascii")
        return authenticator, {"signature": answer}
    return authenticator, {"error": authenticator.on_welcome(session(None), message["welcome"])}


authenticator = None
for line in sys.stdin:
    authenticator, answer = handle(authenticator, json.loads(line))
    print(json.dumps(answer), flush=True)
