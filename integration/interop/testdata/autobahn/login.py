"""Logs in with Autobahn|Python, once for each attempt, by its own authenticators.

usage: login.py URL SERIALIZER REALM

Reads attempts, a line of JSON each: {"name": ..., ...}, the arguments of
autobahn.wamp.auth.create_authenticator; "tls" beside them says that the URL's
certificate need not be known, and that TLS 1.2 is to be spoken. Prints a line of
JSON for what came of each.
"""
import asyncio
import json
import ssl
import sys

from autobahn.asyncio.wamp import ApplicationRunner, Session
from autobahn.wamp.auth import create_authenticator
from serializer import named


def client(attempt, outcome):
    def say(**what):
        if not outcome.done():
            outcome.set_result(what)

    class Client(Session):
        def on_join(self, details):
            say(authid=details.authid, authrole=details.authrole, authmethod=details.authmethod)
            self.leave()

        def onUserError(self, failure, message):
            say(failed=f"{type(failure.value).__name__}: {failure.value}")

        def on_leave(self, details):
            say(left=details.reason)
            self.disconnect()

        def on_disconnect(self):
            say(left="disconnected")

    def make(config):
        session = Client(config)
        session.add_authenticator(create_authenticator(**attempt))
        return session

    return make


async def log_in(url, serializer, realm, attempt):
    tls = attempt.pop("tls", False)
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    outcome = asyncio.get_running_loop().create_future()
    runner = ApplicationRunner(url, realm, serializers=[named(serializer)], ssl=context)
    transport, _ = await runner.run(client(attempt, outcome), start_loop=False)
    result = await outcome
    transport.close()
    return result


async def main(url, serializer, realm):
    for line in sys.stdin:
        print(json.dumps(await log_in(url, serializer, realm, json.loads(line))), flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
