"""Stands between a WAMP client and its connection, and seals and opens payloads.

A gate works on WAMP messages as lists, so it knows no client and no serializer. What
it hands to the client looks as if it had come in the clear.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2

from .cryptobox import Box, Passthru
from .errors import CLEARTEXT_REFUSED, FEATURE_NOT_SUPPORTED, INVALID_ARGUMENT, NO_KEY, PROTOCOL_VIOLATION, SealError
from .keyring import KeyRing, longest_prefix, valid_prefix
from .sealer import Kind, Opened, Sealer, Subject
from .values import UINT8_ARRAY

HELLO, WELCOME, ERROR = 1, 2, 8
PUBLISH, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, EVENT = 16, 32, 33, 34, 36
CALL, CANCEL, RESULT = 48, 49, 50
REGISTER, REGISTERED, UNREGISTER, INVOCATION, YIELD = 64, 65, 66, 68, 70

FEATURES = {"payload_passthru_mode": True, "payload_transparency": True, "payload_encryption_cryptobox": True}
ATTRIBUTES = ("enc_algo", "enc_key", "enc_serializer", "ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid")

LISTS = ("exclude", "exclude_authid", "exclude_authrole", "eligible", "eligible_authid", "eligible_authrole")

# Where the options or details stand, and where the payload begins.
_PLACES = {PUBLISH: (2, 4), CALL: (2, 4), EVENT: (3, 4), INVOCATION: (3, 4), YIELD: (2, 3), RESULT: (2, 3), ERROR: (3, 5)}

Message = list[Any]
log = logging.getLogger("blindfold_seal")


def report(error: SealError) -> None:
    """Logs what was not opened or sealed where nobody waits for it."""
    log.warning("%s", error)


def routers_own(error: str) -> bool:
    """Whether the router speaks for itself under this error URI."""
    return error.startswith(("wamp.", "blindfold."))


@dataclass
class _Exchange:
    """A call or invocation that has no final answer yet."""

    uri: str
    registration: int | None = None
    sealed: bool = False
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Received:
    """What becomes of a message from the router."""

    message: Message | None
    """What the client is handed, if anything."""
    reply: Message | None = None
    """What is to be sent to the router, through outgoing, if anything."""
    seal: Any = None
    """What the sealer tells of the seal."""


class Gate:
    """One connection's gate; a HELLO begins it anew.

    A URI that one of the sealers covers is always sealed, and clear text on it is
    refused. Any other is sent and accepted in the clear only if it begins with one of
    the prefixes of clear. What begins with "wamp." is between client and router, and
    is always clear.
    """

    def __init__(
        self,
        sealers: Iterable[Sealer | KeyRing],
        clear: Iterable[str] = (),
        on_error: Callable[[SealError], None] = report,
    ) -> None:
        """A KeyRing among the sealers stands for Box and then Passthru with its keys: it
        seals in the first form and opens both."""
        self._sealers: list[Sealer] = []
        for sealer in sealers:
            self._sealers += [Box(sealer), Passthru(sealer)] if isinstance(sealer, KeyRing) else [sealer]
        if not self._sealers:
            raise ValueError("nothing given to seal with")
        if isinstance(clear, str):
            raise TypeError("clear is a list of prefixes")
        self._clear = dict.fromkeys(clear)
        for prefix in self._clear:
            if not valid_prefix(prefix):
                raise ValueError(f"clear: {prefix!r} is not a prefix of a URI")
            if self._covering(Subject(prefix, Kind.EVENT, True)):
                raise ValueError(f"clear: {prefix!r} has a key, so it is never clear")
        self.on_error = on_error
        self._begin("")

    def _begin(self, realm: str) -> None:
        self._realm = realm
        self._router: Mapping[str, Any] = {}
        self._asked: dict[int, tuple[str, str]] = {}  # SUBSCRIBE and REGISTER by request
        self._topics: dict[int, tuple[str, str]] = {}  # URI and match by subscription
        self._procedures: dict[int, tuple[str, str]] = {}
        self._calls: dict[int, _Exchange] = {}
        self._invocations: dict[int, _Exchange] = {}

    def _covering(self, subject: Subject) -> Sealer | None:
        return next((s for s in self._sealers if s.covers(subject)), None)

    # From the client to the router.

    def outgoing(self, message: Message) -> Message | None:
        """What to send in place of the client's message, None if nothing. SealError: it
        can't be sealed, and must not be sent."""
        kind = message[0]
        if kind == HELLO:
            return self._hello(message)
        if kind in (SUBSCRIBE, REGISTER):
            self._asked[message[1]] = (message[3], message[2].get("match") or "exact")
        elif kind == UNSUBSCRIBE:
            self._topics.pop(message[2], None)
        elif kind == UNREGISTER:
            self._procedures.pop(message[2], None)
        elif kind == PUBLISH:
            options = message[2]
            listed, to_self = any(name in options for name in LISTS), options.get("exclude_me") is False
            return self._seal(message, Subject(message[3], Kind.EVENT, True, self._realm, listed=listed, to_self=to_self), sealed=False)
        elif kind == CALL:
            return self._call(message)
        elif kind == YIELD:
            return self._yield(message)
        elif kind == ERROR and message[1] == INVOCATION:
            return self._error(message)
        return message

    def _hello(self, message: Message) -> Message:
        self._begin(message[1])
        details = dict(message[2])
        roles = details.get("roles") or {}
        details["roles"] = {
            name: {**(role or {}), "features": {**((role or {}).get("features") or {}), **FEATURES}} for name, role in roles.items()
        }
        return [HELLO, message[1], details, *message[3:]]

    def _call(self, message: Message) -> Message:
        request, uri = message[1], message[3]
        call = self._calls.get(request) or _Exchange(uri)  # known: a progressive call goes on
        subject = Subject(call.uri, Kind.CALL, True, self._realm, more=bool(message[2].get("progress")), exchange=call.state)
        sealed = self._seal(message, subject, call.sealed)
        call.sealed = call.sealed or sealed is not message
        self._calls[request] = call
        return sealed

    def _yield(self, message: Message) -> Message | None:
        request, progress = message[1], bool(message[2].get("progress"))
        invocation = self._invocations.get(request)
        if invocation is None:  # answered already, or never handed on
            return None
        if not progress:
            del self._invocations[request]
        kind = Kind.PROGRESS if progress else Kind.RESULT
        try:
            return self._seal(message, Subject(invocation.uri, kind, False, self._realm, exchange=invocation.state), invocation.sealed)
        except SealError as e:
            self._invocations.pop(request, None)
            self.on_error(e)
            return [ERROR, INVOCATION, request, {}, e.error]

    def _error(self, message: Message) -> Message | None:
        request, error = message[2], message[4]
        invocation = self._invocations.pop(request, None)
        if invocation is None:
            return None
        subject = Subject(error, Kind.ERROR, False, self._realm, exchange=invocation.state)
        called = Subject(invocation.uri, Kind.CALL, False, self._realm)
        secret = invocation.sealed or self._covering(called) is not None
        if not any(message[5:]) and not self._covering(subject):
            return [*message[:3], {}, error] if secret else message
        try:
            return self._seal(message, subject, secret)
        except SealError as e:
            # The arguments could tell what was sealed. The router's own errors come to
            # any callee that fails, so there is nothing to report.
            if not routers_own(error):
                self.on_error(e)
            return [ERROR, INVOCATION, request, {}, error]

    def _seal(self, message: Message, subject: Subject, sealed: bool) -> Message:
        """The message, sealed if its URI has to be. sealed: it answers a sealed one."""
        options_at, payload_at = _PLACES[message[0]]
        args = message[payload_at] if len(message) > payload_at else None
        kwargs = message[payload_at + 1] if len(message) > payload_at + 1 else None
        reserved = subject.kind is not Kind.ERROR and subject.uri.startswith("wamp.")
        sealer = None if reserved else self._covering(subject)
        if sealer is None:
            if sealed:
                raise SealError(NO_KEY, "the call was sealed, and this has no key", subject.uri)
            if not self._is_clear(subject):
                raise SealError(NO_KEY, "no key for this URI, and it is not declared as clear", subject.uri)
            return message
        encoded = any(message[options_at].get(name) for name in ATTRIBUTES)
        if encoded or not (args is None or isinstance(args, (list, tuple))) or not (kwargs is None or isinstance(kwargs, dict)):
            raise SealError(INVALID_ARGUMENT, "the payload is encoded already", subject.uri)
        try:
            attributes, payload = sealer.seal(subject, None if args is None else list(args), kwargs)
        except SealError as e:
            raise e.at(subject.uri)
        passthru = "ppt_scheme" in attributes
        if subject.originator and not self._carries(passthru, subject.kind, attributes):
            raise SealError(FEATURE_NOT_SUPPORTED, "the router does not announce this form of sealed payload", subject.uri)
        out = list(message[:payload_at])
        out[options_at] = {**out[options_at], **attributes}
        out.append([payload] if passthru else payload)
        return out

    def _is_clear(self, subject: Subject) -> bool:
        if subject.kind is Kind.ERROR and routers_own(subject.uri):
            return True
        return subject.uri.startswith("wamp.") or longest_prefix(self._clear, subject.uri) is not None

    def _carries(self, passthru: bool, kind: Kind, attributes: Mapping[str, str]) -> bool:
        """Whether the router announces the form. One that does not may drop the
        message without a word, or mangle it."""
        role = self._router.get("broker" if kind is Kind.EVENT else "dealer") or {}
        features = role.get("features") or {}
        if passthru:
            return bool(features.get("payload_passthru_mode"))
        return bool(
            features.get("payload_transparency")
            or (attributes.get("enc_algo") == "cryptobox" and features.get("payload_encryption_cryptobox"))
        )

    # From the router to the client.

    def incoming(self, message: Message) -> Received:
        """What to do with a message of the router."""
        kind = message[0]
        if kind in _PLACES and "seal" in message[_PLACES[kind][0]]:
            # It is where some clients hand on what the sealer tells of the seal.
            message = list(message)
            details_at = _PLACES[kind][0]
            message[details_at] = {name: value for name, value in message[details_at].items() if name != "seal"}
        if kind == WELCOME:
            self._router = message[2].get("roles") or {}
            self._realm = message[2].get("realm") or self._realm
        elif kind in (SUBSCRIBED, REGISTERED):
            return self._accepted(message)
        elif kind == EVENT:
            return self._event(message)
        elif kind == INVOCATION:
            return self._invocation(message)
        elif kind == RESULT:
            return self._result(message)
        elif kind == ERROR:
            return self._failed(message)
        return Received(message)

    def _accepted(self, message: Message) -> Received:
        kind, request, id_ = message[:3]
        known = self._topics if kind == SUBSCRIBED else self._procedures
        asked = self._asked.pop(request, None)
        if asked is not None and known.setdefault(id_, asked) != asked:
            # The client would hand what comes for one topic to the handler of another.
            return Received([ERROR, SUBSCRIBE if kind == SUBSCRIBED else REGISTER, request, {}, PROTOCOL_VIOLATION])
        return Received(message)

    def _event(self, message: Message) -> Received:
        asked = self._topics.get(message[1])
        if asked is None:  # it was on its way while the subscription ended
            return Received(None)
        try:
            topic = _actual(asked, message[3].get("topic"))
            retained = bool(message[3].get("retained"))
            return self._open(message, Subject(topic, Kind.EVENT, False, self._realm, retained=retained), None)
        except SealError as e:
            self.on_error(e)
            return Received(None)

    def _invocation(self, message: Message) -> Received:
        request = message[1]
        asked = self._procedures.get(message[2])
        invocation = self._invocations.get(request)  # known: a progressive call goes on
        try:
            if asked is None:
                raise SealError("wamp.error.no_such_registration", "nothing is registered so")
            procedure = _actual(asked, message[3].get("procedure"))
            if invocation is None:
                invocation = self._invocations[request] = _Exchange(procedure, message[2])
            elif (invocation.uri, invocation.registration) != (procedure, message[2]):
                raise SealError(PROTOCOL_VIOLATION, "the invocation goes on as another procedure's")
            more = bool(message[3].get("progress"))
            subject = Subject(invocation.uri, Kind.CALL, False, self._realm, more=more, exchange=invocation.state)
            return self._open(message, subject, invocation)
        except SealError as e:
            self.on_error(e)
            self._invocations[request] = invocation or _Exchange("", sealed=True)
            return Received(None, [ERROR, INVOCATION, request, {}, e.error])

    def _result(self, message: Message) -> Received:
        request, progress = message[1], bool(message[2].get("progress"))
        call = self._calls.get(request) if progress else self._calls.pop(request, None)
        if call is None:  # its end was told already
            return Received(None)
        kind = Kind.PROGRESS if progress else Kind.RESULT
        try:
            return self._open(message, Subject(call.uri, kind, True, self._realm, exchange=call.state), call)
        except SealError as e:
            self._calls.pop(request, None)
            return Received([ERROR, CALL, request, {}, e.error, [str(e)]], [CANCEL, request, {}] if progress else None)

    def _failed(self, message: Message) -> Received:
        asked, request, error = message[1], message[2], message[4]
        if asked != CALL:
            self._asked.pop(request, None)
            return Received(message)
        call = self._calls.pop(request, None)
        if call is None:
            return Received(None)
        try:
            return self._open(message, Subject(error, Kind.ERROR, True, self._realm, exchange=call.state), call)
        except SealError as e:
            return Received([ERROR, CALL, request, {}, e.error, [str(e)]])

    def _open(self, message: Message, subject: Subject, exchange: _Exchange | None) -> Received:
        details_at, payload_at = _PLACES[message[0]]
        details = message[details_at]
        attributes = {name: details[name] for name in ATTRIBUTES if isinstance(details.get(name), str)}
        payload = message[payload_at:]
        passthru = "ppt_scheme" in attributes
        if not passthru and not (payload and _binary(payload[0]) is not None) and "enc_algo" not in attributes:
            self._accept_clear(subject, exchange)
            return Received(message)
        try:
            opened = self._opened(subject, attributes, payload, passthru)
        except SealError as e:
            raise e.at(subject.uri)
        if exchange is not None:
            exchange.sealed = True
        out = list(message[:payload_at])
        out[details_at] = {name: value for name, value in details.items() if name not in ATTRIBUTES}
        if opened.args or opened.kwargs:
            out.append(opened.args or [])
        if opened.kwargs:
            out.append(opened.kwargs)
        return Received(out, seal=opened.seal)

    def _opened(self, subject: Subject, attributes: Mapping[str, str], payload: Message, passthru: bool) -> Opened:
        sealer = next((s for s in self._sealers if s.speaks(attributes) and s.covers(subject)), None)
        if sealer is None:
            known = self._covering(subject)
            raise SealError(NO_KEY, "the payload is of a scheme that the keys of this URI don't open" if known else "no key for this URI")
        first = payload[0] if payload else None
        if passthru and isinstance(first, (list, tuple)) and len(first) == 1:
            first = first[0]
        binary = _binary(first)
        if binary is None or any(payload[1:]):
            raise SealError(NO_KEY, "the payload is not one binary")
        return sealer.open(subject, attributes, binary)

    def _accept_clear(self, subject: Subject, exchange: _Exchange | None) -> None:
        """Refuses clear text where it may not be: someone without the key put it in."""
        if subject.uri.startswith("wamp.") or (subject.kind is Kind.ERROR and routers_own(subject.uri)):
            return
        sealed = exchange is not None and exchange.sealed
        if sealed or self._covering(subject) or not self._is_clear(subject):
            raise SealError(CLEARTEXT_REFUSED, "the payload is in the clear, and this URI is not declared so", subject.uri)


def _binary(value: Any) -> bytes | None:
    """The bytes of a binary, or None. Autobahn|JS in a browser tags those of CBOR."""
    if isinstance(value, cbor2.CBORTag) and value.tag == UINT8_ARRAY:
        value = value.value
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else None


def _actual(asked: tuple[str, str], named: Any) -> str:
    """What a message is about: what was asked for, or for a pattern what the details
    name. The router has no say beyond the pattern: it could otherwise choose a URI
    without a key."""
    uri, match = asked
    if match == "exact" and named in (None, uri):
        return uri
    if isinstance(named, str) and _matches(uri, match, named):
        return named
    raise SealError(PROTOCOL_VIOLATION, "the router names no URI that was asked for", uri)


def _matches(pattern: str, match: str, uri: str) -> bool:
    if match == "prefix":
        return uri.startswith(pattern)
    if match == "wildcard":
        wanted, parts = pattern.split("."), uri.split(".")
        return len(wanted) == len(parts) and all(w in ("", p) for w, p in zip(wanted, parts, strict=True))
    return uri == pattern
