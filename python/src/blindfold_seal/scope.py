"""Sealed scopes, as a member sees them: docs/sealed-scopes.md.

    identity = Identity.load("alice.identity")
    chat = Scope(identity, Public.parse(OWNER), "realm1", "com.app.chat.", folder="state")
    seal(session, Scopes(chat))
    await follow(session, chat)   # when the session has joined
"""

from __future__ import annotations

import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import cbor2

from .errors import INVALID_ARGUMENT, SealError
from .identity import Identity, Public, to_base64url, verify
from .keyring import read_own, write_own
from .manifest import MAX_BUNDLE, TOPIC_PREFIX, Manifest, array, is_bytes, malformed, open_bundle, scope_error, scope_id
from .message import (
    ATTRIBUTES,
    BOUND,
    CALLED,
    CALLED_INPUTS_FOLLOW,
    EVENT,
    EVENT_TO_SOME,
    HEAD,
    INPUT,
    LAST_INPUT,
    MIN_PAYLOAD,
    NO_CALL,
    PROGRESS,
    STREAM,
    Body,
    Plaintext,
    decrypt,
    encrypt,
    kinds,
    leaf,
    right,
    sha256,
    signed,
)
from .sealer import Attributes, Kind, Opened, Subject
from .window import MAX_STREAMS, Arrival, State, Windows

MAX_EPOCHS = 16
BUNDLE_ATTRIBUTES = {"ppt_scheme": "x_blindfold_1", "ppt_serializer": "cbor"}


@dataclass(frozen=True)
class Origin:
    """What the seal of a payload tells of it."""

    sender: str
    """Who sealed it: the name of the receiver's contact, or else the owner's word."""
    key: str
    """The sender's key, as base64url."""
    known: bool
    """Whether the name is one of the receiver's own contacts."""
    time: datetime
    """When it was sealed, by the sender's clock."""
    missing: int
    """How many messages of the sender on this URI are missing directly before it."""
    first: bool
    """It is the first that this receiver has of the sender on this URI: what is missing
    may be from before it began."""
    late: bool
    """Later ones came before it, and reported it as missing."""
    stored: bool
    """It was retained, by the router's word: it may be old, or a repetition."""


@dataclass
class _Call:
    """What belongs to one call, at either end."""

    scope: Scope
    leaf: bytes
    peer: bytes | None = None  # who called, at the callee; who answered, at the caller
    inputs: int = 1  # sealed or accepted, with the first
    answers: int = 0  # progressive ones, sealed or accepted

    def next(self, kind: int) -> int:
        if kind in (INPUT, LAST_INPUT):
            self.inputs += 1
            return self.inputs - 1
        if kind == PROGRESS:
            self.answers += 1
            return self.answers - 1
        return self.answers

    def accept(self, body: Body, sender: bytes) -> None:
        is_input = body.kind in (INPUT, LAST_INPUT)
        expected = self.inputs if is_input else self.answers
        if self.peer not in (None, sender):
            raise scope_error("wrong_sender", "another member than the one that belongs to the call")
        if body.index < expected:
            raise scope_error("repeated", "was accepted before")
        if body.index > expected:
            raise scope_error("missing", "something of this call is missing before it")
        self.peer = sender
        if is_input:
            self.inputs += 1
        elif body.kind == PROGRESS:
            self.answers += 1


@dataclass
class _OwnStream:
    id: bytes
    next: int
    used: int
    to_self: bool = False


class Scope:
    """A scope that one is a member of.

    With a folder, what is known of it is kept there in the files that Blindfold's other
    programs use, and a bundle older than the newest one is refused after a restart, too.
    Without one that is so only as long as the program runs.
    """

    def __init__(
        self,
        identity: Identity,
        owner: Public | bytes,
        realm: str,
        prefix: str,
        *,
        folder: str | os.PathLike[str] | None = None,
        contacts: Iterable[Public] = (),
        window: float = 300.0,
        forget: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """contacts are the people whose names are one's own word. window, in seconds,
        bounds clocks that differ and delay. forget goes on where the state file is
        lost: an older list of members would be believed then."""
        self.identity = identity
        self.owner = owner.key if isinstance(owner, Public) else owner
        self.realm, self.prefix = realm, prefix
        self.id = scope_id(self.owner, realm, prefix)
        self.topic = TOPIC_PREFIX + self.id.hex()
        self._names = {c.key: c.name for c in contacts}
        self._window = int(window * 1000)
        self._clock = now
        self._manifests: list[Manifest] = []  # newest first
        self._epoch = 0  # the highest ever accepted
        self._windows = Windows(self._now())
        self._streams: dict[tuple[int, str], _OwnStream] = {}
        self._mine: dict[bytes, _OwnStream] = {}
        self._keys: OrderedDict[tuple[bytes, bytes], bytes] = OrderedDict()
        self._verified: OrderedDict[tuple[bytes, bytes, bytes], None] = OrderedDict()
        self._listeners: list[Callable[[Manifest], None]] = []
        self._folder = None if folder is None else Path(folder)
        self._lock: IO[bytes] | None = None
        if self._folder is not None:
            self._restore(self._folder, forget)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    @property
    def manifest(self) -> Manifest | None:
        """The newest list of members, None before there is any."""
        return self._manifests[0] if self._manifests else None

    def on_accept(self, listener: Callable[[Manifest], None]) -> None:
        """Has listener called with each new list of members."""
        self._listeners.append(listener)

    # Bundles.

    def accept(self, bundle: bytes) -> bool:
        """Takes a list of members that the owner has sent, and reports whether it is
        new. SealError says why it is not accepted; nothing has changed then."""
        newest, now = self.manifest, self._now()
        m = open_bundle(bundle, self.owner, self.id, max(self._epoch, newest.epoch if newest else 0), self.identity)
        if (m.owner, m.realm, m.prefix) != (self.owner, self.realm, self.prefix):
            raise scope_error("wrong_scope", "the list of members is of another scope")
        forked = scope_error("forked", "there are two histories of this scope")
        if (m.epoch == 1) != (m.previous == b"") or newest and m.epoch == newest.epoch + 1 and m.previous != newest.id:
            raise forked
        same = newest is not None and m.epoch == newest.epoch
        if same and newest is not None and m.id != newest.id:
            raise forked
        if m.index(self.identity.public.key) is None:
            raise scope_error("not_member", "this identity is not in the list of members")
        if now < m.not_before - self._window:
            raise scope_error("not_yet", "the list of members is not in force yet")
        if now > m.not_after:
            raise scope_error("expired", "the list of members has expired")
        if same:
            return False
        self._manifests = [m, *self._manifests][:MAX_EPOCHS]
        self._epoch = m.epoch
        if self._folder is not None:
            self._save_scope(self._folder)
            self._save_state(clean=False)
        for listener in self._listeners:
            listener(m)
        return True

    # Sealing.

    def seal(self, subject: Subject, args: list[Any] | None, kwargs: dict[str, Any] | None) -> tuple[dict[str, str], bytes]:
        call = self._call(subject)
        kind = (EVENT_TO_SOME if subject.listed else EVENT) if subject.kind is Kind.EVENT else kinds(subject, call is not None)[0]
        m, now = self.manifest, self._now()
        if m is None:
            raise scope_error("unknown_epoch", "no list of members was fetched yet")
        if now < m.not_before - self._window:
            raise scope_error("not_yet", "the list of members is not in force yet")
        if now > m.not_after:
            raise scope_error("expired", "the list of members has expired")
        sender = m.index(self.identity.public.key)
        assert sender is not None  # accept checks it
        if not m.members[sender].rights & right(kind):
            raise scope_error("no_right", "this identity may not do this in the scope")
        uri = sha256(subject.uri.encode("utf8"))
        at = call.leaf if call else NO_CALL
        # What can't be encoded must not use up an index or a number.
        Body(kind, sender, 0, uri[:4], args or [], kwargs or {}, 0, at[:4]).encode()
        index = call.next(kind) if call else 0
        body = Body(kind, sender, max(now - m.not_before, 0), uri[:4], args or [], kwargs or {}, index, at[:4]).encode()
        own = self._own(kind, subject, now)
        number, own.next = own.next, own.next + 1
        digest = leaf(m.id, own.id, number, at, uri, body)
        key = self._key(m, own.id)
        self._remember_key(m, own.id, key)
        payload = encrypt(key, m.id, own.id, number, self.identity.sign(signed(digest)), b"\0", body)
        if subject.kind is Kind.CALL and call is None:
            subject.exchange["scope"] = _Call(self, digest)
        return {**ATTRIBUTES, "ppt_keyid": m.key_id}, payload

    def _call(self, subject: Subject) -> _Call | None:
        if subject.kind is Kind.EVENT:
            return None
        call = subject.exchange.get("scope")
        if call is None and subject.kind is not Kind.CALL:
            raise scope_error("wrong_call", "the call was not sealed in a scope")
        if call is not None and call.scope is not self:
            raise scope_error("wrong_scope", "the call belongs to another scope")
        assert call is None or isinstance(call, _Call)
        return call

    def _own(self, kind: int, subject: Subject, now: int) -> _OwnStream:
        """The stream to send in."""
        key = (BOUND, "") if kind >= BOUND else (CALLED if kind == CALLED_INPUTS_FOLLOW else kind, subject.uri)
        own = self._streams.get(key)
        if own is None or own.next >= 1 << 32:
            if own is None and len(self._streams) >= MAX_STREAMS:
                # Streams may be left at any time; which were one's own is known as long
                # as the router could bring back what was sent.
                self._streams.clear()
                self._mine = {s: o for s, o in self._mine.items() if now - o.used <= 2 * self._window}
            own = self._streams[key] = _OwnStream(secrets.token_bytes(STREAM), 0, now)
            self._mine[own.id] = own
        own.used = now
        own.to_self = own.to_self or subject.to_self
        return own

    def _key(self, m: Manifest, stream: bytes) -> bytes:
        known = self._keys.get((m.id, stream))
        return m.message_key(stream) if known is None else known

    def _remember_key(self, m: Manifest, stream: bytes, key: bytes) -> None:
        self._keys[m.id, stream] = key
        if len(self._keys) > MAX_STREAMS:
            self._keys.popitem(last=False)

    # Opening: the numbers are those of the checks in "Opening a message".

    def open(self, subject: Subject, attributes: Attributes, payload: bytes) -> Opened:
        if any(attributes.get(k) != v for k, v in ATTRIBUTES.items()) or len(payload) < MIN_PAYLOAD:  # 2
            raise malformed("not a message of a scope")
        call, now, live = self._call(subject), self._now(), not subject.retained
        m, plain = self._decrypt(attributes.get("ppt_keyid"), payload, live, now)  # 3 to 6
        body = Body.parse(plain.body)  # 7
        if body.sender >= len(m.members):  # 8
            raise scope_error("unknown_sender", "no such member")
        member = m.members[body.sender]
        stream, number = payload[:STREAM], int.from_bytes(payload[STREAM:HEAD], "big")
        fits = body.kind in kinds(subject, call is not None)
        own = self._mine.get(stream)
        if own is not None and (not fits or subject.kind is Kind.EVENT and not own.to_self):  # 9
            raise scope_error("reflected", "one's own message came back")
        if not fits:  # 10
            raise scope_error("wrong_kind", "it was sealed as another kind of message")
        uri, at = sha256(subject.uri.encode("utf8")), call.leaf if call else NO_CALL
        if body.hint != uri[:4]:  # 11
            raise scope_error("wrong_uri", "it was sealed for another topic, procedure or error")
        if body.kind >= BOUND and body.call_hint != at[:4]:  # 12
            raise scope_error("wrong_call", "it belongs to another call")
        digest = leaf(m.id, stream, number, at, uri, plain.body)
        if not self._genuine(member.key, plain, plain.root(digest)):  # 13
            raise scope_error("bad_signature", "it is not signed by the member that it names")
        rights, sealed_at = member.rights, m.not_before + body.time
        if live:
            newest = self._manifests[0]
            index = newest.index(member.key)
            if index is None:  # 14
                raise scope_error("removed", "it was sealed by someone who is no member any more")
            rights = newest.members[index].rights
        if not rights & right(body.kind):
            raise scope_error("no_right", "the sender may not do this")
        if live and sealed_at < now - self._window:  # 15
            raise scope_error("too_old", "it was held back, or a clock is off")
        if live and sealed_at > now + self._window:
            raise scope_error("too_new", "a clock is off")
        arrival = Arrival()
        if body.kind >= BOUND:  # 17, 18
            assert call is not None
            call.accept(body, member.key)
        elif live:  # 16
            arrival = self._windows.accept(member.key, stream, number, sealed_at)
        if subject.kind is Kind.CALL and call is None:
            subject.exchange["scope"] = _Call(self, digest, member.key)
        known = self._names.get(member.key)
        when = datetime.fromtimestamp(min(sealed_at, 253402300799999) / 1000, timezone.utc)
        origin = Origin(known or member.name, to_base64url(member.key), known is not None, when, arrival.missing, arrival.first, arrival.late, not live)
        return Opened(body.args, body.kwargs, origin)

    def _decrypt(self, key_id: str | None, payload: bytes, live: bool, now: int) -> tuple[Manifest, Plaintext]:
        problem = scope_error("unknown_epoch", "it was sealed for a list of members that is not known here")
        for m in self._manifests:
            if m.key_id != key_id:
                continue
            try:
                if live:
                    self._check_in_force(m, now)
                stream = payload[:STREAM]
                key = self._key(m, stream)
                plain = decrypt(key, m.id, payload)
                self._remember_key(m, stream, key)
                return m, plain
            except SealError as e:
                problem = e
        raise problem

    def _check_in_force(self, m: Manifest, now: int) -> None:
        newest = self._manifests[0]
        before = len(self._manifests) > 1 and m is self._manifests[1] and now <= newest.not_before + newest.grace
        if m is not newest and not before:
            raise scope_error("old_epoch", "it was sealed for a list of members that is over")
        if now > m.not_after + self._window:
            raise scope_error("expired", "the list of members has expired")

    def _genuine(self, key: bytes, plain: Plaintext, root: bytes) -> bool:
        if not plain.siblings:
            return verify(key, signed(root), plain.signature)
        known = (key, root, plain.signature)
        if known not in self._verified:
            if not verify(key, signed(root), plain.signature):
                return False
            self._verified[known] = None
            if len(self._verified) > 1024:
                self._verified.popitem(last=False)
        return True

    # Files: "State".

    def _restore(self, folder: Path, forget: bool) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._scope_file, self._state_file = folder / f"{self.id.hex()}.scope", folder / f"{self.id.hex()}.state"
        joined = self._scope_file.exists()
        if joined:
            self._manifests = self._parse_scope(read_own(self._scope_file))
        self._lock = _lock(folder / f"{self.id.hex()}.lock")
        try:
            self._restore_state(joined, forget)
        except BaseException:
            if self._lock is not None:
                self._lock.close()
            raise
        self._save_state(clean=False)

    def _restore_state(self, joined: bool, forget: bool) -> None:
        try:
            state = State.parse(read_own(self._state_file))
            if state.scope != self.id:
                raise scope_error("state_lost", "the state file is of another scope")
        except (FileNotFoundError, SealError) as e:
            if (joined or isinstance(e, SealError)) and not forget:
                raise scope_error("state_lost", "the state file is lost or unreadable; forget=True goes on without it") from None
            return
        self._epoch = state.epoch
        if self._lock is not None and state.clean:
            self._windows = state.windows

    def _parse_scope(self, data: bytes) -> list[Manifest]:
        what = "the scope file does not parse"
        version, owner, realm, prefix, self_key, raws = array(data, 6, what)
        if version != 1 or (owner, realm, prefix) != (self.owner, self.realm, self.prefix) or self_key != self.identity.public.key:
            raise malformed("the scope file is of another scope or identity")
        if not isinstance(raws, list) or len(raws) > MAX_EPOCHS or not all(map(is_bytes, raws)):
            raise malformed(what)
        manifests = [Manifest.parse(raw) for raw in raws]
        for m in manifests:
            if (m.owner, m.realm, m.prefix) != (self.owner, self.realm, self.prefix) or m.index(self.identity.public.key) is None:
                raise malformed(what)
        if any(a.epoch <= b.epoch for a, b in zip(manifests, manifests[1:], strict=False)):
            raise malformed(what)
        return manifests

    def _save_scope(self, folder: Path) -> None:
        raws = [m.raw for m in self._manifests]
        content = cbor2.dumps([1, self.owner, self.realm, self.prefix, self.identity.public.key, raws])
        write_own(self._scope_file, content)

    def _save_state(self, clean: bool) -> None:
        if self._lock is not None:
            write_own(self._state_file, State(self.id, self._epoch, clean, self._windows).encode())

    def close(self) -> None:
        """Writes the state, so that what comes later than this program's end is not taken
        for a repetition by the next."""
        if self._lock is not None:
            self._save_state(clean=True)
            self._lock.close()
            self._lock = None


def _lock(path: Path) -> IO[bytes] | None:
    """The file, locked for this program until it is closed, or None if another has it."""
    f = open(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "r+b")
    try:
        import fcntl

        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass  # not on Windows
    except BlockingIOError:
        f.close()
        return None
    return f


class Scopes:
    """Seals and opens what is in scopes; where several fit, the longest prefix wins."""

    def __init__(self, *scopes: Scope) -> None:
        if len({(s.realm, s.prefix) for s in scopes}) != len(scopes):
            raise ValueError("two scopes have the same prefix")
        self._scopes = sorted(scopes, key=lambda s: -len(s.prefix))

    def _find(self, subject: Subject) -> Scope | None:
        call = subject.exchange.get("scope")
        if call is not None:
            return call.scope  # type: ignore[no-any-return]
        if subject.kind is Kind.ERROR:
            return None
        return next((s for s in self._scopes if subject.uri.startswith(s.prefix) and s.realm == subject.realm), None)

    def covers(self, subject: Subject) -> bool:
        return _is_bundle(subject) or self._find(subject) is not None

    def speaks(self, attributes: Attributes) -> bool:
        return attributes.get("ppt_scheme") == ATTRIBUTES["ppt_scheme"]

    def seal(self, subject: Subject, args: list[Any] | None, kwargs: dict[str, Any] | None) -> tuple[dict[str, str], bytes]:
        if _is_bundle(subject):
            if kwargs or not args or len(args) != 1 or not isinstance(args[0], bytes):
                raise SealError(INVALID_ARGUMENT, "a scope's topic takes a bundle")
            return dict(BUNDLE_ATTRIBUTES), args[0]
        return self._scope(subject).seal(subject, args, kwargs)

    def open(self, subject: Subject, attributes: Attributes, payload: bytes) -> Opened:
        if _is_bundle(subject):
            if dict(attributes) != BUNDLE_ATTRIBUTES or len(payload) > MAX_BUNDLE:
                raise malformed("not a bundle")
            return Opened([payload], None)
        return self._scope(subject).open(subject, attributes, payload)

    def _scope(self, subject: Subject) -> Scope:
        scope = self._find(subject)
        if scope is None:
            raise scope_error("no_scope", "no scope for this URI")
        return scope


def _is_bundle(subject: Subject) -> bool:
    return subject.kind is Kind.EVENT and subject.uri.startswith(TOPIC_PREFIX)
