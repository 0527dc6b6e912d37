"""What both ends need of Autobahn: the serializer of a name."""
from autobahn.asyncio.rawsocket import WampRawSocketClientProtocol
from autobahn.wamp import serializer
from autobahn.wamp.types import TransportDetails

# Autobahn 22.7.1 forgets this attribute on RawSocket over asyncio, and then
# fails on WELCOME, and on the challenge of cryptosign.
if not hasattr(WampRawSocketClientProtocol, "transport_details"):
    WampRawSocketClientProtocol.transport_details = TransportDetails(channel_id={})


def named(name):
    return {
        "json": serializer.JsonSerializer,
        "msgpack": serializer.MsgPackSerializer,
        "cbor": serializer.CBORSerializer,
    }[name]()
