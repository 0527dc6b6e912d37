"""Curve25519 boxes (NaCl crypto_box) in the two forms of WAMP."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from Crypto.Hash import keccak
from nacl.exceptions import CryptoError
from nacl.public import Box as NaClBox

from .errors import DECRYPT_ERROR, NO_KEY, URI_MISMATCH, SealError
from .keyring import Key, KeyRing, _key_bytes
from .sealer import Attributes, Opened, Subject
from .values import Content, from_cbor, from_json, to_cbor, to_json

OVERHEAD = NaClBox.NONCE_SIZE + 16
"""How much longer a payload is than its plaintext, in bytes."""


class _CryptoBox:
    """A payload is a random nonce of 24 bytes, then crypto_box of the plaintext."""

    def __init__(self, keys: KeyRing) -> None:
        self.keys = keys

    def covers(self, subject: Subject) -> bool:
        return self.keys.covers(subject.uri)

    def _sealing_key(self, subject: Subject) -> tuple[Key, NaClBox]:
        keys = self.keys.lookup(subject.uri)
        for key in keys:
            if box := key.box(subject.originator):
                return key, box
        raise SealError(NO_KEY, "the private half of this side is missing" if keys else "no key for this URI")

    def _opening_keys(self, subject: Subject) -> list[Key]:
        return [key for key in self.keys.lookup(subject.uri) if key.box(subject.originator)]

    @staticmethod
    def _open(keys: list[Key], subject: Subject, payload: bytes) -> bytes:
        if not keys:
            raise SealError(NO_KEY, "no key for this URI")
        if len(payload) < OVERHEAD:
            raise SealError(DECRYPT_ERROR, "payload cannot be decrypted: too short")
        for key in keys:
            box = key.box(subject.originator)
            assert box is not None
            try:
                return bytes(box.decrypt(payload))
            except CryptoError:
                continue
        raise SealError(DECRYPT_ERROR, "payload cannot be decrypted: no key of this URI fits")


class Box(_CryptoBox):
    """Seals in the transparency form, as Autobahn|Python's KeyRing does (``enc_algo``
    "cryptobox", ``enc_serializer`` "json")."""

    ATTRIBUTES = {"enc_algo": "cryptobox", "enc_serializer": "json"}

    def speaks(self, attributes: Attributes) -> bool:
        return "enc_algo" in attributes

    def seal(self, subject: Subject, args: list[Any] | None, kwargs: dict[str, Any] | None) -> tuple[dict[str, str], bytes]:
        _, box = self._sealing_key(subject)
        return dict(self.ATTRIBUTES), bytes(box.encrypt(to_json(Content(subject.uri, args, kwargs))))

    def open(self, subject: Subject, attributes: Attributes, payload: bytes) -> Opened:
        if dict(attributes) != self.ATTRIBUTES:
            raise SealError(NO_KEY, "not a cryptobox payload with JSON inside")
        content = from_json(self._open(self._opening_keys(subject), subject, payload))
        # Without this the router could pass what was sealed for one URI as another's.
        if content.uri != subject.uri:
            raise SealError(URI_MISMATCH, "payload was sealed for another URI")
        return Opened(content.args, content.kwargs)


class Passthru(_CryptoBox):
    """Seals in the passthru form, by WAMP's predefined end-to-end scheme
    (``ppt_scheme`` "wamp", ``ppt_serializer`` "cbor", ``ppt_cipher``
    "xsalsa20poly1305", and in ``ppt_keyid`` the receiver's key)."""

    ATTRIBUTES = {"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "xsalsa20poly1305"}

    def __init__(self, keys: KeyRing, allow_unbound: bool = False) -> None:
        """allow_unbound opens payloads that name no URI inside, from senders that write
        only what the specification asks for. A router can then pass what was sealed
        for one URI of a key as another's."""
        super().__init__(keys)
        self.allow_unbound = allow_unbound

    def speaks(self, attributes: Attributes) -> bool:
        return attributes.get("ppt_scheme") == "wamp"

    def seal(self, subject: Subject, args: list[Any] | None, kwargs: dict[str, Any] | None) -> tuple[dict[str, str], bytes]:
        key, box = self._sealing_key(subject)
        attributes = {**self.ATTRIBUTES, "ppt_keyid": key_id(_receiver(key, not subject.originator))}
        return attributes, bytes(box.encrypt(to_cbor(Content(subject.uri, args, kwargs))))

    def open(self, subject: Subject, attributes: Attributes, payload: bytes) -> Opened:
        if any(attributes.get(name) != value for name, value in self.ATTRIBUTES.items()):
            raise SealError(NO_KEY, "not an xsalsa20poly1305 payload of scheme wamp with CBOR inside")
        keys = self._opening_keys(subject)
        if name := attributes.get("ppt_keyid"):
            keys = [key for key in keys if _is_named(_receiver(key, subject.originator), name)]
        content = from_cbor(self._open(keys, subject, payload))
        if content.uri is None and not self.allow_unbound:
            raise SealError(URI_MISMATCH, "payload names no URI")
        if content.uri is not None and content.uri != subject.uri:
            raise SealError(URI_MISMATCH, "payload was sealed for another URI")
        return Opened(content.args, content.kwargs)


def _receiver(key: Key, originator: bool) -> str:
    return key.originator_pub if originator else key.responder_pub


def _is_named(public: str, name: str) -> bool:
    """Whether name is the key id of public, whatever its letters' case, or public
    itself, as in the specification's examples."""
    return name == public or name.lower() == key_id(public).lower()


@functools.lru_cache(maxsize=1024)
def key_id(public: str) -> str:
    """The identifier of a public key in the passthru form: "0x" and the last 20 bytes
    of its SHA-256 in hexadecimal, whose letters' case is the checksum of EIP-55."""
    digits = hashlib.sha256(_key_bytes(public)).digest()[-20:].hex()
    checksum = keccak.new(digest_bits=256, data=digits.encode("ascii")).hexdigest()
    return "0x" + "".join(d.upper() if c >= "8" else d for d, c in zip(digits, checksum, strict=False))
