"""The pure part of IPMI: altered datagrams are rejected, and every code has a meaning.

For random bytes see tests/fuzz.
"""

import struct
from dataclasses import replace

import pytest

from fenced.drivers.ipmi import fru
from fenced.drivers.ipmi.cipher import SUITES, Suite, keys
from fenced.drivers.ipmi.commands import GET_CHASSIS_STATUS, guid_text, power_of, refusal
from fenced.drivers.ipmi.login import (
    Authenticated,
    Confirming,
    Credentials,
    Exchanging,
    Opening,
    Reason,
    Refused,
    Status,
)
from fenced.drivers.ipmi.packets import BadPacket, Payload, Response, plain_frame
from fenced.drivers.ipmi.session import Session
from fenced.model.power import Power
from fenced.ports.devices import DEVICE_ERRORS
from tests.drivers.ipmi.bmc import CHASSIS_STATUS_ON, Bmc, sealed_by
from tests.drivers.ipmi.bmc import Session as BmcSession

CREDENTIALS = Credentials(username=b"admin", password=b"s3cret", kg=b"", privilege=3, is_name_only=True)
SUITE_NAMES = [f"suite {suite.number}" for suite in SUITES]


def opening(suite: Suite) -> Opening:
    return Opening(credentials=CREDENTIALS, suite=suite, console_id=0x11223344, console_random=bytes(16), tag=7)


def exchanging(suite: Suite) -> Exchanging:
    return Exchanging(opened=opening(suite), bmc_id=0x55667788)


def confirming(suite: Suite) -> Confirming:
    return Confirming(exchanged=exchanging(suite), bmc_random=bytes(range(16)), guid=bytes(16))


def pair(suite: Suite) -> tuple[Session, BmcSession]:
    """Both ends of one session."""
    sik = b"k" * suite.digest_bytes
    held = Authenticated(keys=keys(suite, sik), console_id=0x11223344, bmc_id=0x55667788, guid=bytes(16))
    other = BmcSession(console_id=0x11223344, bmc_id=0x55667788, suite=suite.number, sik=sik, is_active=True)
    return Session(authenticated=held), other


@pytest.mark.parametrize("status", range(256))
def test_every_status_has_a_reason(status: int) -> None:
    short = plain_frame(Payload.OPEN_SESSION_RESPONSE, bytes((7, status)))
    if status == Status.DONE:
        with pytest.raises(BadPacket):
            opening(SUITES[0]).take(short)
    else:
        taken = opening(SUITES[0]).take(short)
        assert isinstance(taken, Refused) and taken.status == status
        assert status in list(Status) or taken.reason is Reason.NOT_UNDERSTOOD


@pytest.mark.parametrize("suite", SUITES, ids=SUITE_NAMES)
def test_an_answer_with_any_bit_altered_is_rejected(suite: Suite) -> None:
    session, other = pair(suite)
    session, _ = session.next_request().datagram(GET_CHASSIS_STATUS)
    datagram = sealed_by(Bmc(), other, CHASSIS_STATUS_ON, request_sequence=session.request_sequence)
    _, response = session.take(datagram)
    assert response.is_to(GET_CHASSIS_STATUS, session.request_sequence)
    assert power_of(response) is Power.ON
    for at in range(4, len(datagram)):  # the four bytes of RMCP say nothing of power and are not signed
        for bit in range(8):
            with pytest.raises(BadPacket):
                session.take(datagram[:at] + bytes((datagram[at] ^ 1 << bit,)) + datagram[at + 1 :])
    for end in range(len(datagram)):
        with pytest.raises(BadPacket):
            session.take(datagram[:end])


@pytest.mark.parametrize("suite", SUITES, ids=SUITE_NAMES)
def test_a_replay_or_an_answer_of_another_session_is_rejected(suite: Suite) -> None:
    session, other = pair(suite)
    session, _ = session.next_request().datagram(GET_CHASSIS_STATUS)
    older, newer = (sealed_by(Bmc(), other, CHASSIS_STATUS_ON, request_sequence=1) for _ in range(2))
    after, _ = session.take(newer)
    for seen in (older, newer):
        with pytest.raises(BadPacket):
            after.take(seen)
    foreign = replace(session, authenticated=replace(session.authenticated, console_id=1))
    with pytest.raises(BadPacket):
        foreign.take(newer)
    other_keys = replace(session.authenticated, keys=keys(suite, b"x" * suite.digest_bytes))
    with pytest.raises(BadPacket):
        replace(session, authenticated=other_keys).take(newer)


def test_an_answer_to_another_request_is_none() -> None:
    response = Response(network_function=1, command=1, request_sequence=3, completion=0, data=b"\x00\x00\x00")
    assert response.is_to(GET_CHASSIS_STATUS, 3)
    assert not response.is_to(GET_CHASSIS_STATUS, 2)
    assert not replace(response, command=2).is_to(GET_CHASSIS_STATUS, 3)
    assert not replace(response, network_function=7).is_to(GET_CHASSIS_STATUS, 3)


def test_a_request_sent_again_keeps_its_number_and_moves_the_session_on() -> None:
    session, _ = pair(SUITES[0])
    session = session.next_request()
    once, first = session.datagram(GET_CHASSIS_STATUS)
    twice, second = once.datagram(GET_CHASSIS_STATUS)
    assert first != second
    assert (once.sequence, twice.sequence) == (1, 2)
    assert once.request_sequence == twice.request_sequence


@pytest.mark.parametrize(
    ("field", "serial"),
    [
        (b"\xc4AB-1", "AB-1"),
        (b"\x42\x12\x3a", "123"),
        (b"\x83\x64\xc9\xb2", "DELL"),
        (b"\x02\xab\xcd", "abcd"),
        (b"\xc3A\x00B", ""),
    ],
)
def test_the_ways_to_write_a_serial_number(field: bytes, serial: str) -> None:
    area = fru.Area(offset=8, fields_from=3, serial_field=1)
    assert fru.serial(area, bytes((1, 2, 0)) + b"\xc0" + field + b"\xc1") == serial


@pytest.mark.parametrize("completion", range(1, 256))
def test_every_completion_code_becomes_a_device_error(completion: int) -> None:
    for is_command in (False, True):
        error = refusal("bmc:623", "Chassis Control", completion, is_command=is_command)
        assert type(error) in DEVICE_ERRORS
        assert error.is_end_known or error.may_be_done
        assert is_command or not error.may_be_done


def test_a_guid_that_is_not_set_is_no_identity() -> None:
    assert guid_text(bytes(16)) == guid_text(b"\xff" * 16) == ""
    assert guid_text(bytes(range(16))) == bytes(range(16)).hex()


def test_credentials_and_keys_are_not_shown() -> None:
    shown = repr(opening(SUITES[0])) + repr(confirming(SUITES[0])) + repr(pair(SUITES[0])[0])
    assert "s3cret" not in shown and "\\x" not in repr(CREDENTIALS)


@pytest.mark.parametrize("suite", SUITES, ids=SUITE_NAMES)
def test_a_bmc_that_does_not_prove_the_password_gets_no_session(suite: Suite) -> None:
    """Even if it has the session's key (Kg), which other BMCs may share."""
    head = struct.pack("<BBxxI", 7, Status.DONE, 0x11223344)
    datagram = plain_frame(Payload.RAKP_2, head + bytes(32) + bytes(suite.digest_bytes))
    taken = exchanging(suite).take(datagram)
    assert isinstance(taken, Refused)
    assert taken.reason is Reason.WRONG_SECRET
    assert taken.reply


@pytest.mark.parametrize("suite", SUITES, ids=SUITE_NAMES)
def test_a_bmc_without_the_sessions_key_gets_no_session(suite: Suite) -> None:
    """It proved in RAKP 2 that it knows the password; in RAKP 4 it must prove the key (IPMI 2.0, 13.23)."""
    head = struct.pack("<BBxxI", 7, Status.DONE, 0x11223344)
    taken = confirming(suite).take(plain_frame(Payload.RAKP_4, head + bytes(suite.check_bytes)))
    assert isinstance(taken, Refused) and taken.reason is Reason.WRONG_SECRET
