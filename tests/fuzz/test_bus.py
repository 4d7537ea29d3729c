"""Any message on any topic: a well-formed event within its bounds, or counted; a retained one is never a sign
of life.
"""

import json
import time
import timeit
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.bus.client import _Receiver
from fenced.bus.messages import CORRELATION_BYTES_MAX
from fenced.bus.topics import Topics, is_level
from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.ports.bus import BusEvent, BusRequest, Evidence, Health, MessageKind, MessageResult, Presence, StateSeen
from fenced.ports.health import REASON_LENGTH_MAX, SEQUENCE_MAX
from tests.bus.parts import CountingTelemetry, WallClock, settings
from tests.core.desk import NODE, Desk
from tests.fuzz.given import changed, fuzz, hostile

TOPICS: Final = Topics(site="lab")
HOSTS: Final = frozenset({"node-1", "node-2"})
HEALTH: Final[dict[str, Any]] = {
    "boot": "b1", "reporter": "r", "seq": 5, "status": "ok", "interval": 1.5, "workloads": 3, "roles": ["spm"],
    "reason": "fine",
}  # fmt: skip
EVIDENCE: Final[dict[str, Any]] = {"kind": "storage_lease", "alive": True, "ttl": 30}
REQUEST: Final[dict[str, Any]] = {"id": "r-1", "action": "off", "reason": "x", "by": "me", "at": "2026-11-22T08:00:00Z"}
STATE: Final[dict[str, Any]] = {
    "state": "fenced", "token": "3-17", "proof": "device_verified", "controller": "fenced-a", "rev": "3-18",
    "power": {"pdu-a": "off"}, "since": "2026-11-22T08:00:00Z",
}  # fmt: skip
BODIES: Final = (HEALTH, EVIDENCE, REQUEST, STATE)
KEYS: Final = tuple({key for body in BODIES for key in body})
PAYLOADS: Final = st.one_of(
    hostile([json.dumps(body).encode() for body in BODIES] + [b"online", b"offline", b""], KEYS),
    *(changed(body) for body in BODIES),
)
INCOMING: Final = (
    "fenced/v1/lab/health/node-1", "fenced/v1/lab/presence/node-1", "fenced/v1/lab/evidence/node-1/san",
    "fenced/v1/lab/request/node-1", "fenced/v1/lab/state/node-1",
)  # fmt: skip
NAMED: Final = st.sampled_from(
    [*INCOMING, "fenced/v1/lab/health/nobody", "fenced/v1/other/health/node-1", "fenced/v1/lab/evidence/node-1"]
)
TOPIC_NAMES: Final = NAMED | st.text(max_size=40) | st.text(max_size=8).map(lambda name: f"fenced/v1/lab/health/{name}")
REPLIES: Final = st.none() | st.text(max_size=30) | st.sampled_from(["me/answers", "fenced/v1/lab/event", "$SYS", "#"])
PARSE_RATIO_MAX: Final = 40
"""How much longer 64 KiB of rubbish may take than json needs for 64 KiB of short strings; measured 0.1 to 8."""


class Ear:
    """Does what the bus client does with one message after the other."""

    def __init__(self, *, payload_bytes_max: int = 64 * 1024) -> None:
        self.telemetry = CountingTelemetry()
        self.events: list[BusEvent] = []
        self._receiver = _Receiver(
            settings=settings(1883, payload_bytes_max=payload_bytes_max),
            topics=TOPICS,
            is_host=HOSTS.__contains__,
            telemetry=self.telemetry,
            clock=WallClock(),
            deliver=self.events.append,
        )

    def hear(
        self, topic: str, payload: bytes, *, is_retained: bool = False, reply: str | None = None,
        correlation: bytes | None = None,
    ) -> None:  # fmt: skip
        self._receiver.received(topic, payload, is_retained, reply, correlation)


@fuzz(400)
@given(
    topic=TOPIC_NAMES,
    payload=PAYLOADS,
    is_retained=st.booleans(),
    reply=REPLIES,
    correlation=st.none() | st.binary(max_size=CORRELATION_BYTES_MAX + 8),
)
@example(INCOMING[3], json.dumps({**REQUEST, "at": "0001-01-01T00:00:00+23:59"}).encode(), False, None, None)
@example(INCOMING[3], json.dumps({**REQUEST, "at": "9999-12-31T23:59:59-23:59"}).encode(), False, None, None)
@example(INCOMING[3], json.dumps({**REQUEST, "at": 10**400}).encode(), False, None, None)
@example(INCOMING[0], b'{"seq":1,"seq":"x"}', False, None, None)
@example(INCOMING[4], b"", True, None, None)
@example(INCOMING[4], b'{"state":"fenced","token":"99999999999999999999-1","rev":""}', True, None, None)
@example(INCOMING[4], b'{"state":"fenced","token":"1-1\\n","rev":null}', True, None, None)
@example(INCOMING[0], b'{"reason":"\\ud800"}', False, None, None)
def test_a_message_is_an_event_or_is_counted(
    topic: str, payload: bytes, is_retained: bool, reply: str | None, correlation: bytes | None
) -> None:
    ear = Ear(payload_bytes_max=300)
    ear.hear(topic, payload, is_retained=is_retained, reply=reply, correlation=correlation)
    address = TOPICS.parse(topic)
    counted = sum(ear.telemetry.messages.values())
    assert len(ear.events) + counted == (0 if address is None else 1)
    if address is not None and address.host not in HOSTS:
        assert ear.telemetry.messages == {(address.kind, MessageResult.UNKNOWN_HOST): 1}
    for event in ear.events:
        assert address is not None
        assert len(payload) <= 300
        assert_bounded(event, address.kind)
        assert getattr(event, "is_retained", None) is is_retained


def assert_bounded(event: BusEvent, kind: MessageKind) -> None:
    """Every field within what interface.md#heartbeats says, and text that can be stored and shown."""
    match event:
        case Health():
            assert kind is MessageKind.HEALTH
            assert event.boot is None or 0 < len(event.boot) <= 128
            assert len(event.reporter) <= 128
            assert event.sequence is None or 0 <= event.sequence <= SEQUENCE_MAX
            assert event.interval_seconds is None or 0 < event.interval_seconds < float("inf")
            assert event.workloads is None or 0 <= event.workloads <= 1_000_000
            assert len(event.roles) <= 64
            assert len(event.reason) <= REASON_LENGTH_MAX
            texts = [event.boot or "", event.reporter, event.reason, *event.roles]
        case Presence():
            assert kind is MessageKind.PRESENCE
            texts = []
        case Evidence():
            assert kind is MessageKind.EVIDENCE
            assert isinstance(event.is_alive, bool)
            assert 0 < event.ttl_seconds <= 86400
            assert is_level(event.source)
            texts = [event.source, event.evidence_kind]
        case BusRequest():
            assert kind is MessageKind.REQUEST
            assert is_level(event.id)
            assert len(event.reason) <= REASON_LENGTH_MAX
            assert abs(event.sent_at) < float("inf")
            assert event.reply_topic is None or TOPICS.may_reply_to(event.reply_topic)
            assert event.correlation is None or len(event.correlation) <= CORRELATION_BYTES_MAX
            texts = [event.id, event.by, event.reason]
        case StateSeen():
            assert kind is MessageKind.STATE
            assert len(event.state) <= 32 and len(event.controller) <= 253
            for token in (event.token, event.rev):
                assert token is None or (0 <= token.epoch < 2**63 and 0 <= token.sequence < 2**63)
            texts = [event.state, event.controller]
        case _:
            raise AssertionError(f"no message makes a {type(event).__name__}")
    for text in texts:
        text.encode()


@fuzz(60)
@given(payload=PAYLOADS, kind=st.sampled_from(INCOMING))
def test_rubbish_and_retained_messages_are_no_life(payload: bytes, kind: str) -> None:
    """A silent host stays unheard, whatever is retained at the broker for it."""
    desk, ear = Desk(), Ear()
    ear.hear(kind, payload, is_retained=True)
    before = desk.fleet.hosts[NODE].last_heard
    desk.now += 1.0
    for event in ear.events:
        assert isinstance(event, Health | Presence | Evidence | BusRequest | StateSeen)
        told = desk.do(_to(event, desk.now))
        assert not any(isinstance(entry.record, r.HostHeard | r.OperationStarted) for entry in told.entries)
    assert desk.fleet.hosts[NODE].last_heard == before


def _to(
    event: Health | Presence | Evidence | BusRequest | StateSeen, now: float
) -> Health | Presence | Evidence | BusRequest | StateSeen:
    """The same event for the desk's host."""
    return replace(event, host=HostName(NODE), received=now)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"[" * 65_000,
        b'{"a":' * 13_000,
        b'{"roles":[' + b'"x",' * 16_000 + b'"x"]}',
        b"{" + b'"k":1,' * 10_000 + b'"k":1}',
        b'{"seq":' + b"9" * 65_000 + b"}",
        b'{"interval":0.' + b"1" * 65_000 + b"}",
        b'{"reason":"' + b"\\u0041" * 10_000 + b'"}',
    ],
    ids=["lists", "objects", "roles", "keys twice", "a number", "digits", "escapes"],
)
def test_rubbish_costs_little_more_than_a_good_message(rubbish: bytes) -> None:
    ear, floor = Ear(), json.dumps(["x"] * 13_000)
    assert _seconds(lambda: ear.hear(INCOMING[0], rubbish)) < PARSE_RATIO_MAX * _seconds(lambda: json.loads(floor))


def _seconds(act: Callable[[], object]) -> float:
    """The best of several, in processor time: beside other programs only long calls are interrupted."""
    return min(timeit.repeat(act, timer=time.thread_time, number=1, repeat=7))
