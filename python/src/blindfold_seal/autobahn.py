"""Sealed payloads in sessions of Autobahn|Python, on asyncio and on Twisted.

    from autobahn.asyncio.wamp import ApplicationSession
    from blindfold_seal import KeyRing
    from blindfold_seal.autobahn import seal

    class Sensor(ApplicationSession):
        def onConnect(self):
            seal(self, KeyRing.load("keyring.json"))
            self.join(self.config.realm)

Autobahn's own hook, ``set_payload_codec``, is not enough: it asks a codec about sealed
messages only, so that clear ones get past it; it sends a result in the clear where the
codec fails; and it knows one of WAMP's two forms of sealed payload.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

import txaio as untyped_txaio
from autobahn.wamp.types import SubscribeOptions

from .errors import SealError
from .gate import Gate, Received, report
from .keyring import KeyRing
from .scope import Scope
from .sealer import Sealer

txaio: Any = untyped_txaio  # it gets its functions when Autobahn has chosen the network

_current: ContextVar[Any] = ContextVar("blindfold_seal", default=None)


def current_seal() -> Any:
    """In a handler or endpoint: what the sealer tells of the seal of the event or
    call, such as who made it. None if it has nothing to tell, or nothing was sealed."""
    return _current.get()


def seal(
    session: Any,
    *sealers: Sealer | KeyRing,
    clear: Iterable[str] = (),
    on_error: Callable[[SealError], None] = report,
) -> Gate:
    """Makes a session of Autobahn|Python seal what it sends and open what it receives.

    To be called before the session joins: in its ``__init__`` or ``onConnect``, or on
    the "connect" of a Component. The first of sealers that covers a URI seals it; a
    KeyRing stands for Box and Passthru. What none covers is an error, unless it begins
    with one of the prefixes of clear: "" is the prefix of all.

    ``publish`` and ``call`` raise SealError for what can't be sealed, and send nothing.
    An event that can't be opened reaches no handler and is given to on_error, as is a
    call, which its caller is told; a result that can't be opened is an ApplicationError
    with the same error URI.
    """
    if getattr(session, "_session_id", None) is not None:
        raise RuntimeError("seal() comes too late: the session has joined its realm")
    gate = Gate(sealers, clear, on_error)
    transport = getattr(session, "_transport", None)
    if transport is not None:
        _Link(gate, session, transport)
        return gate
    opened = session.onOpen

    def on_open(transport: Any) -> Any:
        _Link(gate, session, transport)
        return opened(transport)

    session.onOpen = on_open
    return gate


def follow(session: Any, *scopes: Scope, on_error: Callable[[SealError], None] = report) -> Any:
    """Has a session that has joined fetch the lists of members of its scopes, now and
    whenever their owners publish new ones. What is returned, a Future or Deferred, is
    done when each scope has a list; one that is not accepted is given to on_error."""
    return txaio.gather([_follow(session, scope, on_error) for scope in scopes], consume_exceptions=False)


def _follow(session: Any, scope: Scope, on_error: Callable[[SealError], None]) -> Any:
    ready = txaio.create_future()

    def settle(problem: Any = None) -> None:
        if not txaio.is_called(ready):
            if problem is not None:
                txaio.reject(ready, problem)
            elif scope.manifest is not None:
                txaio.resolve(ready, None)

    def on_bundle(bundle: bytes) -> None:
        try:
            scope.accept(bundle)
        except SealError as e:
            on_error(e.at(scope.topic))
        settle()

    # The subscription also brings the bundle that the router keeps for newcomers.
    subscribed = session.subscribe(on_bundle, scope.topic, options=SubscribeOptions(get_retained=True))
    txaio.add_callbacks(subscribed, lambda _: settle(), settle)
    return ready


class _Link:
    """Puts a gate between a session and its transport."""

    def __init__(self, gate: Gate, session: Any, transport: Any) -> None:
        serializer = transport._serializer  # of this connection alone, with the object serializer of its factory
        if serializer._serializer.NAME == "flatbuffers":
            raise ValueError("flatbuffers can't carry sealed payloads: use json, msgpack or cbor")
        self._gate = gate
        self._seals: deque[Any] = deque()  # of messages that the session is about to get
        self._send = transport.send
        self._hand_on = session.onMessage
        serializer._serializer = _Opening(serializer._serializer, self._receive)
        transport.send = self.send
        session.onMessage = self.on_message

    def send(self, msg: Any) -> None:
        raw = msg.marshal()
        sealed = self._gate.outgoing(raw)
        if sealed is not None:
            self._send(msg if sealed is raw else _Raw(sealed))

    def _receive(self, raw: list[Any]) -> list[Any] | None:
        received: Received = self._gate.incoming(raw)
        if received.reply is not None:
            self.send(_Raw(received.reply))
        if received.message is not None:
            self._seals.append(received.seal)
        return received.message

    def on_message(self, msg: Any) -> None:
        # Autobahn starts a handler in here, so a coroutine takes this context along.
        token = _current.set(self._seals.popleft() if self._seals else None)
        try:
            self._hand_on(msg)
        finally:
            _current.reset(token)


class _Raw:
    """A message as a list, with as much of Autobahn's Message as sending needs."""

    def __init__(self, raw: list[Any]) -> None:
        self._raw = raw

    def marshal(self) -> list[Any]:
        return self._raw

    def serialize(self, serializer: Any) -> bytes:
        return bytes(serializer.serialize(self._raw))

    def __str__(self) -> str:
        return f"message of type {self._raw[0]}"


class _Opening:
    """An object serializer of Autobahn whose received messages go through a gate."""

    def __init__(self, inner: Any, receive: Callable[[list[Any]], list[Any] | None]) -> None:
        self._inner = inner
        self._receive = receive

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def unserialize(self, payload: bytes) -> list[Any]:
        opened = [self._receive(raw) for raw in self._inner.unserialize(payload)]
        return [raw for raw in opened if raw is not None]
