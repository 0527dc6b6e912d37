"""End-to-end encryption of WAMP payloads.

``KeyRing`` and ``Key`` hold keys, ``Box`` and ``Passthru`` seal with them;
``blindfold_seal.autobahn.seal`` makes a session of Autobahn|Python use them.
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
from .keyring import Key, KeyRing, generate_key
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
    "Key",
    "KeyRing",
    "Kind",
    "Opened",
    "Passthru",
    "SealError",
    "Sealer",
    "Subject",
    "generate_key",
    "key_id",
]
