"""A peer of the matrix: Autobahn|Python with blindfold_seal. What it does is told in
../matrix_test.go.

usage: peer.py URL SERIALIZER FORM NAME KEYRING NETWORK (asyncio or twisted)
"""

import json
import sys
import threading

URL, SERIALIZER, FORM, NAME, KEYRING, NETWORK = sys.argv[1:]

if NETWORK == "twisted":
    from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession
    from twisted.internet import reactor
    from twisted.internet.defer import ensureDeferred

    def soon(loop, call):
        reactor.callFromThread(call)

    def stop():
        reactor.stop()
else:
    import asyncio

    from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession

    ensureDeferred = asyncio.ensure_future

    def soon(loop, call):
        loop.call_soon_threadsafe(call)

    def stop():
        asyncio.get_running_loop().stop()


from autobahn.wamp import serializer
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallOptions, CallResult, PublishOptions, RegisterOptions, SubscribeOptions

from blindfold_seal import Box, Identity, KeyRing, Passthru, Public, Scope, Scopes, SealError
from blindfold_seal.autobahn import current_seal, follow, seal

OUT = sys.stdout  # Twisted's logging takes the name's place
PREFIX = "com.example.secret."
SERIALIZERS = {"json": serializer.JsonSerializer, "msgpack": serializer.MsgPackSerializer, "cbor": serializer.CBORSerializer}


def plain(value):
    if isinstance(value, bytes):
        return "binary:" + value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def tell(**what):
    print(json.dumps(plain(what)), file=OUT, flush=True)


def sender():
    seal = current_seal()
    return {"sender": seal.sender} if seal else {}


def fail():
    raise ApplicationError(PREFIX + "error", "what went wrong", code=23)


def steps(n, details=None):
    for i in range(n):
        # Autobahn's progress hands on its arguments as the message's.
        details.progress(i)
    return n


class Peer(ApplicationSession):
    def onConnect(self):
        if FORM == "scope":
            with open(KEYRING, "rb") as f:
                given = json.load(f)
            identity = Identity.parse(json.dumps(given["identity"]).encode())
            self.scope = Scope(identity, Public.parse(given["owner"]), "realm1", PREFIX)
            forms = [Scopes(self.scope)]
        else:
            keys = KeyRing.load(KEYRING)
            forms = [Box(keys), Passthru(keys)]
            if FORM == "passthru":
                forms.reverse()
        seal(self, *forms, clear=["com.example.open."], on_error=lambda e: tell(refused=e.error, uri=e.uri))
        self.join(self.config.realm)

    async def onJoin(self, details):
        if FORM == "scope":
            await follow(self, self.scope)

        def on_event(*args, details=None, **kwargs):
            tell(event=details.topic, args=args, kwargs=kwargs, **sender())

        await self.subscribe(on_event, PREFIX, options=SubscribeOptions(match="prefix", details_arg="details"))
        await self.subscribe(on_event, "com.example.open.topic", options=SubscribeOptions(details_arg="details"))
        async def echo(*args, **kwargs):
            return CallResult(*args, **kwargs, **({"caller": current_seal().sender} if FORM == "scope" else {}))

        await self.register(echo, f"{PREFIX}{NAME}.echo")
        await self.register(fail, f"{PREFIX}{NAME}.fail")
        await self.register(steps, f"{PREFIX}{NAME}.steps", options=RegisterOptions(details_arg="details"))
        loop = None if NETWORK == "twisted" else asyncio.get_running_loop()

        def listen():
            for line in sys.stdin:
                soon(loop, lambda line=line: ensureDeferred(self.order(*line.split())))

        threading.Thread(target=listen, daemon=True).start()
        print("ready", file=OUT, flush=True)

    async def order(self, what, *peers):
        if what == "meet":
            for peer in peers:
                await self.meet(peer)
            await self.publish(PREFIX + "topic", NAME, b"\0\xff", mood="fine", options=PublishOptions(acknowledge=True))
            await self.publish("com.example.open.topic", NAME, options=PublishOptions(acknowledge=True))
        elif what == "call":
            try:
                tell(call=peers[0], result=await self.call(peers[0]))
            except (ApplicationError, SealError) as e:
                tell(call=peers[0], error=e.error)
        elif what == "publish":
            try:
                await self.publish(peers[0], 1, options=PublishOptions(acknowledge=True))
                tell(publish=peers[0])
            except (ApplicationError, SealError) as e:
                tell(publish=peers[0], error=e.error)
        elif what == "leave":
            self.leave()
            return
        tell(done=what)

    async def meet(self, peer):
        result = await self.call(f"{PREFIX}{peer}.echo", "grüße", [1, -2, 0.5, True, None], b"\0\xff", nested={"ключ": [{}]})
        tell(call=peer, args=result.results, kwargs=result.kwresults)
        try:
            await self.call(f"{PREFIX}{peer}.fail")
        except ApplicationError as e:
            tell(call=peer, error=e.error, args=e.args, kwargs=e.kwargs)
        progress = []
        total = await self.call(f"{PREFIX}{peer}.steps", 3, options=CallOptions(on_progress=progress.append))
        tell(call=peer, progress=progress, result=total)

    def onDisconnect(self):
        stop()


if __name__ == "__main__":
    runner = ApplicationRunner(URL, "realm1", serializers=[SERIALIZERS[SERIALIZER]()])
    runner.run(Peer)
