"""Identities of sealed scopes: docs/sealed-scopes.md, "Identities"."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from dataclasses import dataclass, field

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from .keyring import read_own, write_own
from .values import strict_json

MARK = "blindfold-id-1"
MAX_RECIPIENT = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """The bytes of base64url without padding; a text has one value and a value one text."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64url") from None
    if to_base64url(data) != text:
        raise ValueError("not base64url")
    return data


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(key).verify(message, signature)
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True


def valid_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _valid_recipient(text: str) -> bool:
    return 0 < len(text) <= MAX_RECIPIENT and all(" " <= c <= "~" for c in text) and text.strip() == text


@dataclass(frozen=True)
class Public:
    """The public half of an identity."""

    name: str
    key: bytes
    recipient: str
    signature: bytes

    @classmethod
    def parse(cls, line: str) -> Public:
        """Reads the one line of the public form, and verifies it. ValueError: it is none."""
        parts = line.strip().split(" ", 4)
        if len(parts) != 5 or parts[0] != MARK or not valid_name(parts[1]) or not _valid_recipient(parts[4]):
            raise ValueError(f"not the public line of an identity ({MARK} …)")
        public = cls(parts[1], from_base64url(parts[2]), parts[4], from_base64url(parts[3]))
        if not verify(public.key, _signed(public.name, public.key, public.recipient), public.signature):
            raise ValueError("the public line of this identity was changed: its signature does not fit")
        return public

    @property
    def id(self) -> str:
        """The key as base64url."""
        return to_base64url(self.key)

    def digits(self) -> str:
        """The 30 digits that two people compare, in groups of five."""
        h = hashlib.sha256(b"blindfold digits 1\n" + self.key + self.recipient.encode("ascii")).digest()
        return " ".join(f"{int.from_bytes(h[5 * i : 5 * i + 5], 'big') % 100000:05}" for i in range(6))

    def __str__(self) -> str:
        return " ".join([MARK, self.name, self.id, to_base64url(self.signature), self.recipient])


def _signed(name: str, key: bytes, recipient: str) -> bytes:
    return b"blindfold identity 1\n" + name.encode("ascii") + b"\n" + key + recipient.encode("ascii")


@dataclass(frozen=True)
class Identity:
    """An identity with its private keys, which it does not show when printed."""

    public: Public
    _signer: SigningKey = field(repr=False)
    _age: str = field(repr=False)

    @classmethod
    def new(cls, name: str) -> Identity:
        """A new identity, with an X25519 age identity."""
        import pyrage

        secret = pyrage.x25519.Identity.generate()
        return cls._assemble(name, bytes(SigningKey.generate()), str(secret), str(secret.to_public()))

    @classmethod
    def _assemble(cls, name: str, seed: bytes, age: str, recipient: str) -> Identity:
        if not valid_name(name):
            raise ValueError("a name is 1 to 64 of A-Z a-z 0-9 . _ @ - and begins with a letter or digit")
        if len(seed) != 32 or not _valid_recipient(recipient):
            raise ValueError("not the parts of an identity")
        signer = SigningKey(seed)
        key = bytes(signer.verify_key)
        signature = signer.sign(_signed(name, key, recipient)).signature
        return cls(Public(name, key, recipient, signature), signer, age)

    @classmethod
    def parse(cls, content: bytes) -> Identity:
        """The identity of a private file's content."""
        try:
            value = strict_json(content)
            if not isinstance(value, dict) or value.keys() != {"format", "version", "name", "seed", "age", "recipient"}:
                raise ValueError("unknown or missing member")
            if value["format"] != "blindfold-identity" or type(value["version"]) is not int or value["version"] != 1:
                raise ValueError("another format or version")
            if not all(isinstance(value[name], str) for name in ("name", "seed", "age", "recipient")):
                raise ValueError("wrong type")
            seed = base64.b64decode(value["seed"].encode("ascii"), validate=True)
        except (ValueError, RecursionError) as e:
            reason = "not JSON" if isinstance(e, (json.JSONDecodeError, UnicodeError, RecursionError)) else str(e)
            raise ValueError(f"identity file: {reason}") from None
        return cls._assemble(value["name"], seed, value["age"], value["recipient"])

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Identity:
        """Reads the private file. One that others may read or write is refused."""
        return cls.parse(read_own(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the private file, with mode 0600."""
        value = {
            "format": "blindfold-identity",
            "version": 1,
            "name": self.public.name,
            "seed": base64.b64encode(bytes(self._signer)).decode("ascii"),
            "age": self._age,
            "recipient": self.public.recipient,
        }
        write_own(path, (json.dumps(value, indent=2) + "\n").encode("ascii"))

    def sign(self, message: bytes) -> bytes:
        return bytes(self._signer.sign(message).signature)

    def decrypt(self, file: bytes) -> bytes | None:
        """What an age file holds, or None if it is not for this identity."""
        import pyrage

        try:
            return bytes(pyrage.decrypt(file, [pyrage.x25519.Identity.from_str(self._age)]))
        except (pyrage.DecryptError, pyrage.IdentityError):
            return None
