"""Payloads: well-formed ones are parsed, and nothing else gets through."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.bus import messages
from fenced.bus.topics import Topics
from fenced.model.names import HostName
from fenced.ports import health as reading
from fenced.ports.bus import BusRequest, Evidence, Health, HealthStatus, Presence
from fenced.ports.health import AFTER, FAULT_LENGTH_MAX, REASON_LENGTH_MAX, Malformed
from fenced.ports.health import health as read_health

HOST = HostName("node-1")
REQUEST = {"id": "r", "action": "off", "reason": "", "by": "me", "at": 5}


def health(payload: bytes) -> Health:
    return read_health(payload, host=HOST, received=1.0)


def evidence(payload: bytes, source: str = "san") -> Evidence:
    return messages.evidence(payload, host=HOST, source=source, received=1.0, is_retained=False)


def presence(payload: bytes) -> Presence:
    return messages.presence(payload, host=HOST, received=1.0, is_retained=False)


def request(body: object, *, reply_topic: str | None = None, correlation: bytes | None = None) -> BusRequest:
    return messages.request(
        json.dumps(body).encode(),
        host=HOST,
        received=1.0,
        is_retained=False,
        topics=Topics(site="lab"),
        reply_topic=reply_topic,
        correlation=correlation,
    )


def test_every_field_of_a_heartbeat_is_optional() -> None:
    plain = Health(host=HOST, received=1.0, is_retained=False)
    assert health(b"") == plain
    assert health(b"{}") == plain
    nothing = b'{"boot":null,"seq":null,"status":null,"interval":null,"workloads":null,"roles":null,"reason":null}'
    assert health(nothing) == plain
    assert health(b'{"boot":""}').boot is None
    assert health(b'{"status":"stopping","new":{"a":[1]}}').status is HealthStatus.STOPPING


TEXTS = st.sampled_from(
    ("ok", "stopping", "failing", "", "b", "b" * 128, "b" * 129, "é", 'a"b', "\\", "\n", "\ud800", "\0")
)
NUMBERS = st.sampled_from(
    (0, 1, 5, 5.0, 2.5, -1, 1e9, 1e10, 1e300, 1e301, 2**53 + 1, 2**63 - 1, 2**63, 10**6, 10**6 + 1, 10**30)
)
VALUES = st.one_of(
    TEXTS, NUMBERS, st.none(), st.booleans(), st.lists(TEXTS, max_size=3), st.just({}), st.just(["r"] * 65)
)
KEYS = st.sampled_from(("boot", "reporter", "seq", "status", "interval", "workloads", "roles", "reason", "new"))
USUAL = {
    "boot": st.just("b1"),
    "seq": st.integers(0, 99),
    "status": st.just("ok"),
    "interval": st.sampled_from((5, 0.5)),
}


def written(members: list[tuple[str, object]], space: str, *, is_ascii: bool) -> str:
    pairs = (f"{json.dumps(key)}:{space}{json.dumps(value, ensure_ascii=is_ascii)}" for key, value in members)
    return "{" + f",{space}".join(pairs) + "}"


@given(
    usual=st.fixed_dictionaries({}, optional=USUAL),
    members=st.lists(st.tuples(KEYS, VALUES), max_size=4),
    form=st.tuples(st.sampled_from(("", " ", "\n")), st.booleans()),
    around=st.tuples(st.sampled_from(("", " ", "\ufeff")), st.sampled_from(("", " ", "\0", "}", "{}"))),
)
def test_a_heartbeat_means_the_same_however_fast_it_is_parsed(
    usual: dict[str, object], members: list[tuple[str, object]], form: tuple[str, bool], around: tuple[str, str]
) -> None:
    """`_plain` may only take what it reads as `_lenient` does."""
    body = written([*usual.items(), *members], form[0], is_ascii=form[1])
    payload = f"{around[0]}{body}{around[1]}".encode(errors="surrogatepass")
    slowly: Health | str
    try:
        slowly = reading._lenient(payload, host=HOST, received=1.0, is_retained=False, waited_seconds=0.0)
    except Malformed as exc:
        slowly = str(exc)
    try:
        assert health(payload) == slowly
    except Malformed as exc:
        assert str(exc) == slowly


@pytest.mark.parametrize(
    "payload",
    [
        b'{"boot":"a","seq":1,"status":"ok","interval":5}',
        b'{"boot": "a", "seq": 1, "status": "stopping", "interval": 2.5, "workloads": 3, "roles": ["db", "web"]}',
        b'{"status":"ok"}',
        b"{}",
    ],
)
def test_what_reporters_send_all_day_is_parsed_fast(payload: bytes) -> None:
    assert reading._plain(payload) == json.loads(payload)


@pytest.mark.parametrize(
    ("payload", "unread"),
    [
        (b'{"boot":"a","boot":"b"}', ("boot",)),
        (b'{"boot":"a","seq":1,"seq":2}', ("seq",)),
        (b'{"boot":"a","seq":NaN}', ("seq",)),
        (b'{"boot":"a","roles":["x",5]}', ("roles",)),
    ],
)
def test_a_field_given_twice_or_unreadable_is_not_parsed_fast(payload: bytes, unread: tuple[str, ...]) -> None:
    assert reading._plain(payload) is None
    assert health(payload).unread == unread


def test_a_long_reason_is_cut_and_does_not_cost_the_heartbeat() -> None:
    assert len(health(json.dumps({"reason": "x" * 60000}).encode()).reason) == REASON_LENGTH_MAX


@pytest.mark.parametrize(
    "payload",
    [
        b" ",
        b"null",
        b"[]",
        b"ok",
        b'"ok"',
        b"{",
        b"\xff",
        b"[" * 60000,
        b'{"a":' * 10000,
    ],
)
def test_a_malformed_heartbeat_is_no_sign_of_life(payload: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        health(payload)
    assert 0 < len(str(caught.value)) <= FAULT_LENGTH_MAX


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("boot", [b"5", b"true", b"[]", b'"' + b"b" * 129 + b'"', b'"\\ud800"', b'"\xff"']),
        ("reporter", [b"5", b"{}", b'"' + b"r" * 129 + b'"']),
        ("seq", [b'"5"', b"5.5", b"true", b"-1", b"1" + b"0" * 30, b"NaN", b"1e400", b"9" * 5000]),
        ("status", [b'"OK"', b"1", b"{}"]),
        ("interval", [b"0", b"-5", b"NaN", b"Infinity", b"1e999", b'"5"', b"true", b"9" * 5000]),
        ("workloads", [b"-1", b"1.5", b'"12"', b"true", b"1e9", b"[3]"]),
        ("roles", [b'"spm"', b"[1]", json.dumps(["r"] * 65).encode(), b"{}"]),
        ("reason", [b"1", b"{}"]),
    ],
)
def test_an_unreadable_field_is_ignored_and_the_rest_counts(field: str, values: list[bytes]) -> None:
    for value in values:
        beat = health(b'{"%s":%s,"new":1}' % (field.encode(), value))
        assert beat.unread == (field,)
        expected = Health(host=HOST, received=1.0, is_retained=False, unread=(field,), roles=beat.roles)
        assert beat == expected
        assert beat.is_boot_unread is (field == "boot")


def test_fields_beside_an_unreadable_one_count() -> None:
    beat = health(b'{"boot":"b1","seq":5.0,"status":"failing","workloads":12.0,"interval":"x","roles":["spm",7]}')
    assert (beat.boot, beat.sequence, beat.workloads, beat.roles) == ("b1", 5, 12, ("spm",))
    assert beat.status is HealthStatus.FAILING
    assert beat.unread == ("interval", "roles")


@pytest.mark.parametrize("around", [b"\xef\xbb\xbf%s", b"%s\x00", b"\r\n %s \t\n"])
def test_white_space_a_byte_order_mark_and_a_zero_around_the_object_are_allowed(around: bytes) -> None:
    assert health(around % b'{"boot":"b1"}').boot == "b1"


@pytest.mark.parametrize("after", [b" xyz", b"}", b" // at 12:00", b"\x1a", b"\xff"])
def test_text_after_the_object_is_ignored_and_reported(after: bytes) -> None:
    beat = health(b'{"boot":"b1","seq":1}' + after)
    assert (beat.boot, beat.sequence, beat.unread) == ("b1", 1, (AFTER,))


def test_two_objects_leave_the_boot_unread() -> None:
    beat = health(b'{"boot":"b1","seq":1}\n{"boot":"b2","seq":2}\n')
    assert (beat.boot, beat.is_boot_unread) == (None, True)
    assert AFTER in beat.unread


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_an_object_in_another_encoding_is_read(encoding: str) -> None:
    beat = health('{"boot":"b1","reason":"groß"}'.encode(encoding))
    assert (beat.boot, beat.reason, beat.unread) == ("b1", "groß", ())
    broken = health(b'{"boot":"b1","reason":"x'.decode().encode("utf-16-le") + b"\x00\xd8" + '"}'.encode("utf-16-le"))
    assert broken.boot == "b1"


def test_a_long_object_with_duplicate_keys_is_read() -> None:
    metrics = ",".join(f'"cpu{number % 200}":{number}' for number in range(400))
    assert health(f'{{"boot":"b1",{metrics}}}'.encode()) == health(b'{"boot":"b1"}')
    assert health(f'{{"boot":"b1","fields":{{{metrics}}}}}'.encode()).boot == "b1"
    assert health(f'{{"status":"failing",{metrics},"status":"ok"}}'.encode()).status is HealthStatus.FAILING


def test_a_reason_becomes_one_printable_line() -> None:
    assert health(b'{"reason":"disk\n full \x1b[2J\\u0007Stra\xdfe"}').reason == "disk full [2J Stra e"


def test_a_duplicate_key_counts_as_its_worst_value() -> None:
    """Only `status` and `alive` have a worst value; any other duplicate key is unreadable."""
    assert health(b'{"status":"failing","status":"ok"}').status is HealthStatus.FAILING
    assert health(b'{"status":"stopping","status":"failing","status":"ok"}').status is HealthStatus.FAILING
    assert health(b'{"status":"failing","status":"OK"}').status is HealthStatus.FAILING
    assert health(b'{"boot":"b1","boot":"b2"}').is_boot_unread
    assert health(b'{"seq":1,"seq":"x"}').unread == ("seq",)
    assert health(b'{"boot":"b1","boot":"b1","a":{"x":1,"x":2}}') == health(b'{"boot":"b1"}')
    assert evidence(b'{"kind":"a","alive":true,"alive":false,"ttl":30}').is_alive
    with pytest.raises(Malformed, match="action"):
        payload = json.dumps(REQUEST)[:-1] + ',"action":"on"}'
        messages.request(
            payload.encode(), host=HOST, received=1.0, is_retained=False, topics=Topics(site="lab"), reply_topic=None,
            correlation=None,
        )  # fmt: skip


@pytest.mark.parametrize("ahead", [0.0, -1e9, 2.3e9])
def test_a_request_is_as_old_as_the_wall_clock_says(ahead: float) -> None:
    """The steady clock may be decades off: it was anchored while the wall clock was wrong, and it never jumps."""
    parsed = messages.request(
        json.dumps(REQUEST).encode(), host=HOST, received=7.0 + ahead, is_retained=False, topics=Topics(site="lab"),
        reply_topic=None, correlation=None, ahead_seconds=ahead,
    )  # fmt: skip
    assert parsed.received - parsed.sent_at == 2.0


def test_presence() -> None:
    assert presence(b"online").is_online
    assert not presence(b"offline").is_online
    for payload in (b"", b"Online", b"true", b"online\n", b"\xff"):
        with pytest.raises(Malformed):
            presence(payload)


def test_evidence() -> None:
    found = evidence(b'{"kind":"storage_lease","alive":false,"ttl":30,"more":1}')
    assert (found.evidence_kind, found.is_alive, found.ttl_seconds, found.source) == (
        "storage_lease", False, 30.0, "san",
    )  # fmt: skip
    wrong = [
        {"alive": True, "ttl": 30},
        {"kind": "a", "ttl": 30},
        {"kind": "a", "alive": True},
        {"kind": "", "alive": True, "ttl": 30},
        {"kind": "a", "alive": 1, "ttl": 30},
        {"kind": "a", "alive": True, "ttl": 0},
        {"kind": "a", "alive": False, "ttl": -1},
    ]
    for body in wrong:
        with pytest.raises(Malformed):
            evidence(json.dumps(body).encode())
    with pytest.raises(Malformed):
        evidence(b'{"kind":"a","alive":true,"ttl":30}', source="")


def test_a_ttl_that_is_too_long_is_cut_and_one_that_is_none_is_refused_with_its_reason() -> None:
    """Refusing a long one would end what it holds; one that is taken as it is could outlive its source."""
    assert evidence(b'{"kind":"a","alive":true,"ttl":1e9}').ttl_seconds == messages.TTL_SECONDS_MAX
    assert evidence(b'{"kind":"a","alive":true,"ttl":1e9}').unread == ("ttl",)
    assert evidence(b'{"kind":"a","alive":true,"ttl":86400}').unread == ()
    with pytest.raises(Malformed, match="ttl: Input should be greater than 0"):
        evidence(b'{"kind":"a","alive":true,"ttl":-5}')
    for ttl in (b"NaN", b"Infinity", b"1e999"):
        with pytest.raises(Malformed):
            evidence(b'{"kind":"a","alive":true,"ttl":' + ttl + b"}")


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        (1795334400, 1795334400.0),
        (1795334400.5, 1795334400.5),
        ("2026-11-22T08:00:00Z", 1795334400.0),
        ("2026-11-22T09:00:00.250+01:00", 1795334400.25),
    ],
)
def test_the_time_at_which_a_request_was_sent(at: object, seconds: float) -> None:
    assert request({**REQUEST, "at": at}).sent_at == seconds


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "a/b"},
        {"id": "#"},
        {"id": "x" * 129},
        {"id": 5},
        {"action": "reboot"},
        {"action": None},
        {"reason": None},
        {"by": 5},
        {"at": "yesterday"},
        {"at": "2026-11-22T08:00:00"},
        {"at": -1},
        {"at": None},
        {"at": True},
    ],
)
def test_a_malformed_request_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        request({**REQUEST, **change})


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("root (uid 0)", "root [uid 0]"),
        ("alice \uff08token, admin\uff09", "alice [token, admin]"),
        ("me\n12:00 armed by=root", "me 12:00 armed by=root"),
        ("\x1b[2Jme", " [2Jme"),
    ],
)
def test_the_name_of_a_requester_is_one_line_and_never_looks_proven(given: str, shown: str) -> None:
    assert request({**REQUEST, "by": given}).by == shown


def test_the_reason_of_a_request_is_one_line() -> None:
    assert request({**REQUEST, "reason": "disk\r\nfenced node-2"}).reason == "disk fenced node-2"


@pytest.mark.parametrize("name", sorted(REQUEST))
def test_every_field_of_a_request_is_required(name: str) -> None:
    with pytest.raises(Malformed):
        request({key: value for key, value in REQUEST.items() if key != name})


def test_a_reply_topic_must_not_look_like_an_announcement() -> None:
    assert request(REQUEST, reply_topic="me/answers", correlation=b"1").correlation == b"1"
    with pytest.raises(Malformed):
        request(REQUEST, reply_topic="fenced/v1/lab/event/node-1")
    with pytest.raises(Malformed):
        request(REQUEST, correlation=b"x" * 1025)


@given(payload=st.binary(max_size=200))
def test_any_bytes_are_parsed_or_rejected(payload: bytes) -> None:
    for parse in (health, presence, evidence):
        with contextlib.suppress(Malformed):
            parse(payload)


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["boot", "seq", "status", "interval", "workloads", "roles", "reason", "id", "at"])
                | st.text(),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_parsed_or_rejected(body: object) -> None:
    with contextlib.suppress(Malformed):
        beat = health(json.dumps(body).encode())
        assert beat.interval_seconds is None or beat.interval_seconds > 0
        assert beat.workloads is None or beat.workloads >= 0
    with contextlib.suppress(Malformed):
        request(body)
