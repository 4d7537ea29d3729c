"""Random datagrams from a power unit's address.

Checks that OFF is only an INTEGER in an answer to this very request, with the same protection; that a command is sent
once; and that the driver raises only DeviceErrors that say whether the command arrived.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.drivers.snmp import messages as snmp_messages
from fenced.drivers.snmp import users as snmp_users
from fenced.drivers.snmp.driver import SnmpOutlet
from fenced.drivers.snmp.messages import ValueKind
from fenced.drivers.snmp.users import Engine, User, hashed
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import DeviceError
from tests.drivers.programs import spec_of, starts_into
from tests.fuzz.bending import OFF, ON, Bent, bending, bends
from tests.fuzz.ber import INTEGER, OCTETS, OID, SEQUENCE, first, integer, number, numbers, oid, read, tlv
from tests.fuzz.given import fuzz
from tests.fuzz.lines import LineLoop, play
from tests.fuzz.tampering import Deed, Line, plans
from tests.fuzz.unit import (
    RESPONSE,
    SYS_OBJECT_ID,
    SYS_UP_TIME,
    TICKS,
    UP_TICKS,
    Question,
    Reply,
    Unit,
)

TIMEOUT_SECONDS: Final = 8.0
TEXT_CHARACTERS_MAX: Final = 600
DATAGRAMS_MAX: Final = 100
DECODING_SECONDS_MAX: Final = 0.3
"""The measured time is a twentieth of that."""
COMMUNITY, SIGNING, ENCRYPTING = "c0mmunity-x", "5igning-passphrase", "3ncrypting-passphrase"
STATES: Final = ((1, 3, 6, 1, 4, 1, 13742, 6, 4, 1, 2, 1, 3, 1, 3), (1, 3, 6, 1, 4, 1, 13742, 6, 4, 1, 2, 1, 3, 1, 4))
COMMANDS: Final = tuple((*state[:12], 2, *state[13:]) for state in STATES)


def user(level: str) -> User:
    signing = _hash(SIGNING) if level != "nobody" else b""
    return User(name="fence", signing=signing, encrypting=_hash(ENCRYPTING) if level == "private" else b"")


@functools.cache
def _hash(passphrase: str) -> bytes:
    return hashed("sha", passphrase)


def unit_of(way: str, power: int) -> Unit:
    """Return a unit whose outlets 3 and 4 are in that state. `way`: the SNMP version and protection."""
    made = Unit(version={"1": 0, "2c": 1}.get(way, 3), user=None if way in ("1", "2c") else user(way))
    made.values = {
        SYS_OBJECT_ID: oid((1, 3, 6, 1, 4, 1, 13742, 6)),
        SYS_UP_TIME: integer(UP_TICKS, TICKS),
        **{state: integer(power) for state in STATES},
    }
    return made


def spec(way: str, **options: Any) -> DeviceSpec:
    given: dict[str, Any] = {"plug": "3,4", **options}
    if way in ("1", "2c"):
        return spec_of(
            "snmp_outlet",
            address="192.0.2.1",
            username="",
            password=Secret(COMMUNITY),
            options={**given, "version": way},
        )
    privacy = (("privacy_password", Secret(ENCRYPTING)),) if way == "private" else ()
    password = None if way == "nobody" else Secret(SIGNING)
    return spec_of(
        "snmp_outlet", address="192.0.2.1", username="fence", password=password, options=given, secrets=privacy
    )


def called(line: Line, act: Callable[[SnmpOutlet], Any], *, seed: int = 0, driver: SnmpOutlet | None = None) -> Any:
    """Return the result of a call, or its DeviceError.

    Two calls need two seeds, or their requests have the same ids.
    """
    loop = LineLoop(datagrams=line)

    async def main() -> Any:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS + 0.001):
                return await act(driver or SnmpOutlet())
        except DeviceError as exc:
            return exc

    found = play(main, loop, seed=seed)
    assert line.sent <= DATAGRAMS_MAX
    if isinstance(found, DeviceError):
        assert_sound(found)
    return found


def read_over(line: Line, device: DeviceSpec, **more: Any) -> Any:
    return called(line, lambda driver: driver.read(device, timeout_seconds=TIMEOUT_SECONDS), **more)


def switch_off_over(line: Line, device: DeviceSpec) -> Any:
    hook = starts_into([])
    return called(line, lambda driver: driver.set(device, Power.OFF, timeout_seconds=TIMEOUT_SECONDS, on_started=hook))


def assert_sound(error: DeviceError) -> None:
    text = str(error)
    assert not any(secret[:5] in text for secret in (COMMUNITY, SIGNING, ENCRYPTING)), text
    assert text.isprintable(), repr(text)
    assert len(text) <= TEXT_CHARACTERS_MAX
    assert error.is_end_known or error.may_be_done


# -- what a datagram says, by another parser --------------------------------------------------------------------------


def says_off(delivered: list[bytes], asked: list[int]) -> bool:
    """Return whether one answer without error, to a request that was sent, said OFF for both outlets."""
    return any(_is_off(datagram, asked) for datagram in delivered)


def _is_off(datagram: bytes, asked: list[int]) -> bool:
    try:
        (_, message), _ = first(datagram)
        parts = _parts(message)
        inner = [part for tag, content in parts if tag == SEQUENCE for part in _parts(content)]  # version 3
        pdu = next(content for tag, content in (*parts, *inner) if tag == RESPONSE)
        request_id, status, _, (_, binds) = _parts(pdu)
        told = {numbers(name[1]): value for name, value, *_ in (_parts(bind) for _, bind in _parts(binds))}
        is_ours = number(request_id[1]) in asked and number(status[1]) == 0
        return is_ours and all(_is_off_value(told[state]) for state in STATES)
    except (ValueError, StopIteration, IndexError, KeyError):
        return False


def _is_off_value(value: tuple[int, bytes]) -> bool:
    return value[0] == INTEGER and number(value[1]) == OFF


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Return the parts, as far as they can be parsed."""
    found, rest = [], data
    while rest:
        try:
            part, rest = first(rest)
        except ValueError:
            break
        found.append(part)
    return found


# -- an attacker on the way -------------------------------------------------------------------------------------------

WAYS: Final = ("1", "2c", "nobody", "signed", "private")


def forge(deed: Deed, answer: bytes, asked: bytes) -> list[bytes]:
    """Forge with what anyone on the way can read of a version 3 message, in the name of the engine."""
    message = read(first(asked)[0][1])
    if number(message[0][1]) != snmp_users.VERSION_3:
        return [answer.replace(b"\x02\x01\x07", b"\x02\x01\x08"), answer]
    message_id = number(read(message[1][1])[0][1])
    forger = Unit(version=3, user=User(name="fence"))
    binds = ((oid(SYS_UP_TIME), integer(UP_TICKS, TICKS)), *((oid(state), integer(OFF)) for state in STATES))
    match deed.kind:
        case "report":
            return [forger.report(message_id, deed.where % 8, flags=deed.what[0] % 8), answer]
        case "plain":
            pdus = [Reply(request_id=message_id, binds=some).pdu for some in (binds, binds[1:])]
            return [*(forger.sealed(message_id, pdu, flags=flags) for pdu in pdus for flags in (0, 1, 3)), answer]
        case _:  # "engine": a report of another engine, with another clock
            forger.engine = Engine(id=deed.what, boots=2**31 - 1, seconds=2**31 - 1)
            return [forger.report(message_id, 4, flags=0), answer]


@functools.cache
def answers(way: str, seed: int) -> tuple[bytes, ...]:
    """Return all answers to a read by a unit that is off."""
    line = Line(device=unit_of(way, OFF), forge=forge)
    assert read_over(line, spec(way), seed=seed) is Power.OFF
    return tuple(line.seen)


@st.composite
def tampered(draw: st.DrawFn) -> tuple[str, Line, Unit]:
    """A line to a unit that is on and was read when it was off; beside it is another one that is off."""
    way = draw(st.sampled_from(WAYS))
    unit = unit_of(way, ON)
    seen, others = list(answers(way, 1)), answers(way, 2)
    return way, Line(device=unit, forge=forge, others=others, seen=seen, plan=draw(PLANS)), unit


PLANS: Final = plans("report", "plain", "engine")
MODELS: Final = st.sampled_from([{"model": "raritan"}, {"model": "raritan"}, {}])


@fuzz(30)
@given(tampered=tampered(), options=MODELS)
def test_no_stranger_on_the_line_can_change_what_is_read(
    tampered: tuple[str, Line, Unit], options: dict[str, Any]
) -> None:
    """Without a signature it is possible; then an answer to the request said so."""
    way, line, unit = tampered
    found = read_over(line, spec(way, **options))
    assert unit.sets == []
    if isinstance(found, DeviceError):
        assert not found.may_be_done
        assert found.is_end_known
    elif way in ("signed", "private"):
        assert found is Power.ON
    elif found is Power.OFF:
        assert says_off(line.delivered, unit.asked)


@fuzz(30)
@given(tampered=tampered(), options=MODELS)
def test_a_command_is_sent_once_and_its_true_end_is_reported(
    tampered: tuple[str, Line, Unit], options: dict[str, Any]
) -> None:
    way, line, unit = tampered
    found = switch_off_over(line, spec(way, **options))
    assert len(unit.sets) == len(set(unit.sets)) <= 2
    assert set(unit.sets) <= {(command, 0) for command in COMMANDS}
    if isinstance(found, DeviceError):
        assert found.may_be_done or unit.sets == [] or way not in ("signed", "private")
    else:
        assert len(unit.sets) == 2


# -- a unit that sends anything ---------------------------------------------------------------------------------------


@fuzz(30)
@example("2c", [("status", 0, 10**6000, b"")], {}, ON)
@example("1", [("index", 0, 10**4400, b"")], {}, ON)
@example("2c", [("value", 0, 0, oid((1, 3, *[4_000_000_000] * 200)))], {}, ON)
@given(way=st.sampled_from(WAYS), plan=bends(), options=MODELS, power=st.sampled_from([ON, OFF]))
def test_off_is_an_integer_in_an_answer_to_the_question(
    way: str, plan: list[Bent], options: dict[str, Any], power: int
) -> None:
    unit = unit_of(way, power)
    told: list[bytes] = []
    bend = bending(plan)

    def remember(question: Question, reply: Reply) -> list[Reply]:
        replies = bend(question, reply)
        told.extend(tlv(SEQUENCE, each.pdu) for each in replies)
        return replies

    unit.bend = remember
    found = read_over(Line(device=unit, forge=forge), spec(way, **options))
    if isinstance(found, DeviceError):
        assert not found.may_be_done
    elif found is Power.OFF:
        assert says_off(told, unit.asked)


@fuzz(30)
@given(way=st.sampled_from(WAYS), plan=bends(), options=MODELS)
def test_success_is_an_answer_without_an_error_to_each_command(
    way: str, plan: list[Bent], options: dict[str, Any]
) -> None:
    unit = unit_of(way, ON)
    replies: list[Reply] = []
    bend = bending(plan)

    def remember(question: Question, reply: Reply) -> list[Reply]:
        bent = bend(question, reply)
        if question.is_set:
            replies.extend(each for each in bent if each.request_id == question.request_id)
        return bent

    unit.bend = remember
    found = switch_off_over(Line(device=unit, forge=forge), spec(way, **options))
    assert len(unit.sets) == len(set(unit.sets)) <= 2
    if isinstance(found, DeviceError):
        assert found.may_be_done or not any(each.tag == RESPONSE and each.status == 0 for each in replies)
    else:
        assert len(unit.sets) == 2
        assert [(each.tag, each.status) for each in replies] == [(RESPONSE, 0), (RESPONSE, 0)]


# -- an engine and its clock ------------------------------------------------------------------------------------------

CLOCKS: Final = st.sampled_from([0, 1, 2**31 - 2, 2**31 - 1])


@fuzz(10)
@given(boots=CLOCKS, seconds=CLOCKS, name=st.binary(max_size=40), later=st.sampled_from([0.0, 2.0, 1e6]))
@example(boots=1, seconds=2**31 - 1, name=b"engine", later=2.0)
def test_any_engine_is_talked_to_also_later(boots: int, seconds: int, name: bytes, later: float) -> None:
    """Later by the same driver, which remembers the engine."""
    unit, driver, device = unit_of("private", ON), SnmpOutlet(), spec("private")
    unit.engine = Engine(id=name, boots=boots, seconds=seconds)

    async def twice(made: SnmpOutlet) -> list[Any]:
        found: list[Any] = []
        for _ in range(2):
            try:
                found.append(await made.read(device, timeout_seconds=1.5))
            except DeviceError as exc:
                found.append(exc)
            await asyncio.sleep(later)
        return found

    loop = LineLoop(datagrams=Line(device=unit, forge=forge))
    for found in play(lambda: twice(driver), loop):
        assert found is Power.ON or isinstance(found, DeviceError)
        if isinstance(found, DeviceError):
            assert_sound(found)


# -- bytes, one datagram at a time ------------------------------------------------------------------------------------


@fuzz(100)
@given(data=st.binary(max_size=300), place=st.integers(0, 200), flip=st.integers(1, 255))
def test_mad_bytes_are_no_answer(data: bytes, place: int, flip: int) -> None:
    """Random bytes, and a good request with one byte changed: None or a response without a number,
    never an exception.
    """
    someone = User(name="u", signing=b"k" * 20, encrypting=b"p" * 20)
    engine = Engine(id=b"engine")
    request = snmp_messages.Request(request_id=7, oids=(STATES[0],))
    for good in (
        data,
        snmp_messages.pack_community(1, "c", request),
        snmp_users.pack(someone, engine, request, now=0.0),
        snmp_users.pack_discovery(7),
    ):
        mad = bytearray(good)
        if mad and good is not data:
            mad[place % len(mad)] ^= flip
        for version in (0, 1):
            answer = snmp_messages.unpack_community(version, bytes(mad), 7)
            assert answer is None or all(value.kind is not ValueKind.INTEGER for _, value in answer.values)
        snmp_users.unpack(someone, engine, bytes(mad), 7, now=0.0)


def large() -> Iterator[Any]:
    """As large as a datagram can be, of data that is slow to decode."""
    bind = tlv(SEQUENCE, oid((1, 3, 6, 1)), integer(OFF))
    many = 60_000 // len(bind)
    for name, binds in {
        "many objects": (bind,) * many,
        "a long name": (tlv(SEQUENCE, tlv(OID, b"\x2b" + b"\x01" * 60_000), integer(OFF)),),
        "a large number": (tlv(SEQUENCE, oid((1, 3)), tlv(INTEGER, b"\x7f" * 60_000)),),
        "a large part of a name": (tlv(SEQUENCE, tlv(OID, b"\x2b" + b"\xff" * 60_000 + b"\x01"), integer(OFF)),),
    }.items():
        pdu = tlv(RESPONSE, integer(7), integer(0), integer(0), tlv(SEQUENCE, *binds))
        yield pytest.param(tlv(SEQUENCE, integer(1), tlv(OCTETS, b"c"), pdu), id=name)
    yield pytest.param(b"\x30\x80\x02\x01\x01\x24\x80" + b"\x04\x00" * 30_000, id="a string in pieces")
    yield pytest.param(b"\x30\x80" * 30_000, id="deep")


@pytest.mark.parametrize("datagram", list(large()))
def test_no_datagram_holds_up_the_others(datagram: bytes) -> None:
    someone = User(name="u", signing=b"k" * 20)
    began = time.process_time()
    snmp_messages.unpack_community(1, datagram, 7)
    snmp_users.unpack(someone, Engine(id=b"engine"), datagram, 7, now=0.0)
    assert time.process_time() - began < DECODING_SECONDS_MAX
