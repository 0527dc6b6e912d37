"""The error that everything here raises, and the WAMP error URIs that name its kinds.

The same URIs are used by the Go client and by @blindfold/seal.
"""

from __future__ import annotations

NO_KEY = "wamp.error.no_payload_codec"
"""No key is known for the URI, or the private half of this side is missing."""
DECRYPT_ERROR = "wamp.error.encryption.decrypt_error"
"""No key of the URI opens the payload (a wrong key), or it was changed on the way."""
URI_MISMATCH = "wamp.error.encryption.trusted_uri_mismatch"
"""The payload is genuine and was sealed for another URI."""
CLEARTEXT_REFUSED = "blindfold.error.cleartext_refused"
"""A clear payload arrived on a URI that is not declared as clear."""
INVALID_ARGUMENT = "wamp.error.invalid_argument"
"""A value has no counterpart in the sealed form. Nothing was sent."""
FEATURE_NOT_SUPPORTED = "wamp.error.feature_not_supported"
"""The router does not announce the form of the sealed payload. Nothing was sent."""
PROTOCOL_VIOLATION = "wamp.error.protocol_violation"
"""The router named a URI that was not asked for."""


class SealError(Exception):
    """Why a payload was not sealed, and so not sent, or not opened, and so not handed on.

    Its text never repeats what a peer sent, nor any part of a key or a payload.
    """

    def __init__(self, error: str, text: str, uri: str | None = None) -> None:
        super().__init__(error, text, uri)
        self.error = error
        """The WAMP error URI of this kind of failure."""
        self.text = text
        self.uri = uri
        """The topic, procedure or error URI that the payload belongs to, where it is known."""

    def at(self, uri: str) -> SealError:
        """Names the URI, if none is named."""
        if self.uri is None:
            self.uri = uri
            self.args = (self.error, self.text, uri)
        return self

    def __str__(self) -> str:
        where = f" ({self.uri})" if self.uri else ""
        return f"{self.error}: {self.text}{where}"
