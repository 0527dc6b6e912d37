"""The bytes of a message of a scope: docs/sealed-scopes.md, "Messages"."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import SealError
from .manifest import CALL, PUBLISH, REGISTER, is_bytes, is_uint, malformed, need, scope_error
from .sealer import Kind, Subject
from .values import from_cbor_value, normalize, one_cbor

ATTRIBUTES = {"ppt_scheme": "x_blindfold_1", "ppt_serializer": "cbor", "ppt_cipher": "aes256gcm"}
STREAM, HEAD, SIGNATURE, MIN_PAYLOAD = 12, 16, 64, 108
MAX_LEVELS = 6
NO_CALL = bytes(32)

EVENT, EVENT_TO_SOME, CALLED, CALLED_INPUTS_FOLLOW, INPUT, LAST_INPUT, RESULT, PROGRESS, ERROR = range(9)
BOUND = INPUT
"""Kinds from here on belong to a call that has begun."""


def right(kind: int) -> int:
    return PUBLISH if kind <= EVENT_TO_SOME else CALL if kind <= LAST_INPUT else REGISTER


def kinds(subject: Subject, begun: bool) -> tuple[int, ...]:
    """The kinds that fit a message."""
    if subject.kind is Kind.EVENT:
        return (EVENT, EVENT_TO_SOME)
    if subject.kind is Kind.CALL:
        if begun:
            return (INPUT if subject.more else LAST_INPUT,)
        return (CALLED_INPUTS_FOLLOW if subject.more else CALLED,)
    return ({Kind.RESULT: RESULT, Kind.PROGRESS: PROGRESS, Kind.ERROR: ERROR}[subject.kind],)


def sha256(*parts: bytes) -> bytes:
    h = hashlib.sha256()
    for part in parts:
        h.update(part)
    return h.digest()


@dataclass(frozen=True)
class Body:
    kind: int
    sender: int
    time: int
    hint: bytes
    args: list[Any]
    kwargs: dict[str, Any]
    index: int = 0
    call_hint: bytes = b""

    def encode(self) -> bytes:
        args, kwargs = normalize(self.args), normalize(self.kwargs)
        more = [self.index, self.call_hint] if self.kind >= BOUND else []
        return bytes(cbor2.dumps([self.kind, self.sender, self.time, self.hint, args, kwargs, *more], canonical=True))

    @classmethod
    def parse(cls, data: bytes) -> Body:
        what = "the body does not parse"
        try:
            value = one_cbor(data, what)
        except SealError:
            raise malformed(what) from None
        need(isinstance(value, list) and len(value) in (6, 8), what)
        kind, sender, time, hint, args, kwargs = value[:6]
        need(all(map(is_uint, (kind, sender, time))) and kind <= ERROR and is_bytes(hint, 4), what)
        need((len(value) == 8) == (kind >= BOUND) and isinstance(args, list) and isinstance(kwargs, dict), what)
        index, call_hint = value[6:] if kind >= BOUND else (0, b"")
        need(is_uint(index) and isinstance(call_hint, bytes) and (kind < BOUND or len(call_hint) == 4), what)
        try:
            return cls(kind, sender, time, hint, from_cbor_value(args), from_cbor_value(kwargs), index, call_hint)
        except SealError:
            raise malformed(what) from None


def leaf(epoch: bytes, stream: bytes, number: int, call: bytes, uri: bytes, body: bytes) -> bytes:
    """uri is the SHA-256 of the URI, call the leaf of the call, or NO_CALL."""
    return sha256(b"\0", epoch, stream, number.to_bytes(4, "big"), call, uri, body)


def signed(root: bytes) -> bytes:
    return b"blindfold message 1\n" + root


def padded(length: int) -> int:
    """Padmé: length is that of the plaintext with its 0x80."""
    e = length.bit_length() - 1
    mask = (1 << (e - e.bit_length())) - 1
    return (length + mask) & ~mask


def encrypt(key: bytes, epoch: bytes, stream: bytes, number: int, signature: bytes, proof: bytes, body: bytes) -> bytes:
    plain = signature + proof + body + b"\x80"
    head = stream + number.to_bytes(4, "big")
    return head + AESGCM(key).encrypt(bytes(8) + head[STREAM:], plain.ljust(padded(len(plain)), b"\0"), epoch + head)


@dataclass(frozen=True)
class Plaintext:
    signature: bytes
    position: int
    siblings: tuple[bytes, ...]
    body: bytes

    def root(self, leaf: bytes) -> bytes:
        h = leaf
        for i, sibling in enumerate(self.siblings):
            h = sha256(b"\1", sibling, h) if self.position >> i & 1 else sha256(b"\1", h, sibling)
        return h


def decrypt(key: bytes, epoch: bytes, payload: bytes) -> Plaintext:
    head = payload[:HEAD]
    try:
        data = AESGCM(key).decrypt(bytes(8) + head[STREAM:], payload[HEAD:], epoch + head)
    except InvalidTag:
        raise scope_error("decrypt", "the payload was changed, or is for another key") from None
    data = data.rstrip(b"\0")
    need(len(data) >= SIGNATURE + 2 and data[-1] == 0x80, "the padding")
    signature, rest = data[:SIGNATURE], data[SIGNATURE:-1]
    levels = rest[0]
    if levels == 0:
        return Plaintext(signature, 0, (), rest[1:])
    need(levels <= MAX_LEVELS and len(rest) >= 2 + 32 * levels and rest[1] < 1 << levels, "the proof")
    siblings = tuple(rest[2 + 32 * i : 34 + 32 * i] for i in range(levels))
    return Plaintext(signature, rest[1], siblings, rest[2 + 32 * levels :])

