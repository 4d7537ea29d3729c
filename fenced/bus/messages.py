"""Parses the payloads of incoming messages into bus events (interface.md#bus); heartbeats are in `ports.health`.

It also builds the orders to reporters. It does not know which hosts exist. A malformed message is rejected as a whole;
an overlong reason is cut.
"""

import math
from collections.abc import Collection
from typing import Annotated, Final, Literal, NotRequired, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from fenced.bus.topics import Topics, is_level
from fenced.model.moments import parse_rfc3339
from fenced.model.names import HostName, Token
from fenced.model.power import State
from fenced.model.text import claimed, printable
from fenced.ports.bus import BusRequest, Evidence, Message, Presence, ShutdownOrder, StateSeen, WakeRequest
from fenced.ports.health import (
    BOOT_LENGTH_MAX,
    FAULT_LENGTH_MAX,
    REASON_LENGTH_MAX,
    SEQUENCE_MAX,
    Malformed,
    given_twice,
)

CORRELATION_BYTES_MAX: Final = 1024
WOKEN_MAX: Final = 10_000
"""Hosts in one request to wake some."""
WITHIN_SECONDS_MAX: Final = 600.0
"""An order that a host could obey for longer is a mistake; the reporter refuses it, too."""
TTL_SECONDS_MAX: Final = 86400.0
"""A longer `ttl` of evidence is cut to this: refusing it would end what it holds, and a source may die at any time."""

_STRICT: Final = ConfigDict(strict=True, allow_inf_nan=False)
_Name = Annotated[str, Field(max_length=253)]
_Token = Annotated[str, Field(pattern=r"^[0-9]{1,18}-[0-9]{1,18}$")]
"""EPOCH-SEQUENCE; both fit into 64 bits."""
_T = TypeVar("_T")


class _EvidenceBody(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    kind: Annotated[str, Field(min_length=1, max_length=64)]
    alive: bool
    ttl: Annotated[float, Field(gt=0)]


class _RequestBody(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]  # as above

    id: Annotated[str, Field(min_length=1, max_length=128)]
    action: Literal["fence", "off", "on", "restart", "cancel", "confirm_off", "maintenance_on", "maintenance_off"]
    reason: str
    by: _Name
    at: str | float


class _WakeBody(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]  # as above

    id: Annotated[str, Field(min_length=1, max_length=128)]
    action: Literal["wake"]
    cluster: Annotated[str, Field(min_length=1, max_length=253)]
    hosts: NotRequired[Annotated[int, Field(ge=1, le=WOKEN_MAX)]]
    reason: str
    by: _Name
    at: str | float


class _StateBody(TypedDict):
    """The part of a state that matters here. A missing `rev`: an older program wrote it."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]  # as above

    state: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[a-z_]+$")]
    token: NotRequired[_Token | None]
    rev: NotRequired[_Token | Literal[""] | None]
    proof: NotRequired[Annotated[str, Field(max_length=64)] | None]
    controller: NotRequired[_Name]
    operation: NotRequired[Annotated[str, Field(max_length=64)] | None]


class _CommandBody(TypedDict):
    """`within`: seconds. Every field is required."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]  # as above

    id: Annotated[str, Field(min_length=1, max_length=128)]
    token: _Token
    boot: Annotated[str, Field(min_length=1, max_length=BOOT_LENGTH_MAX)]
    seq: Annotated[int, Field(ge=0, le=SEQUENCE_MAX)]
    within: Annotated[float, Field(gt=0, le=WITHIN_SECONDS_MAX)]
    do: Literal["shutdown"]
    reason: Annotated[str, Field(max_length=REASON_LENGTH_MAX)]


_COMMAND: Final = TypeAdapter(_CommandBody)
_EVIDENCE: Final = TypeAdapter(_EvidenceBody)
_REQUEST: Final = TypeAdapter(_RequestBody)
_STATE: Final = TypeAdapter(_StateBody)
_WAKE: Final = TypeAdapter(_WakeBody)


def presence(payload: bytes, *, host: HostName, received: float, is_retained: bool) -> Presence:
    """Raises Malformed unless the payload is `online` or `offline`."""
    if payload not in (b"online", b"offline"):
        raise Malformed("the payload must be online or offline")
    return Presence(host=host, received=received, is_retained=is_retained, is_online=payload == b"online")


def evidence(payload: bytes, *, host: HostName, source: str, received: float, is_retained: bool) -> Evidence:
    """If `alive` occurs twice with different values, the host counts as alive; a `ttl` that is too long is cut.

    Raises Malformed, also for a `ttl` that is not above 0: only `alive: false` takes evidence back.
    """
    if not is_level(source):
        raise Malformed("source: must be a printable name without / + #")
    body = _checked(_EVIDENCE, payload)
    return Evidence(
        host=host,
        source=source,
        received=received,
        is_retained=is_retained,
        evidence_kind=body["kind"],
        is_alive=body["alive"] or True in given_twice(payload).get("alive", ()),
        ttl_seconds=min(body["ttl"], TTL_SECONDS_MAX),
        unread=("ttl",) if body["ttl"] > TTL_SECONDS_MAX else (),
    )


def state(payload: bytes, *, host: HostName, received: float, is_retained: bool) -> StateSeen:
    """Parse a host's state, of any controller and any version of the program. Empty: the topic was cleared.

    Raises Malformed.
    """
    if not payload:
        return StateSeen(
            host=host, received=received, is_retained=is_retained, state="", is_proven=False, token=None, rev=None,
            controller="",
        )  # fmt: skip
    body = _checked(_STATE, payload)
    return StateSeen(
        host=host,
        received=received,
        is_retained=is_retained,
        state=body["state"],
        is_proven=body["state"] == State.FENCED.value or bool(body.get("proof")),
        token=_token(body.get("token")),
        rev=_token(body.get("rev")),
        controller=body.get("controller", ""),
        operation=body.get("operation") or "",
    )


def _token(text: str | None) -> Token | None:
    return Token.parse(text) if text else None


def request(
    payload: bytes,
    *,
    host: HostName,
    received: float,
    is_retained: bool,
    topics: Topics,
    reply_topic: str | None,
    correlation: bytes | None,
    ahead_seconds: float = 0.0,
) -> BusRequest:
    """`at`: an RFC 3339 time with its offset, or seconds since the epoch, on the requester's wall clock.
    `reply_topic`: the MQTT 5 response topic. `ahead_seconds`: how far the steady clock is ahead of the wall clock now.

    Raises Malformed, also for a response topic on which an answer could be mistaken for an announcement.
    """
    body = _checked(_REQUEST, payload)
    _check_request(payload, body["id"], body.keys(), topics, reply_topic, correlation)
    return BusRequest(
        host=host,
        received=received,
        is_retained=is_retained,
        id=body["id"],
        action=body["action"],
        reason=printable(body["reason"][:REASON_LENGTH_MAX]),
        by=claimed(body["by"]),
        sent_at=_epoch(body["at"]) + ahead_seconds,
        reply_topic=reply_topic,
        correlation=correlation,
    )


def command(topics: Topics, host: HostName, order: ShutdownOrder) -> Message:
    """Return an order as a message that is not retained and expires when nobody may obey it any more.

    A reporter that speaks MQTT 3.1.1 gets no expiry, and checks `within` itself as always. Raises ValueError for an
    order that is none, such as one without time left.
    """
    body = _COMMAND.validate_python(
        {
            "id": order.id,
            "token": str(order.token),
            "boot": order.boot,
            "seq": order.seq,
            "within": order.within_seconds,
            "do": "shutdown",
            "reason": printable(order.reason[:REASON_LENGTH_MAX]),
        }
    )
    return Message(
        topic=topics.command(host),
        payload=_COMMAND.dump_json(body),
        is_retained=False,
        expiry_seconds=math.ceil(order.within_seconds),
    )


def wake(
    payload: bytes, *, received: float, is_retained: bool, topics: Topics, reply_topic: str | None,
    correlation: bytes | None, ahead_seconds: float = 0.0,
) -> WakeRequest:  # fmt: skip
    """The same for a request to wake `hosts` (default: 1) of a cluster. Raises Malformed."""
    body = _checked(_WAKE, payload)
    _check_request(payload, body["id"], body.keys(), topics, reply_topic, correlation)
    if not is_level(body["cluster"]):
        raise Malformed("cluster: must be printable, without / + #")
    return WakeRequest(
        cluster=body["cluster"],
        hosts=body.get("hosts", 1),
        received=received,
        is_retained=is_retained,
        id=body["id"],
        reason=printable(body["reason"][:REASON_LENGTH_MAX]),
        by=claimed(body["by"]),
        sent_at=_epoch(body["at"]) + ahead_seconds,
        reply_topic=reply_topic,
        correlation=correlation,
    )


def _check_request(
    payload: bytes, request_id: str, fields: Collection[str], topics: Topics, reply_topic: str | None,
    correlation: bytes | None,
) -> None:  # fmt: skip
    if duplicates := given_twice(payload).keys() & {*fields}:
        raise Malformed(f"{min(duplicates)}: given twice, with different values")
    if not is_level(request_id):
        raise Malformed("id: must be printable, without / + #")
    if reply_topic is not None and not topics.may_reply_to(reply_topic):
        raise Malformed("response topic: must be outside fenced/, or a reply topic of this site")
    if correlation is not None and len(correlation) > CORRELATION_BYTES_MAX:
        raise Malformed(f"correlation data: longer than {CORRELATION_BYTES_MAX} bytes")


def _checked(adapter: TypeAdapter[_T], payload: bytes) -> _T:
    try:
        return adapter.validate_json(payload)
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise Malformed(
            f"{where}: {fault['msg']}"[:FAULT_LENGTH_MAX] if where else fault["msg"][:FAULT_LENGTH_MAX]
        ) from exc


def _epoch(at: str | float) -> float:
    """Return seconds since the epoch."""
    if isinstance(at, str):
        try:
            return parse_rfc3339(at)
        except ValueError as exc:
            raise Malformed(f"at: {exc}") from exc
    if not math.isfinite(at) or at < 0:
        raise Malformed("at: must be seconds since the epoch")
    return at
