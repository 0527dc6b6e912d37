"""Callee and subscriber: encrypted and clear procedures and topics side by side.

usage: responder.py URL SERIALIZER

Prints "ready" once everything is registered, then a line of JSON for each event,
and ends when the originator tells it to.
"""
import asyncio
import json
import sys

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallResult, RegisterOptions, SubscribeOptions
from keys import PREFIX, keyring
from serializer import named


class Responder(ApplicationSession):
    def onConnect(self):
        self.set_payload_codec(keyring(originator=False))
        self.join(self.config.realm)

    async def onJoin(self, details):
        def add(a, b):
            return a + b

        def echo(*args, **kwargs):
            return CallResult(*args, **kwargs)

        def fail(uri):
            raise ApplicationError(uri, "what went wrong", code=23)

        def steps(n, details=None):
            for i in range(n):
                details.progress(i)
            return n

        for prefix in (PREFIX, "com.example.open."):
            await self.register(add, prefix + "add")
            await self.register(echo, prefix + "echo")
            await self.register(fail, prefix + "fail")
            await self.register(steps, prefix + "steps", options=RegisterOptions(details_arg="details"))

            def on_event(*args, details=None, **kwargs):
                print(json.dumps({"topic": details.topic, "enc_algo": details.enc_algo, "args": args, "kwargs": kwargs}), flush=True)

            await self.subscribe(on_event, prefix + "topic", options=SubscribeOptions(details_arg="details"))
        await self.subscribe(lambda: self.leave(), "com.example.stop")
        print("ready", flush=True)

    def onDisconnect(self):
        asyncio.get_event_loop().stop()


if __name__ == "__main__":
    ApplicationRunner(sys.argv[1], "realm1", serializers=[named(sys.argv[2])]).run(Responder)
