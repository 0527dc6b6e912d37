"""A sensor that publishes sealed readings.

    pip install ./python autobahn
    seal keygen --out keyring.json --prefix com.lab.
    python3 examples/sensor/sensor.py --keyring keyring.json
"""

import argparse
import asyncio
import random

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.serializer import JsonSerializer
from autobahn.wamp.types import PublishOptions

from blindfold_seal import KeyRing
from blindfold_seal.autobahn import seal

options = argparse.ArgumentParser()
options.add_argument("--url", default="ws://127.0.0.1:8080/ws")
options.add_argument("--keyring", default="keyring.json")
options.add_argument("--every", type=float, default=1.0, metavar="SECONDS")
options.add_argument("--count", type=int, default=0, help="how many readings; 0: no end")
options = options.parse_args()


class Sensor(ApplicationSession):
    def onConnect(self):
        seal(self, KeyRing.load(options.keyring))
        self.join(self.config.realm)

    async def onJoin(self, details):
        number = 0
        while not options.count or number < options.count:
            number += 1
            reading = round(random.gauss(21.5, 0.3), 2)
            await self.publish("com.lab.reading", reading, number=number, options=PublishOptions(acknowledge=True))
            print("published", reading, flush=True)
            await asyncio.sleep(options.every)
        self.leave()

    def onDisconnect(self):
        asyncio.get_running_loop().stop()


# The serializer that the others use: what is sealed passes between sessions of one.
ApplicationRunner(options.url, "realm1", serializers=[JsonSerializer()]).run(Sensor)
