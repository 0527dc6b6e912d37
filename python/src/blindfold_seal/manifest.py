"""Scopes and their lists of members: docs/sealed-scopes.md, "Scopes"."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import SealError
from .identity import Identity, to_base64url, valid_name, verify
from .values import MAX_INT, one_cbor

PUBLISH, SUBSCRIBE, CALL, REGISTER = 1, 2, 4, 8
MAX_BUNDLE, MAX_FILES, MAX_MEMBERS = 256 << 10, 8, 4096
TOPIC_PREFIX = "blindfold.scope."


def scope_error(name: str, text: str) -> SealError:
    return SealError("blindfold.error.scope." + name, text)


def malformed(text: str) -> SealError:
    return scope_error("malformed", text)


def scope_id(owner: bytes, realm: str, prefix: str) -> bytes:
    return hashlib.sha256(b"blindfold scope 1\n" + owner + realm.encode() + b"\n" + prefix.encode()).digest()[:16]


def array(data: bytes, length: int, what: str) -> list[Any]:
    """The items of a CBOR array of that length."""
    try:
        value = one_cbor(data, what)
    except SealError:
        raise malformed(what) from None
    if not isinstance(value, list) or len(value) != length:
        raise malformed(what)
    return value


def need(ok: bool, what: str) -> None:
    if not ok:
        raise malformed(what)


def is_uint(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT


def is_bytes(value: Any, *lengths: int) -> bool:
    return isinstance(value, bytes) and (not lengths or len(value) in lengths)


@dataclass(frozen=True)
class Member:
    name: str
    key: bytes
    rights: int


@dataclass(frozen=True)
class Manifest:
    """The list of members of an epoch, with its secret. Times are milliseconds."""

    raw: bytes
    realm: str
    prefix: str
    owner: bytes
    epoch: int
    previous: bytes
    not_before: int
    not_after: int
    grace: int
    secret: bytes
    members: tuple[Member, ...]
    id: bytes
    key_id: str

    @classmethod
    def parse(cls, raw: bytes) -> Manifest:
        what = "the list of members does not parse"
        version, realm, prefix, owner, epoch, previous, begin, end, grace, secret, list_ = array(raw, 11, what)
        need(version == 1 and type(version) is int and isinstance(realm, str) and isinstance(prefix, str), what)
        need(is_bytes(owner, 32) and is_bytes(previous, 0, 32) and is_bytes(secret, 32), what)
        need(all(map(is_uint, (epoch, begin, end, grace))) and epoch >= 1 and begin <= end, what)
        need(isinstance(list_, list) and 1 <= len(list_) <= MAX_MEMBERS, what)
        members = []
        for entry in list_:
            need(isinstance(entry, list) and len(entry) == 3, what)
            name, key, rights = entry
            need(isinstance(name, str) and valid_name(name) and is_bytes(key, 32) and is_uint(rights) and rights < 16, what)
            members.append(Member(name, key, rights))
        need(len({m.name for m in members}) == len(members) == len({m.key for m in members}), "a member is listed twice")
        id_ = hashlib.sha256(b"blindfold epoch 1\n" + raw).digest()
        return cls(raw, realm, prefix, owner, epoch, previous, begin, end, grace, secret, tuple(members), id_, to_base64url(id_[:4]))

    def index(self, key: bytes) -> int | None:
        return next((i for i, m in enumerate(self.members) if m.key == key), None)

    def __repr__(self) -> str:
        return f"Manifest(epoch {self.epoch} of {self.prefix!r} in {self.realm}, {len(self.members)} members)"

    def message_key(self, stream: bytes) -> bytes:
        hkdf = HKDF(algorithm=SHA256(), length=32, salt=stream, info=b"blindfold message key 1\n" + self.id)
        return hkdf.derive(self.secret)


def open_bundle(data: bytes, owner: bytes, id_: bytes, newest: int, identity: Identity) -> Manifest:
    """Checks 1 to 6 of "Accepting a bundle". newest is the newest epoch known, or 0."""
    what = "the bundle does not parse"
    need(len(data) <= MAX_BUNDLE, "the bundle is too large")
    version, scope, epoch, files, signature = array(data, 5, what)
    need(version == 1 and type(version) is int and is_bytes(scope, 16) and is_uint(epoch) and is_bytes(signature, 64), what)
    need(isinstance(files, list) and 1 <= len(files) <= MAX_FILES and all(map(is_bytes, files)), what)
    if scope != id_:
        raise scope_error("wrong_scope", "the bundle is of another scope")
    if not verify(owner, b"blindfold bundle 1\n" + cbor2.dumps([1, scope, epoch, files]), signature):
        raise scope_error("bad_signature", "the bundle is not signed by the scope's owner")
    if epoch < newest:
        raise scope_error("old_epoch", "the bundle is of an epoch that is over")
    for file in files:
        raw = identity.decrypt(file)
        if raw is not None:
            manifest = Manifest.parse(raw)
            if manifest.epoch != epoch:
                raise scope_error("wrong_scope", "the bundle holds another epoch than it says")
            return manifest
    raise scope_error("not_member", "the owner did not encrypt the bundle to this identity")
