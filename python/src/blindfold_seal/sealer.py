"""What seals and opens payloads, and what it is told about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol


class Kind(Enum):
    """What a payload is part of."""

    EVENT = "event"
    CALL = "call"
    RESULT = "result"
    PROGRESS = "progress"
    ERROR = "error"


@dataclass(frozen=True)
class Subject:
    """What a payload belongs to."""

    uri: str
    """The topic; the procedure of a call and its results; the error URI of an error."""
    kind: Kind
    originator: bool
    """Whether this side publishes or calls."""
    realm: str = ""
    more: bool = False
    """Whether a call has further arguments to come (progressive call invocations)."""
    listed: bool = False
    """Whether lists of receivers (exclude, eligible, …) keep an event from some subscribers."""
    to_self: bool = False
    """Whether the router brings an event to its publisher, too (exclude_me)."""
    retained: bool = False
    """Whether the router says that an event was kept, so that it may be old."""
    exchange: dict[str, Any] = field(default_factory=dict)
    """Belongs to one call: what a sealer puts here at the call or invocation is here
    again at its results and error."""


@dataclass(frozen=True)
class Opened:
    """What a payload carried."""

    args: list[Any] | None
    kwargs: dict[str, Any] | None
    seal: Any = None
    """What the sealer tells of the seal, such as who made it; None if there is nothing to tell."""


Attributes = Mapping[str, str]
"""The enc_* or ppt_* attributes of a message, by name."""


class Sealer(Protocol):
    """Raises SealError where it can't seal or open."""

    def covers(self, subject: Subject) -> bool:
        """Whether such payloads have to be sealed by this sealer."""

    def speaks(self, attributes: Attributes) -> bool:
        """Whether this sealer opens payloads that are declared so."""

    def seal(self, subject: Subject, args: list[Any] | None, kwargs: dict[str, Any] | None) -> tuple[dict[str, str], bytes]:
        """The attributes to send, and the sealed payload."""

    def open(self, subject: Subject, attributes: Attributes, payload: bytes) -> Opened:
        """What a payload carries."""
