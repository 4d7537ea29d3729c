"""Random datagrams from a BMC's address.

Checks that OFF is only what the BMC said in this call, sealed with the session's key; that a command is sent once;
and that the driver raises only DeviceErrors that say whether the command arrived.
"""

import asyncio
import functools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.drivers.ipmi import fru as ipmi_fru
from fenced.drivers.ipmi.cipher import SUITES
from fenced.drivers.ipmi.commands import device_id_of, guid_of, power_of
from fenced.drivers.ipmi.driver import Ipmi
from fenced.drivers.ipmi.login import Authenticated, Refused
from fenced.drivers.ipmi.packets import BadPacket, Payload, Response, parse_frame, parse_message, plain_frame
from fenced.model.power import Power
from fenced.ports.devices import DeviceError
from tests.drivers.ipmi.bmc import (
    CONTROL,
    DEVICE_GUID,
    DEVICE_ID,
    FRU_READ,
    RMCP,
    SET_PRIVILEGE,
    STATUS,
    SYSTEM_GUID,
    Bmc,
    Key,
)
from tests.drivers.ipmi.calls import spec_at
from tests.drivers.ipmi.test_protocol import confirming, exchanging, opening, pair
from tests.drivers.programs import starts_into
from tests.fuzz.given import fuzz
from tests.fuzz.lines import PEER, LineLoop, play
from tests.fuzz.tampering import Deed, Line, plans

TIMEOUT_SECONDS: Final = 8.0
TEXT_CHARACTERS_MAX: Final = 600
DATAGRAMS_MAX: Final = 400
"""Sent in one call: requests are repeated, and logins start again a few times."""
SERIAL: Final = "S-12345"
PASSWORD: Final = "s3cret!pw"

# -- bytes, one datagram at a time ------------------------------------------------------------------------------------

anything = st.binary(max_size=300) | st.binary(max_size=200).map(lambda rest: RMCP + b"\x06" + rest)


@fuzz(100)
@given(anything)
def test_any_datagram_is_a_value_or_a_bad_packet(datagram: bytes) -> None:
    for suite in SUITES:
        for step in (opening(suite), exchanging(suite), confirming(suite)):
            try:
                taken = step.take(datagram)
            except BadPacket:
                continue
            assert not isinstance(taken, Authenticated), "no session without a code that is right"
        with pytest.raises(BadPacket):
            pair(suite)[0].take(datagram)
    for parse in (parse_frame, parse_message):
        try:
            parse(datagram)
        except BadPacket:
            continue


@fuzz(100)
@given(st.sampled_from(list(Payload)), st.binary(max_size=90), st.integers(0, 255))
def test_answers_to_our_login_with_any_content(kind: Payload, rest: bytes, status: int) -> None:
    """They carry our tag and our id, as an attacker on the way could make them."""
    datagram = plain_frame(kind, struct.pack("<BBxxI", 7, status, 0x11223344) + rest)
    for suite in SUITES:
        for step in (exchanging(suite), confirming(suite)):
            try:
                taken = step.take(datagram)
            except BadPacket:
                continue
            assert isinstance(taken, Refused)


@fuzz(100)
@given(st.binary(max_size=40))
def test_answers_of_any_length_are_understood_or_bad(data: bytes) -> None:
    response = Response(network_function=1, command=1, request_sequence=0, completion=0, data=data)
    for parse in (power_of, device_id_of, guid_of):
        try:
            parse(response)
        except BadPacket:
            continue
    if len(data) < 3:
        with pytest.raises(BadPacket):
            power_of(response)


@fuzz(100)
@given(st.binary(max_size=600))
def test_any_inventory_gives_text_that_can_be_shown(content: bytes) -> None:
    for area in ipmi_fru.areas(content):
        assert ipmi_fru.serial(area, content).isprintable()
    assert 0 <= ipmi_fru.area_bytes(content) <= ipmi_fru.AREA_BYTES_MAX


# -- a whole call over a line with an attacker ------------------------------------------------------------------------


def device(bmc: Bmc) -> Callable[[bytes], list[bytes]]:
    """Return the BMC's answers to a datagram."""
    answers: list[bytes] = []

    class Out:
        def sendto(self, datagram: bytes, _address: object) -> None:
            answers.append(datagram)

    bmc.transport = Out()  # type: ignore[assignment] # all that it uses of one

    def answer(datagram: bytes) -> list[bytes]:
        answers.clear()
        bmc.datagram_received(datagram, PEER)
        return list(answers)

    return answer


def forge(deed: Deed, answer: bytes, asked: bytes) -> list[bytes]:
    """Forge with what anyone on the way can read: the tag and ids of a login, the id of a session."""
    what = deed.what
    match deed.kind:
        case "login":
            kind = (Payload.OPEN_SESSION_RESPONSE, Payload.RAKP_2, Payload.RAKP_4)[deed.where % 3]
            return [plain_frame(kind, asked[16:17] + what[:1] + b"\0\0" + answer[20:24] + what * 6), answer]
        case "message":
            flags = (0xC0, 0x40, 0x80, 0x00)[deed.where % 4]
            return [answer[:5] + bytes((flags,)) + answer[6:16] + (what * 20)[: max(0, len(answer) - 16)], answer]
        case "plain":  # a Chassis Status of OFF that nobody signed; the number of the request is guessed
            rest = bytes((0x20, deed.where % 8 << 2, 0x01, 0, 0, 0, 0, 0))
            message = bytes((0x81, 0x04, 0x7B)) + rest + bytes((-sum(rest) & 0xFF,))
            flags = (0x00, 0x40, 0x80, 0xC0)[what[0] % 4]
            head = struct.pack("<BB4sIH", 6, flags, answer[6:10].ljust(4, b"\0"), 1000, len(message))
            return [RMCP + head + message + what, answer]
        case _:  # "bend": what it says of the power, and its checksum, through the cipher's first block
            bent = bytearray(answer)
            for place, bits in ((23, 1), (27, (2 << deed.where % 3) - 1)):
                bent[place % len(bent)] ^= bits
            return [bytes(bent), answer]


def called(line: Line, act: Callable[[Ipmi], Any], *, seed: int) -> Any:
    """Return the result of a call, or its DeviceError.

    Two calls need two seeds, or their sessions have the same keys.
    """
    loop = LineLoop(datagrams=line)

    async def main() -> Any:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS + 0.001):
                return await act(Ipmi())
        except DeviceError as exc:
            return exc

    found = play(main, loop, seed=seed)
    assert line.sent <= DATAGRAMS_MAX
    if isinstance(found, DeviceError):
        assert_sound(found)
    return found


def read_over(line: Line, bmc: Bmc, *, seed: int = 0, **changes: Any) -> Any:
    spec = spec_at(bmc, **changes)
    return called(line, lambda driver: driver.read(spec, timeout_seconds=TIMEOUT_SECONDS), seed=seed)


def switch_off_over(line: Line, bmc: Bmc, *, is_soft: bool = False, **changes: Any) -> Any:
    spec, hook = spec_at(bmc, **changes), starts_into([])

    async def act(driver: Ipmi) -> None:
        if is_soft:
            await driver.soft_off(spec, timeout_seconds=TIMEOUT_SECONDS, on_started=hook)
        else:
            await driver.set(spec, Power.OFF, timeout_seconds=TIMEOUT_SECONDS, on_started=hook)

    return called(line, act, seed=0)


def assert_sound(error: DeviceError) -> None:
    text = str(error)
    assert PASSWORD[:4] not in text
    assert text.isprintable(), repr(text)
    assert len(text) <= TEXT_CHARACTERS_MAX
    assert error.is_end_known or error.may_be_done


@functools.cache
def answers(seed: int, *, is_on: bool) -> tuple[bytes, ...]:
    """Return all answers to a read by a BMC with the same password."""
    bmc = Bmc(port=1, is_on=is_on)
    line = Line(device=device(bmc), forge=forge)
    assert read_over(line, bmc, seed=seed) is (Power.ON if is_on else Power.OFF)
    return tuple(line.seen)


@st.composite
def tampered(draw: st.DrawFn) -> tuple[Line, Bmc]:
    """A line to a BMC that was read before in the other state; beside it is one that is off."""
    bmc = Bmc(port=1, is_on=draw(st.booleans()))
    seen, others = list(answers(1, is_on=not bmc.is_on)), answers(2, is_on=False)
    return Line(device=device(bmc), forge=forge, others=others, seen=seen, plan=draw(PLANS)), bmc


PLANS: Final = plans("login", "message", "plain", "bend")
OPTIONS: Final = st.sampled_from([{}, {"cipher": 3}, {"cipher": 17}, {"privilege": "administrator"}])


@fuzz(60)
@given(tampered=tampered(), options=OPTIONS)
def test_no_stranger_on_the_line_can_change_what_is_read(tampered: tuple[Line, Bmc], options: dict[str, Any]) -> None:
    line, bmc = tampered
    found = read_over(line, bmc, options=options)
    if isinstance(found, DeviceError):
        assert not found.may_be_done
        assert found.is_end_known
    else:
        assert found is (Power.ON if bmc.is_on else Power.OFF)
    assert bmc.commands == []


@fuzz(60)
@given(tampered=tampered(), options=OPTIONS, is_obedient=st.booleans(), is_soft=st.booleans())
def test_a_command_is_sent_once_and_its_true_end_is_reported(
    tampered: tuple[Line, Bmc], options: dict[str, Any], is_obedient: bool, is_soft: bool
) -> None:
    line, bmc = tampered
    bmc.is_obedient = is_obedient
    found = switch_off_over(line, bmc, options=options, is_soft=is_soft)
    sent = [b"\x05" if is_soft else b"\x00"]
    assert bmc.commands in ([], sent)
    if isinstance(found, DeviceError):
        assert found.may_be_done or bmc.commands == []
    else:
        assert bmc.commands == sent


# -- a BMC that has the keys and sends anything -----------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Mad(Bmc):
    """Answers some commands with the test's bytes, well sealed. `said`: its answers, in turn."""

    sayings: dict[Key, list[bytes]]
    said: list[tuple[Key, bytes]] = field(default_factory=list)

    def _answer(self, session: Any, asked: Key, data: bytes) -> bytes:
        answer = Bmc._answer(self, session, asked, data)
        queue = self.sayings.get(asked)
        if queue:
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
        self.said.append((asked, answer))
        return answer


COMPLETIONS: Final = st.sampled_from(
    [b"\x00", b"\x00", b"\x00", b"\xc0", b"\xc3", b"\xcc", b"\xd5", b"\xd4", b"\xff", b"\x81"]
)
SAYINGS: Final = st.lists(
    st.tuples(COMPLETIONS, st.binary(max_size=20) | st.binary(max_size=3)).map(b"".join), min_size=1, max_size=4
)
FRUS: Final = st.binary(max_size=100) | st.binary(max_size=30).map(lambda rest: b"\x01\0\x01\0\0\0\0\xfe" + rest)
MAD: Final = st.builds(
    Mad,
    port=st.just(1),
    is_on=st.booleans(),
    fru=FRUS,
    fru_read_max=st.sampled_from([255, 16, 0]),
    guid=st.sampled_from([bytes(16), bytes(range(16))]),
    sayings=st.dictionaries(
        st.sampled_from([STATUS, DEVICE_ID, CONTROL, SET_PRIVILEGE, SYSTEM_GUID, DEVICE_GUID, FRU_READ]),
        SAYINGS,
        max_size=3,
    ),
)
IDENTITIES: Final = st.sampled_from(["", "", SERIAL, bytes(range(16)).hex()])


def statuses(bmc: Mad) -> list[bytes]:
    return [answer for asked, answer in bmc.said if asked == STATUS]


@fuzz(60)
@given(bmc=MAD, identity=IDENTITIES)
def test_off_is_a_whole_chassis_status_that_says_so(bmc: Mad, identity: str) -> None:
    found = read_over(Line(device=device(bmc), forge=forge), bmc, identity=identity)
    if isinstance(found, DeviceError):
        assert not found.may_be_done
        return
    completion, *data = statuses(bmc)[-1]
    assert completion == 0
    assert len(data) >= 3
    assert found is (Power.ON if data[0] & 1 else Power.OFF)


@fuzz(60)
@given(bmc=MAD, identity=IDENTITIES)
def test_success_is_a_command_that_was_taken_or_a_state_that_is_there(bmc: Mad, identity: str) -> None:
    found = switch_off_over(Line(device=device(bmc), forge=forge), bmc, identity=identity)
    controls = [answer for asked, answer in bmc.said if asked == CONTROL]
    assert bmc.commands in ([], [b"\x00"])
    if isinstance(found, DeviceError):
        assert found.may_be_done or all(answer[0] != 0 for answer in controls)
        return
    (answer,) = controls
    if answer[0] != 0:
        completion, *data = statuses(bmc)[-1]
        assert (completion, data[0] & 1) == (0, 0)
