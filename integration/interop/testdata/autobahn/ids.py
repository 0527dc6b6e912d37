"""A client that serves one procedure, which answers at once if it is told so and
never else, and then calls three times, of which the second fails before it is
sent. A line of JSON for each call.

usage: ids.py URL
"""
import asyncio
import json
import sys

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError, SerializationError
from serializer import named


class Session(ApplicationSession):
    async def onJoin(self, details):
        forever = asyncio.get_event_loop().create_future()
        await self.register(lambda *now: now[0] if now else forever, "com.example.ids")
        for good in (True, False, True):
            try:
                await self.call("com.example.none", 1 if good else object())
            except ApplicationError:
                print(json.dumps({"call": good, "answer": "error"}), flush=True)
            except SerializationError:
                print(json.dumps({"call": good, "answer": "none"}), flush=True)

    def onDisconnect(self):
        asyncio.get_event_loop().stop()


if __name__ == "__main__":
    ApplicationRunner(sys.argv[1], "realm1", serializers=[named("json")]).run(Session)
