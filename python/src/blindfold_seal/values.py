"""The plaintext of both cryptobox forms: a URI, args and kwargs, as JSON or CBOR."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from dataclasses import dataclass
from typing import Any

import cbor2

from .errors import DECRYPT_ERROR, INVALID_ARGUMENT, SealError

MAX_DEPTH = 100
MIN_INT, MAX_INT = -(2**63), 2**64 - 1
UINT8_ARRAY = 64
"""The CBOR tag (RFC 8746) that some JavaScript encoders put around a Uint8Array."""


@dataclass
class Content:
    """What a payload carries. ``uri`` is None where the plaintext names none."""

    uri: str | None
    args: list[Any] | None
    kwargs: dict[str, Any] | None


def normalize(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Returns a copy made of None, bool, int, float, str, bytes, list and dict alone.

    Dicts are sorted by key, so that the same values give the same bytes.
    """
    if value is None or value is True or value is False or type(value) is float:
        return value
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        if not MIN_INT <= value <= MAX_INT:
            raise SealError(INVALID_ARGUMENT, "value cannot be sealed: an integer is out of range")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if depth == 0:
        raise SealError(INVALID_ARGUMENT, "value cannot be sealed: nested too deeply")
    if isinstance(value, (list, tuple)):
        return [normalize(item, depth - 1) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise SealError(INVALID_ARGUMENT, "value cannot be sealed: a key of a dict is not a string")
        return {_text(key): normalize(value[key], depth - 1) for key in sorted(value, key=lambda k: k.encode("utf8", "surrogatepass"))}
    raise SealError(INVALID_ARGUMENT, f"value cannot be sealed: a {type(value).__name__} has no counterpart in WAMP")


def _text(value: str) -> str:
    try:
        value.encode("utf8")
    except UnicodeEncodeError:
        raise SealError(INVALID_ARGUMENT, "value cannot be sealed: a string is not Unicode text (bytes are bytes)") from None
    return str(value)


# JSON: {"uri":…,"args":…,"kwargs":…}, with binaries as U+0000 and base64.


def to_json(content: Content) -> bytes:
    """The compact JSON that Autobahn|Python's KeyRing writes."""
    value = {
        "uri": normalize(content.uri),
        "args": _json_ready(normalize(content.args)),
        "kwargs": _json_ready(normalize(content.kwargs)),
    }
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf8")


def _json_ready(value: Any) -> Any:
    if isinstance(value, bytes):
        return "\0" + base64.b64encode(value).decode("ascii")
    if isinstance(value, str):
        if value.startswith("\0"):  # the other side would take it for a binary
            raise SealError(INVALID_ARGUMENT, "value cannot be sealed: a string that begins with U+0000 is a binary in JSON")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise SealError(INVALID_ARGUMENT, "value cannot be sealed: NaN and infinities have no JSON")
    elif isinstance(value, list):
        return [_json_ready(item) for item in value]
    elif isinstance(value, dict):
        return {key: _json_ready(item) for key, item in value.items()}
    return value


def strict_json(data: bytes) -> Any:
    """Decodes JSON (RFC 8259) and raises ValueError for what is not: NaN, duplicate
    names, invalid UTF-8, numbers out of range. RecursionError can come, too."""
    return json.loads(data.decode("utf8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_int, parse_float=_float)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("duplicate name")
    return out


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _int(text: str) -> int:
    # An int that has too many digits is not even tried: int() takes quadratic time.
    if len(text) > 21 or not MIN_INT <= (value := int(text)) <= MAX_INT:
        raise ValueError("integer out of range")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("float out of range")
    return value


_NOT_JSON = "payload cannot be decrypted: what is inside is not the JSON of this form"
_NOT_CBOR = "payload cannot be decrypted: what is inside is not the CBOR of this form"


def from_json(data: bytes) -> Content:
    try:
        value = strict_json(data)
    except (ValueError, RecursionError):
        raise SealError(DECRYPT_ERROR, _NOT_JSON) from None
    return _content(value, _from_json, _NOT_JSON)


def _from_json(value: Any, depth: int) -> Any:
    if depth < 0:
        raise SealError(DECRYPT_ERROR, _NOT_JSON)
    if isinstance(value, str):
        return _binary_or_text(value)
    if isinstance(value, list):
        return [_from_json(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {_plain_text(key, _NOT_JSON): _from_json(item, depth - 1) for key, item in value.items()}
    return value


def _binary_or_text(value: str) -> str | bytes:
    if not value.startswith("\0"):
        return _plain_text(value, _NOT_JSON)
    try:
        return base64.b64decode(value[1:].encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise SealError(DECRYPT_ERROR, "payload cannot be decrypted: a binary inside is not base64") from None


def _plain_text(value: Any, problem: str) -> str:
    try:
        value.encode("utf8")
    except (UnicodeEncodeError, AttributeError):
        raise SealError(DECRYPT_ERROR, problem) from None
    return str(value)


def _content(value: Any, convert: Any, problem: str) -> Content:
    if not isinstance(value, dict):
        raise SealError(DECRYPT_ERROR, problem)
    uri, args, kwargs = value.get("uri"), value.get("args"), value.get("kwargs")
    if not (
        ("uri" not in value or isinstance(uri, str))
        and (args is None or isinstance(args, list))
        and (kwargs is None or isinstance(kwargs, dict))
    ):
        raise SealError(DECRYPT_ERROR, "payload cannot be decrypted: wrong type of a member inside")
    return Content(uri, convert(args, MAX_DEPTH), convert(kwargs, MAX_DEPTH))


# CBOR: the same as a map, deterministic (RFC 8949, 4.2.1).


def to_cbor(content: Content) -> bytes:
    value = {"uri": normalize(content.uri), "args": normalize(content.args) or [], "kwargs": normalize(content.kwargs) or {}}
    return bytes(cbor2.dumps(value, canonical=True))


def from_cbor(data: bytes) -> Content:
    return _content(one_cbor(data, _NOT_CBOR), _from_cbor, _NOT_CBOR)


def one_cbor(data: bytes, problem: str) -> Any:
    """Decodes data that is one CBOR item and nothing else."""
    source = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(source).decode()
        if source.tell() != len(data):
            raise ValueError("more than one item")
    except Exception:  # the library raises of many kinds, among them RecursionError
        raise SealError(DECRYPT_ERROR, problem) from None
    return value


def _from_cbor(value: Any, depth: int) -> Any:
    if depth < 0:
        raise SealError(DECRYPT_ERROR, _NOT_CBOR)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        if not MIN_INT <= value <= MAX_INT:
            raise SealError(DECRYPT_ERROR, "payload cannot be decrypted: a number inside is out of range")
        return value
    if isinstance(value, str):
        return _plain_text(value, _NOT_CBOR)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, list):
        return [_from_cbor(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {_plain_text(key, _NOT_CBOR): _from_cbor(item, depth - 1) for key, item in value.items()}
    if isinstance(value, cbor2.CBORTag) and value.tag == UINT8_ARRAY and isinstance(value.value, bytes):
        return value.value
    raise SealError(DECRYPT_ERROR, _NOT_CBOR)


def from_cbor_value(value: Any) -> Any:
    """What a decoded value is to an application; SealError if it is of another type."""
    return _from_cbor(value, MAX_DEPTH)
