"""Keys by URI prefix, and the keyring file that Blindfold's other programs use."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from typing import Any

from nacl.exceptions import CryptoError
from nacl.public import Box as NaClBox
from nacl.public import PrivateKey, PublicKey

from .values import strict_json

KEY_SIZE = 32
MAX_FILE_SIZE = 16 << 20
_PREFIX = re.compile(r"([^\s.#]+\.)*[^\s.#]*")


def valid_prefix(prefix: str) -> bool:
    """Whether prefix is "" or can begin a URI."""
    return isinstance(prefix, str) and _PREFIX.fullmatch(prefix) is not None


def longest_prefix(prefixes: dict[str, Any], uri: str) -> str | None:
    """The longest of prefixes that uri begins with, character by character."""
    return next((uri[:n] for n in range(len(uri), -1, -1) if uri[:n] in prefixes), None)


def _key_bytes(text: str) -> bytes:
    # Strict: a text has one key and a key one text.
    try:
        key = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError, AttributeError):
        key = b""
    if len(key) != KEY_SIZE or base64.b64encode(key).decode("ascii") != text:
        raise ValueError("a key is the standard base64, with padding, of 32 bytes") from None
    return key


def _key_text(key: PrivateKey | PublicKey) -> str:
    return base64.b64encode(bytes(key)).decode("ascii")


class Key:
    """Seals and opens payloads. It has two halves, that of the originator (caller,
    publisher) and that of the responder (callee, subscriber).

    The arguments are those of Autobahn's ``Key``, each the base64 of 32 bytes. The
    public key may be left out where the private one is there; at least one half has
    its private key. A Key never changes, and does not show private keys when printed.
    """

    __slots__ = ("_originator_priv", "_responder_priv", "originator_pub", "responder_pub", "_boxes")

    def __init__(
        self,
        originator_priv: str | None = None,
        originator_pub: str | None = None,
        responder_priv: str | None = None,
        responder_pub: str | None = None,
    ) -> None:
        self._originator_priv, originator = _half(originator_priv, originator_pub)
        self._responder_priv, responder = _half(responder_priv, responder_pub)
        self.originator_pub = _key_text(originator)
        self.responder_pub = _key_text(responder)
        self._boxes = {True: _box(self._originator_priv, responder), False: _box(self._responder_priv, originator)}
        if not any(self._boxes.values()):
            raise ValueError("a key needs a private half, of the originator or the responder")

    @classmethod
    def shared(cls, private: str) -> Key:
        """The key whose originator and responder are one pair: everyone who holds it
        can take either side."""
        return cls(originator_priv=private, responder_priv=private)

    def box(self, originator: bool) -> NaClBox | None:
        """What seals and opens on that side, or None where its private key is missing."""
        return self._boxes[originator]

    def _public(self) -> tuple[str, str]:
        return self.originator_pub, self.responder_pub

    def _same(self, other: Key) -> bool:
        return self._public() == other._public() and all((self.box(side) is None) == (other.box(side) is None) for side in (True, False))

    def __repr__(self) -> str:
        def half(public: str, private: PrivateKey | None) -> str:
            return public + (" with private key" if private else "")

        return f"Key(originator {half(self.originator_pub, self._originator_priv)}, responder {half(self.responder_pub, self._responder_priv)})"

    def __reduce__(self) -> Any:
        raise TypeError("a Key is not pickled; save its KeyRing")


def _half(private: str | None, public: str | None) -> tuple[PrivateKey | None, PublicKey]:
    given = PublicKey(_key_bytes(public)) if public else None
    if not private:
        if given is None:
            raise ValueError("a key needs at least the public key of both originator and responder")
        return None, given
    key = PrivateKey(_key_bytes(private))
    if given is not None and given != key.public_key:
        raise ValueError("the public key is not the one of the private key")
    return key, key.public_key


def _box(private: PrivateKey | None, peer: PublicKey) -> NaClBox | None:
    if private is None:
        return None
    try:
        return NaClBox(private, peer)
    except CryptoError:
        raise ValueError("a public key is a point of low order") from None


def generate_key() -> tuple[str, str]:
    """A new private key and its public key, in base64."""
    key = PrivateKey.generate()
    return _key_text(key), _key_text(key.public_key)


class KeyRing:
    """Keys by URI prefix. A URI belongs to the longest prefix that it begins with,
    character by character ("com.app" is a prefix of "com.apple"); "" is the prefix
    of all URIs.

    A prefix may hold several keys, for rotation: sealing uses the newest that has the
    private half of the sealing side, opening tries all, newest first. To rotate
    without a gap, ``accept`` the new key at every peer, then ``add`` it at every peer,
    then ``remove`` the old one when nothing sealed with it is under way any more.

    ``default_key``, ``set_key`` and ``generate_key`` are those of Autobahn's KeyRing.
    """

    def __init__(self, default_key: Key | str | None = None) -> None:
        self._keys: dict[str, list[Key]] = {}  # newest first
        self._scramble: dict[str, str] = {}  # kept for the file; not used here
        if default_key is not None:
            self.set_key("", default_key)

    @staticmethod
    def generate_key() -> tuple[str, str]:
        """A new private key and its public key, in base64."""
        return generate_key()

    def add(self, prefix: str, key: Key | str) -> None:
        """Makes key the newest of prefix."""
        key = _key(prefix, key)
        self._keys[prefix] = [key, *(k for k in self.keys(prefix) if not k._same(key))]

    def accept(self, prefix: str, key: Key | str) -> None:
        """Makes key the oldest of prefix: it opens, and does not seal where there is
        another. A key that is there already stays where it is."""
        key = _key(prefix, key)
        if not any(k._same(key) for k in self.keys(prefix)):
            self._keys[prefix] = [*self.keys(prefix), key]

    def set_key(self, prefix: str, key: Key | str | None) -> None:
        """Makes key the only one of prefix; None takes all its keys away."""
        if key is None:
            self._keys.pop(prefix, None)
        else:
            self._keys[prefix] = [_key(prefix, key)]

    def remove(self, prefix: str, key: Key | str) -> None:
        """Takes those keys of prefix away that have the public keys of key."""
        key = _key(prefix, key)
        left = [k for k in self.keys(prefix) if k._public() != key._public()]
        if left:
            self._keys[prefix] = left
        else:
            self._keys.pop(prefix, None)

    def prefixes(self) -> list[str]:
        """The prefixes that have keys, sorted."""
        return sorted(self._keys)

    def keys(self, prefix: str) -> list[Key]:
        """The keys of prefix, newest first."""
        return list(self._keys.get(prefix, ()))

    def covers(self, uri: str) -> bool:
        """Whether uri has a key, on either side."""
        return longest_prefix(self._keys, uri) is not None

    def lookup(self, uri: str) -> list[Key]:
        """The keys that uri belongs to, newest first."""
        prefix = longest_prefix(self._keys, uri)
        return [] if prefix is None else self.keys(prefix)

    def __repr__(self) -> str:
        return "KeyRing(" + ", ".join(f"{prefix!r}: {self._keys[prefix]!r}" for prefix in self.prefixes()) + ")"

    # The keyring file: see "The keyring file" of Blindfold's package cryptobox.

    @classmethod
    def parse(cls, content: bytes) -> KeyRing:
        """The keyring of a file's content. A ValueError names the entry at fault, and
        nothing that stands in it."""
        try:
            value = strict_json(content)
        except (ValueError, RecursionError):
            raise ValueError("keyring: not JSON") from None
        ring = cls()
        for prefix, entry in _entries(value):
            ring._keys.setdefault(prefix, []).append(entry)
        for prefix, text in _scramble_entries(value):
            ring._scramble[prefix] = text
        return ring

    def encode(self) -> bytes:
        """The content of a keyring file: it holds the private keys. The same keys
        always give the same bytes, as from the other programs of Blindfold."""
        def half(private: PrivateKey | None, public: str) -> dict[str, str]:
            return {**({"private": _key_text(private)} if private else {}), "public": public}

        value: dict[str, Any] = {"format": "blindfold-keyring", "version": 1, "keys": []}
        for prefix in sorted(self._keys, key=lambda p: p.encode("utf8")):
            for key in self._keys[prefix]:
                value["keys"].append(
                    {
                        "prefix": prefix,
                        "originator": half(key._originator_priv, key.originator_pub),
                        "responder": half(key._responder_priv, key.responder_pub),
                    }
                )
        if self._scramble:
            value["scramble"] = [{"prefix": p, "key": self._scramble[p]} for p in sorted(self._scramble)]
        return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode("utf8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> KeyRing:
        """Reads a keyring file. One that its group or others may read or write is
        refused with a PermissionError."""
        content = read_own(path)
        try:
            return cls.parse(content)
        except ValueError as e:
            raise ValueError(f"{e} (in {os.fspath(path)})") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the keyring file with mode 0600, whole or not at all."""
        write_own(path, self.encode())


def read_own(path: str | os.PathLike[str]) -> bytes:
    """Reads a file that is its owner's alone, and refuses others."""
    with open(path, "rb") as f:
        mode = stat.S_IMODE(os.fstat(f.fileno()).st_mode)
        if mode & 0o077 and os.name == "posix":
            raise PermissionError(
                f"{os.fspath(path)} is open to others than its owner (mode {mode:04o}): "
                "chmod 600 it, and replace its keys if anyone may have read them"
            )
        content = f.read(MAX_FILE_SIZE + 1)
    if len(content) > MAX_FILE_SIZE:
        raise ValueError(f"{os.fspath(path)} is over {MAX_FILE_SIZE >> 20} MiB")
    return content


def write_own(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file with mode 0600. One that is there is replaced whole or not at all."""
    folder = os.path.dirname(os.path.abspath(path))
    fd, temporary = tempfile.mkstemp(prefix=".blindfold-", dir=folder)  # mode 0600 from the start
    try:
        with os.fdopen(fd, "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if os.name == "posix":  # makes the renaming last through a power cut
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _key(prefix: str, key: Key | str) -> Key:
    if not valid_prefix(prefix):
        raise ValueError("not a prefix of a URI")
    if isinstance(key, str):
        return Key.shared(key)
    if not isinstance(key, Key):
        raise TypeError("a key is a Key, or the base64 of a private key")
    return key


def _members(value: Any, where: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or not required <= value.keys() or not value.keys() <= required | optional:
        raise ValueError(f"{where}: unknown or missing member")
    return value


def _entries(value: Any) -> Iterator[tuple[str, Key]]:
    value = _members(value, "keyring", {"format", "version", "keys"}, {"scramble"})
    if value["format"] != "blindfold-keyring":
        raise ValueError('keyring: "format" is not "blindfold-keyring"')
    if value["version"] != 1 or value["version"] is True:
        raise ValueError('keyring: "version" is not 1, the one known here')
    if not isinstance(value["keys"], list):
        raise ValueError('keyring: "keys" is not a list')
    for i, entry in enumerate(value["keys"]):
        where = f"keyring: keys[{i}]"
        _members(entry, where, {"prefix", "originator", "responder"}, set())
        halves = {}
        for side in ("originator", "responder"):
            half = _members(entry[side], f"{where}: {side}", set(), {"private", "public"})
            for name in half:
                if not isinstance(half[name], str):
                    raise ValueError(f"{where}: {side}: wrong type")
            halves[side + "_priv"], halves[side + "_pub"] = half.get("private"), half.get("public")
        if not valid_prefix(entry["prefix"]):
            raise ValueError(f'{where}: "prefix" cannot begin a URI')
        try:
            key = Key(**halves)
        except ValueError as e:
            raise ValueError(f"{where}: {e}") from None
        yield entry["prefix"], key


def _scramble_entries(value: Any) -> Iterator[tuple[str, str]]:
    entries = value.get("scramble") or []
    if not isinstance(entries, list):
        raise ValueError('keyring: "scramble" is not a list')
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        where = f"keyring: scramble[{i}]"
        _members(entry, where, {"prefix", "key"}, set())
        if not valid_prefix(entry["prefix"]) or entry["prefix"] in seen:
            raise ValueError(f'{where}: "prefix" cannot begin a URI, or has a scramble key already')
        seen.add(entry["prefix"])
        try:
            _key_bytes(entry["key"])
        except ValueError as e:
            raise ValueError(f"{where}: {e}") from None
        yield entry["prefix"], entry["key"]
