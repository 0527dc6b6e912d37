"""Caller and publisher of the Autobahn story.

usage: originator.py URL SERIALIZER

Calls and publishes, encrypted and clear, and prints a line of JSON for each
answer. The last line is "done".
"""
import asyncio
import json
import sys

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallOptions, PublishOptions
from keys import PREFIX, keyring
from serializer import named


class Originator(ApplicationSession):
    def onConnect(self):
        self.set_payload_codec(keyring(originator=True))
        self.join(self.config.realm)

    async def onJoin(self, details):
        def tell(**what):
            print(json.dumps(what), flush=True)

        for prefix in (PREFIX, "com.example.open."):
            tell(call=prefix + "add", result=await self.call(prefix + "add", 2, 3))
            echoed = await self.call(prefix + "echo", "grüße", [1, 2], key={"nested": True})
            tell(call=prefix + "echo", args=list(echoed.results), kwargs=echoed.kwresults)
            for error in (PREFIX, "com.example.open."):
                try:
                    await self.call(prefix + "fail", error + "error")
                except ApplicationError as e:
                    tell(call=prefix + "fail", error=e.error, args=list(e.args), kwargs=e.kwargs)
            progress = []
            total = await self.call(prefix + "steps", 3, options=CallOptions(on_progress=lambda i: progress.append(i)))
            tell(call=prefix + "steps", progress=progress, result=total)
            for i in range(3):
                await self.publish(prefix + "topic", i, mood="fine", options=PublishOptions(acknowledge=True))
        await self.publish("com.example.stop", options=PublishOptions(acknowledge=True))
        self.leave()

    def onDisconnect(self):
        asyncio.get_event_loop().stop()
        print("done", flush=True)


if __name__ == "__main__":
    ApplicationRunner(sys.argv[1], "realm1", serializers=[named(sys.argv[2])]).run(Originator)
