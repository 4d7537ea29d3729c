"""Parses the body of a `health/HOST` message, from the bus or over HTTP. Every JSON object is a sign of life.

A host must not be fenced over the spelling of a number: ignore a field that can't be read, list it in `unread` and
count it. Before a change, consider what an unreadable field could pretend: an unreadable boot is no new boot of the
host, and an unreadable status neither stops nor fails it.
"""

import json
import math
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from fenced.core.events import Health, HealthStatus
from fenced.model.names import BootId, HostName

REASON_LENGTH_MAX: Final = 500
FAULT_LENGTH_MAX: Final = 200
BOOT_LENGTH_MAX: Final = 128
REPORTER_LENGTH_MAX: Final = 128
SEQUENCE_MAX: Final = 2**63 - 1
SECONDS_MAX: Final = 1e300
PLAIN_SECONDS_MAX: Final = 1e9
PLAIN_BYTES_MAX: Final = 1024
"""A longer body is no usual one; pydantic would list each of ten thousand faults."""
WORKLOADS_MAX: Final = 1_000_000
ROLE_LENGTH_MAX: Final = 253
ROLES_MAX: Final = 64
AFTER: Final = "text after the object"
"""An entry of `unread`: a second object, or noise."""

_AROUND: Final = "\x00 \t\r\n\ufeff"
"""Stripped around the object: white space, a byte order mark, and the zero with which C ends a string."""

_WORSE: Final = {HealthStatus.OK: 0, HealthStatus.STOPPING: 1, HealthStatus.FAILING: 2}
_STATUS: Final = {status.value: status for status in HealthStatus}


class Malformed(Exception):
    """A payload that is not what interface.md#heartbeats says; the text says where, and is short."""


def health(
    payload: bytes, *, host: HostName, received: float, is_retained: bool = False, waited_seconds: float = 0.0
) -> Health:
    """Parse a body. Empty means `ok`; a null field counts as absent. Raises Malformed if it is no JSON object."""
    if not payload:
        return Health(host=host, received=received, is_retained=is_retained, waited_seconds=waited_seconds)
    plain = _plain(payload)
    if plain is not None:
        return Health(
            host=host,
            received=received,
            is_retained=is_retained,
            waited_seconds=waited_seconds,
            boot=BootId(plain["boot"]) if "boot" in plain else None,
            reporter=plain.get("reporter", ""),
            sequence=plain.get("seq"),
            status=_STATUS[plain["status"]] if "status" in plain else HealthStatus.OK,
            interval_seconds=plain.get("interval"),
            workloads=plain.get("workloads"),
            roles=tuple(plain["roles"]) if "roles" in plain else (),
        )
    return _lenient(payload, host=host, received=received, is_retained=is_retained, waited_seconds=waited_seconds)


def _lenient(payload: bytes, *, host: HostName, received: float, is_retained: bool, waited_seconds: float) -> Health:
    """Parse any body, and take from it what can be read. Raises Malformed."""
    body = _Body(payload)
    boot = body.text("boot", BOOT_LENGTH_MAX)
    return Health(
        host=host,
        received=received,
        is_retained=is_retained,
        waited_seconds=waited_seconds,
        boot=BootId(boot) if boot else None,
        reporter=body.text("reporter", REPORTER_LENGTH_MAX) or "",
        sequence=body.whole("seq", SEQUENCE_MAX),
        status=body.status(),
        interval_seconds=body.seconds("interval"),
        workloads=body.whole("workloads", WORKLOADS_MAX),
        roles=body.names("roles"),
        reason=body.reason(),
        unread=tuple(body.unread),
    )


class _Plain(TypedDict, total=False):
    """The body that reporters send all day: known fields, each once and readable."""

    __pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    boot: Annotated[str, Field(min_length=1, max_length=BOOT_LENGTH_MAX)]
    reporter: Annotated[str, Field(max_length=REPORTER_LENGTH_MAX)]
    seq: Annotated[int, Field(ge=0, le=SEQUENCE_MAX)]
    status: Literal["ok", "failing", "stopping"]
    interval: Annotated[float, Field(gt=0, le=PLAIN_SECONDS_MAX)]
    workloads: Annotated[int, Field(ge=0, le=WORKLOADS_MAX)]
    roles: Annotated[list[Annotated[str, Field(max_length=ROLE_LENGTH_MAX)]], Field(max_length=ROLES_MAX)]


_PLAIN: Final = TypeAdapter(_Plain)


def _plain(payload: bytes) -> _Plain | None:
    """Parse a plain body in a tenth of the time. Return None for any other: `_lenient` decides what it means.

    pydantic keeps the last of two values of a key and does not say so. Then the payload has more quotation marks than
    the keys and texts that were kept, as it has with an escaped one.
    """
    if len(payload) > PLAIN_BYTES_MAX:
        return None
    try:
        body = _PLAIN.validate_json(payload)
    except ValidationError:
        return None
    texts = len(body) + ("boot" in body) + ("reporter" in body) + ("status" in body) + len(body.get("roles", ()))
    return body if payload.count(b'"') == 2 * texts else None


class _Members(dict[str, object]):
    """A JSON object with a list of keys that occurred more than once with different values."""

    twice: dict[str, list[object]] | None = None


def given_twice(payload: bytes) -> dict[str, list[object]]:
    """Return the keys of a JSON object with different values, and those values. Raises Malformed."""
    return _object(_text(payload))[0].twice or {}


def _members(pairs: list[tuple[str, object]]) -> _Members:
    members = _Members(pairs)
    if len(members) == len(pairs):
        return members
    seen: dict[str, object] = {}
    twice = {key for key, value in pairs if seen.setdefault(key, value) != value}
    members.twice = {key: [] for key in twice}
    for key, value in pairs:
        if key in twice:
            members.twice[key].append(value)
    return members


def _text(payload: bytes) -> str:
    """Decode. Invalid UTF-8 becomes lone surrogates; another encoding is assumed only if its zero bytes show it."""
    encoding = json.detect_encoding(payload)
    return payload.decode(encoding, errors="surrogateescape" if encoding.startswith("utf-8") else "replace").strip(
        _AROUND
    )


def _object(text: str) -> tuple[_Members, str]:
    """Parse the object at the beginning; return it and the text after it. Raises Malformed."""
    try:
        try:
            members, end = _DECODER.raw_decode(text)
        except json.JSONDecodeError:
            raise
        except ValueError:  # a number with more digits than Python converts
            members, end = _LONG_DECODER.raw_decode(text)
    except (ValueError, RecursionError) as exc:
        raise Malformed(f"no JSON object: {exc}"[:FAULT_LENGTH_MAX]) from exc
    if not isinstance(members, _Members):
        raise Malformed("must be a JSON object")
    return members, text[end:]


def _is_text(value: str) -> bool:
    """Return whether it can be stored and shown. Lone surrogates, also from invalid UTF-8, can't."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _small(digits: str) -> float:
    """Convert a whole number of any length; a long one is above every bound anyway."""
    return int(digits) if len(digits) <= 20 else math.inf


_DECODER: Final = json.JSONDecoder(strict=False, object_pairs_hook=_members)
"""`strict` False: accept a line end inside a string. Dropping the heartbeat for it would make the host look silent."""

_LONG_DECODER: Final = json.JSONDecoder(strict=False, object_pairs_hook=_members, parse_int=_small)


class _Body:
    """The fields of one message, as far as they can be read. `unread`: the others."""

    def __init__(self, payload: bytes) -> None:
        """Raises Malformed."""
        self._members, after = _object(_text(payload))
        self._twice = dict(self._members.twice or {})
        if after.lstrip().startswith("{"):
            self._twice.setdefault("boot", [])  # with two objects it is unknown which boot is the host's
        self.unread: list[str] = [AFTER] if after else []

    def status(self) -> HealthStatus:
        """Return the worst status, if several are given."""
        given = self._twice.get("status", [self._members.get("status")])
        said = [_STATUS[it] for it in given if isinstance(it, str) and it in _STATUS]
        if len(said) < sum(it is not None for it in given):
            self.unread.append("status")
        return max(said, key=_WORSE.__getitem__, default=HealthStatus.OK)

    def text(self, key: str, most: int) -> str | None:
        value = self._value(key)
        if value is None:
            return None
        if isinstance(value, str) and len(value) <= most and _is_text(value):
            return value
        self.unread.append(key)
        return None

    def whole(self, key: str, most: int) -> int | None:
        """Return a whole number, which may be written as a float (12.0)."""
        value = self._value(key)
        if value is None:
            return None
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and 0 <= value <= most
            and value == int(value)
        ):
            return int(value)
        self.unread.append(key)
        return None

    def seconds(self, key: str) -> float | None:
        value = self._value(key)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= SECONDS_MAX:
            return float(value)
        self.unread.append(key)
        return None

    def names(self, key: str) -> tuple[str, ...]:
        """Return those names of a list that can be read."""
        value = self._value(key)
        if value is None:
            return ()
        given = value if isinstance(value, list) else []
        read = [it for it in given if isinstance(it, str) and len(it) <= ROLE_LENGTH_MAX and _is_text(it)][:ROLES_MAX]
        if len(read) < len(given) or not isinstance(value, list):
            self.unread.append(key)
        return tuple(read)

    def reason(self) -> str:
        """Return one printable line, truncated if it is long."""
        value = self._value("reason")
        if value is not None and not isinstance(value, str):
            self.unread.append("reason")
        if not value or not isinstance(value, str):
            return ""
        shown = (sign if sign.isprintable() else " " for sign in value[:REASON_LENGTH_MAX])
        return " ".join("".join(shown).split())

    def _value(self, key: str) -> object:
        """Return None if the field is absent, or unreadable because it occurs twice with different values."""
        if key not in self._twice:
            return self._members.get(key)
        self.unread.append(key)
        return None
