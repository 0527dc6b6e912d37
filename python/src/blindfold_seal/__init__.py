"""End-to-end encryption of WAMP payloads.

``KeyRing`` and ``Key`` hold keys, ``Box`` and ``Passthru`` seal with them;
``Identity``, ``Scope`` and ``Scopes`` seal with keys that are handed over by the
protocol; ``blindfold_seal.autobahn.seal`` makes a session of Autobahn|Python use them.
"""

from .cryptobox import Box, Passthru, key_id
from .errors import (
    CLEARTEXT_REFUSED,
    DECRYPT_ERROR,
    FEATURE_NOT_SUPPORTED,
    INVALID_ARGUMENT,
    NO_KEY,
    PROTOCOL_VIOLATION,
    URI_MISMATCH,
    SealError,
)
from .identity import Identity, Public
from .keyring import Key, KeyRing, generate_key
from .scope import Origin, Scope, Scopes
from .sealer import Kind, Opened, Sealer, Subject

__all__ = [
    "CLEARTEXT_REFUSED",
    "DECRYPT_ERROR",
    "FEATURE_NOT_SUPPORTED",
    "INVALID_ARGUMENT",
    "NO_KEY",
    "PROTOCOL_VIOLATION",
    "URI_MISMATCH",
    "Box",
    "Identity",
    "Key",
    "KeyRing",
    "Kind",
    "Opened",
    "Origin",
    "Passthru",
    "Public",
    "Scope",
    "Scopes",
    "SealError",
    "Sealer",
    "Subject",
    "generate_key",
    "key_id",
]
