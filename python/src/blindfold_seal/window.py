"""What a receiver remembers of streams, and its file: docs/sealed-scopes.md, "Window
of a stream" and "State"."""

from __future__ import annotations

from dataclasses import dataclass, field

import cbor2

from .errors import SealError
from .manifest import array, is_bytes, is_uint, scope_error

SIZE = 1024
MAX_STREAMS = 4096


@dataclass
class Window:
    highest: int
    accepted: int  # bit i is number highest - i
    latest: int  # time of a message, milliseconds


@dataclass(frozen=True)
class Arrival:
    """What the window says of a message that was accepted."""

    missing: int = 0
    first: bool = False
    late: bool = False


@dataclass
class Windows:
    floor: int
    streams: dict[tuple[bytes, bytes], Window] = field(default_factory=dict)

    def accept(self, key: bytes, stream: bytes, number: int, time: int) -> Arrival:
        """Takes a number of a stream of the sender with that key."""
        window = self.streams.get((key, stream))
        if window is None:
            if time <= self.floor:
                raise scope_error("too_old", "it could be a repetition, for nothing is remembered of its time")
            self.streams[key, stream] = Window(number, 1, time)
            self._shrink()
            return Arrival(missing=number, first=True)
        behind = window.highest - number
        if behind < 0:
            arrival = Arrival(missing=-behind - 1)
            window.accepted = (window.accepted << min(-behind, SIZE) | 1) & ((1 << SIZE) - 1)
            window.highest = number
        elif behind >= SIZE:
            raise scope_error("reordered", f"more than {SIZE} behind")
        elif window.accepted >> behind & 1:
            raise scope_error("repeated", "was accepted before")
        else:
            arrival = Arrival(late=True)
            window.accepted |= 1 << behind
        window.latest = max(window.latest, time)
        return arrival

    def _shrink(self) -> None:
        """Forgets the oldest stream if there are too many. What was sealed no later than
        its messages could then be a repetition."""
        if len(self.streams) > MAX_STREAMS:
            oldest = min(self.streams, key=lambda k: (self.streams[k].latest, k[1]))
            self.floor = max(self.floor, self.streams.pop(oldest).latest)


@dataclass
class State:
    scope: bytes
    epoch: int
    clean: bool
    windows: Windows

    def encode(self) -> bytes:
        streams = [
            [key, stream, w.highest, w.accepted.to_bytes(SIZE // 8, "little"), w.latest]
            for (key, stream), w in sorted(self.windows.streams.items())
        ]
        return bytes(cbor2.dumps([1, self.scope, self.epoch, self.clean, self.windows.floor, streams]))

    @classmethod
    def parse(cls, data: bytes) -> State:
        lost = scope_error("state_lost", "the state file does not parse")
        try:
            version, scope, epoch, clean, floor, streams = array(data, 6, "the state file")
        except SealError:
            raise lost from None
        if not (version == 1 and is_uint(version) and is_bytes(scope, 16) and is_uint(epoch) and isinstance(clean, bool) and is_uint(floor)):
            raise lost
        windows = Windows(floor)
        if not isinstance(streams, list) or len(streams) > MAX_STREAMS:
            raise lost
        for entry in streams:
            if not isinstance(entry, list) or len(entry) != 5:
                raise lost
            key, stream, highest, accepted, latest = entry
            if not (is_bytes(key, 32) and is_bytes(stream, 12) and is_uint(highest) and is_bytes(accepted, SIZE // 8) and is_uint(latest)):
                raise lost
            if highest >= 1 << 32 or (key, stream) in windows.streams:
                raise lost
            bits = int.from_bytes(accepted, "little") & ((1 << min(highest + 1, SIZE)) - 1)
            windows.streams[key, stream] = Window(highest, bits, latest)
        return cls(scope, epoch, clean, windows)


