"""The SNMP driver with lost, late, forged and malformed answers, and with contradicting options."""

import asyncio
import hashlib
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder
from pysnmp.proto.api import v2c

from fenced.drivers.snmp import exchange, messages, unit, users
from fenced.drivers.snmp.driver import SnmpOutlet
from fenced.drivers.snmp.options import AUTH_PROTOCOLS, PRIVACY_PROTOCOLS, settings_of
from fenced.drivers.snmp.tables import TABLES, candidates, oid
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, DeviceError, DeviceTimedOut
from tests.drivers.programs import spec_of, starts_into
from tests.drivers.snmp.responder import SYS_UP_TIME, Asked, Responder, reads, responder

STATE = (1, 3, 6, 1, 4, 1, 13742, 6, 4, 1, 2, 1, 3, 1, 3)
ON, OFF = 7, 8
CUSTOM: dict[str, Any] = {
    "model": "custom", "status_oid": "1.3.6.1.4.1.9.{plug}", "control_oid": "1.3.6.1.4.1.9.1.{plug}",
    "status_on": 1, "status_off": 2, "control_on": 1, "control_off": 2,
}  # fmt: skip


def spec_at(port: int, **options: Any) -> DeviceSpec:
    return spec_of(
        "snmp_outlet", address=f"127.0.0.1:{port}", username="", options={"plug": "3", "model": "raritan", **options}
    )


async def put(spec: DeviceSpec, power: Power, *, seconds: float = 5.0) -> None:
    await SnmpOutlet().set(spec, power, timeout_seconds=seconds, on_started=starts_into([]))


# -- what is sent -----------------------------------------------------------------------------------------------------


async def test_a_lost_read_is_asked_again() -> None:
    lost = [2]

    def behave(asked: Asked) -> list[bytes]:
        lost[0] -= 1
        return [] if lost[0] >= 0 else reads(OFF)(asked)

    async with responder(behave) as agent:
        assert await SnmpOutlet().read(spec_at(agent.port), timeout_seconds=10) is Power.OFF
        assert len(agent.asked) == 3


@pytest.mark.parametrize("plug", ["3", "3,4"])
async def test_a_lost_command_leaves_once(plug: str) -> None:
    async with responder(lambda asked: [] if asked.is_set else reads(ON)(asked)) as agent:
        with pytest.raises(DeviceTimedOut) as failed:
            await put(spec_at(agent.port, plug=plug), Power.OFF, seconds=1.5)
        assert failed.value.may_be_done
        assert not failed.value.is_end_known
        assert len(agent.sets) == len(plug.split(","))


async def test_a_unit_that_does_not_answer_gets_no_command() -> None:
    async with responder(lambda _: []) as agent:
        with pytest.raises(DeviceTimedOut) as failed:
            await put(spec_at(agent.port), Power.OFF, seconds=0.8)
        assert not failed.value.may_be_done
        assert failed.value.is_end_known
        assert agent.sets == []


async def test_no_command_after_the_deadline_though_the_loop_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    """During a suspend the loop's clock stands still, so none of its timeouts fires."""
    slept = [0.0]

    def behave(asked: Asked) -> list[bytes]:
        slept[0] = 3600.0
        return reads(ON)(asked)

    monkeypatch.setattr(exchange, "boottime", lambda: time.clock_gettime(time.CLOCK_BOOTTIME) + slept[0])
    async with responder(behave) as agent:
        with pytest.raises(DeviceTimedOut) as failed:
            await put(spec_at(agent.port), Power.OFF)
        assert not failed.value.may_be_done
        assert agent.sets == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("power", [Power.ON, Power.OFF])
async def test_only_the_immediate_command_and_only_for_that_outlet(table: Any, power: Power) -> None:
    async with responder(reads(1)) as agent:
        await put(spec_at(agent.port, model=table.name), power)
        (sent,) = agent.sets
    value = int(v2c.apiPDU.get_varbinds(v2c.apiMessage.get_pdu(sent.message))[0][1])
    place = settings_of(spec_at(1, model=table.name)).places(table)[0]
    assert (sent.oids[0], value) == place.command(power)
    # Vertiv has other command numbers: 1 cancels, 3 and 5 wait, 6 and 7 reboot.
    assert value in ({2, 4} if table.name == "vertiv" else {0, 1, 2})


# -- what counts as an answer -----------------------------------------------------------------------------------------


async def test_others_answers_are_passed_over() -> None:
    def behave(asked: Asked) -> list[bytes]:
        values = [v2c.Integer32(OFF)] * len(asked.oids)
        forged = [asked.answer(*values, request_id=1), b"", b"\x30\x00", bytes(400), b"\x30\x84\xff\xff\xff\xff"]
        return [*forged, *reads(ON)(asked)]

    async with responder(behave) as agent:
        assert await SnmpOutlet().read(spec_at(agent.port), timeout_seconds=5) is Power.ON


@pytest.mark.parametrize("number", [1, 2, 3, 5, 16, 18])
async def test_an_error_is_no_state(number: int) -> None:
    async with responder(lambda asked: [asked.answer(*[v2c.Integer32(OFF)] * len(asked.oids), status=number)]) as agent:
        with pytest.raises(DeviceError) as failed:
            await SnmpOutlet().read(spec_at(agent.port), timeout_seconds=5)
        assert not failed.value.may_be_done


async def test_another_objects_value_is_no_state() -> None:
    def behave(asked: Asked) -> list[bytes]:
        others = tuple((*each[:-1], each[-1] + 1) for each in asked.oids)
        return [asked.answer(*[v2c.Integer32(OFF)] * len(others), oids=others)]

    async with responder(behave) as agent:
        with pytest.raises(DeviceError, match="other objects"):
            await SnmpOutlet().read(spec_at(agent.port), timeout_seconds=5)


async def test_an_outlet_that_is_gone_for_a_moment() -> None:
    """As snmpd answers while its subagent restarts."""
    left = [1]

    def behave(asked: Asked) -> list[bytes]:
        left[0] -= 1
        return [asked.answer(*[v2c.NoSuchInstance("")] * len(asked.oids))] if left[0] >= 0 else reads(OFF)(asked)

    async with responder(behave) as agent:
        assert await SnmpOutlet().read(spec_at(agent.port), timeout_seconds=5) is Power.OFF


VALUES = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(v2c.Integer32),
    st.sampled_from([ON, OFF, 0, 1, 2]).map(v2c.Integer32),
    st.integers(0, 2**32 - 1).map(v2c.Gauge32),
    st.integers(0, 2**32 - 1).map(v2c.Counter32),
    st.integers(0, 2**64 - 1).map(v2c.Counter64),
    st.integers(0, 2**32 - 1).map(v2c.TimeTicks),
    st.binary(max_size=20).map(v2c.OctetString),
    st.just(v2c.ObjectIdentifier((1, 3, 6, OFF))),
    st.sampled_from([v2c.NoSuchObject(""), v2c.NoSuchInstance(""), v2c.EndOfMibView(""), v2c.null]),
)


@settings(max_examples=150, deadline=None)
@given(state=VALUES)
def test_off_is_only_the_off_integer(state: Any) -> None:
    request = messages.Request(request_id=5, oids=(STATE,))
    asked = Asked(False, (STATE,), decoder.decode(
        messages.pack_community(1, "c", request), asn1Spec=v2c.Message())[0])  # fmt: skip
    response = messages.unpack_community(1, asked.answer(state), 5)
    assert response is not None
    place = settings_of(spec_at(1)).places(next(table for table in TABLES if table.name == "raritan"))[0]
    table = next(table for table in TABLES if table.name == "raritan")
    power = unit._power(table, place, dict(response.values))
    is_integer = isinstance(state, v2c.Integer32) and not isinstance(state, (v2c.Gauge32, v2c.Counter32))
    assert (power is Power.OFF) == (is_integer and int(state) == OFF)
    assert (power is Power.ON) == (is_integer and int(state) == ON)


# -- version 3 --------------------------------------------------------------------------------------------------------


def test_keys_are_those_of_the_standard() -> None:
    """RFC 3414, A.3.1 and A.3.2."""
    assert users.hashed("md5", "maplesyrup").hex() == "9faf3283884e92834ebc9847d8edd963"
    assert users.hashed("sha", "maplesyrup").hex() == "9fb5cc0381497b3793528939ff788d5d79145211"


def response(user: users.User, engine: users.Engine) -> bytes:
    """Return what an agent with the same keys would answer: a response instead of a request."""

    def answering(request: messages.Request) -> Any:
        pdu = v2c.ResponsePDU()
        v2c.apiPDU.set_defaults(pdu)
        v2c.apiPDU.set_request_id(pdu, request.request_id)
        v2c.apiPDU.set_varbinds(pdu, [(STATE, v2c.Integer32(OFF))])
        return pdu

    with patch("fenced.drivers.snmp.users.pdu_of", answering):
        return users.pack(user, engine, messages.Request(request_id=7, oids=()), now=0.0)


@pytest.mark.parametrize("digest", AUTH_PROTOCOLS)
@pytest.mark.parametrize("cipher", PRIVACY_PROTOCOLS)
def test_an_answer_counts_only_if_it_is_protected_as_asked(digest: str, cipher: str) -> None:
    engine = users.Engine(id=bytes(5) + b"engine" + bytes(21), boots=3, seconds=9)
    signing, encrypting = users.hashed(digest, "signing-it"), users.hashed(digest, "encrypting-it")
    user = users.User(name="u", digest=digest, cipher=cipher, signing=signing, encrypting=encrypting)
    good = users.unpack(user, engine, response(user, engine), 7, now=0.0)
    assert isinstance(good, messages.Response)
    assert good.values[0][1].number == OFF
    for forger, theirs in (
        (replace(user, signing=b"", encrypting=b""), engine),
        (replace(user, encrypting=b""), engine),
        (replace(user, signing=hashlib.sha1(b"x").digest()), engine),
        (replace(user, name="v"), engine),
        (user, replace(engine, id=b"another-engine")),
    ):
        assert users.unpack(user, engine, response(forger, theirs), 7, now=0.0) is None
    assert users.unpack(user, engine, response(user, engine), 8, now=0.0) is None


# -- options ----------------------------------------------------------------------------------------------------------


def v3(**options: Any) -> DeviceSpec:
    return replace(spec_at(161, **options), username="fence")


@pytest.mark.parametrize(
    "spec",
    [
        spec_at(1, community="private"),
        spec_at(1, colour="blue"),
        spec_at(1, model="acme"),
        spec_at(1, version="4"),
        spec_at(1, plug=""),
        spec_at(1, plug="07"),
        spec_at(1, plug="0"),
        spec_at(1, plug="7,7"),
        spec_at(1, plug="a"),
        spec_at(1, plug="1:2:3"),
        spec_at(1, plug=",".join(map(str, range(1, 40)))),
        spec_at(1, ready_after=-1),
        spec_at(1, ready_after="soon"),
        spec_at(1, status_oid="1.3.6.{plug}"),
        spec_at(1, context="rack"),
        spec_at(1, auth_protocol="sha"),
        replace(spec_at(1), password=None),
        replace(spec_at(1, version="2c"), username="fence"),
        replace(spec_at(1), secrets=(("privacy_password", Secret("12345678")),)),
        replace(spec_at(1), address="http://host/path"),
        replace(spec_at(1), address=""),
        replace(spec_at(1), address="host:port"),
        spec_at(1, version="3"),
        replace(v3(), password=Secret("short")),
        v3(privacy_protocol="aes"),
        v3(auth_protocol="sha1024"),
        replace(v3(), password=None, secrets=(("privacy_password", Secret("12345678")),)),
        replace(v3(auth_protocol="sha"), password=None),
        spec_at(1, model="custom"),
        spec_at(1, **CUSTOM | {"status_off": 1}),
        spec_at(1, **CUSTOM | {"control_off": 1}),
        spec_at(1, **CUSTOM | {"control_on": True}),
        spec_at(1, **CUSTOM | {"control_on": "on"}),
        spec_at(1, **CUSTOM | {"status_oid": "1.3.6.1"}),
        spec_at(1, **CUSTOM | {"status_oid": "1.3.six.{plug}"}),
        spec_at(1, **CUSTOM | {"control_oid": "1.{plug}.{plug}"}),
    ],
)
async def test_contradictions_are_refused_before_anything_is_sent(spec: DeviceSpec) -> None:
    assert spec.password is None or isinstance(spec.password, Secret)
    with pytest.raises(BadParameters) as failed:
        await SnmpOutlet().read(spec, timeout_seconds=1)
    assert not failed.value.may_be_done
    assert spec.password is None or spec.password.reveal() not in str(failed.value)


@pytest.mark.parametrize(
    ("model", "plug"),
    [
        ("apc", "1:7"),
        ("raritan", "1:7"),
        ("eaton", "0:7"),
        ("cyberpower", "2:7"),
        ("sentry3", "1:1:7"),
        ("sentry4", "2:7"),
    ],
)
async def test_an_outlet_has_one_name(model: str, plug: str) -> None:
    """Two spellings must not let two hosts share an outlet."""
    async with responder(reads(1)) as agent:
        with pytest.raises(BadParameters, match="7"):
            await SnmpOutlet().read(spec_at(agent.port, model=model, plug=plug), timeout_seconds=1)
        assert agent.asked == []


def test_outlets_of_a_chain() -> None:
    places = {
        name: settings_of(spec_at(1, plug="2:7")).places(table)
        for name, table in by_name().items()
        if len(table.first) == 1
    }
    assert {name: place[0].state[-2:] for name, place in places.items()} == {"raritan": (2, 7), "eaton": (2, 7)}
    table = settings_of(spec_at(1, **CUSTOM, plug="2:7")).table
    assert table is not None
    assert settings_of(spec_at(1, plug="2:7")).places(table)[0].state == (1, 3, 6, 1, 4, 1, 9, 2, 7)


def by_name() -> dict[str, Any]:
    return {table.name: table for table in TABLES}


def test_addresses() -> None:
    for address, expected in {
        "pdu-1": ("pdu-1", 161), "pdu-1:1161": ("pdu-1", 1161), "10.0.0.1": ("10.0.0.1", 161),
        "fd00::1": ("fd00::1", 161), "[fd00::1]:1161": ("fd00::1", 1161),
    }.items():  # fmt: skip
        found = settings_of(replace(spec_at(1), address=address))
        assert (found.host, found.port) == expected


def test_no_secret_in_any_text() -> None:
    spec = replace(v3(), secrets=(("privacy_password", Secret("encrypt1ng")),))
    texts = f"{settings_of(spec)!r} {settings_of(spec)} {settings_of(spec_at(1))!r}"
    user = users.User(name="u", signing=b"\x01secretkey", encrypting=b"\x01secretkey")
    texts += f"{user!r} {exchange.Account(community='hunter2&co', user=user)!r}"
    assert not any(secret in texts for secret in ("hunter2&co", "encrypt1ng", "secretkey"))


def test_an_unknown_unit_has_no_table() -> None:
    assert candidates(()) == ()
    assert candidates(oid("1.3.6.1.4.1.8072.3.2.10")) == ()
    assert next(table.name for table in candidates(oid("1.3.6.1.4.1.318.1.3.4.6"))) == "apc_rpdu2"


def test_a_daemon_without_units_does_not_pay() -> None:
    code = (
        "import sys, fenced.drivers.registry; "
        "print([name for name in sys.modules if 'asn1' in name or 'pysnmp' in name])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"


async def test_a_flood_is_bounded() -> None:
    """Datagrams beyond the limit are dropped while no call reads."""
    channel = exchange.Channel()
    for _ in range(10 * exchange.DATAGRAMS_MAX):
        channel.datagram_received(b"x", ("127.0.0.1", 1))
    for _ in range(exchange.DATAGRAMS_MAX):
        assert await channel.receive() == b"x"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await channel.receive()


async def test_a_cancelled_read_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(exchange.Channel, "connection_lost", lambda _self, _exc: closed.append(1), raising=False)
    async with responder(lambda _: []) as agent:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await SnmpOutlet().read(spec_at(agent.port), timeout_seconds=30)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert closed == [1]


async def test_the_uptime_of_a_unit_that_does_not_tell_is_not_asked_for_twice() -> None:
    def behave(asked: Asked) -> list[bytes]:
        values = [v2c.NoSuchObject("") if each == SYS_UP_TIME else v2c.Integer32(ON) for each in asked.oids]
        return [asked.answer(*values)]

    async with responder(behave) as agent:
        assert isinstance(agent, Responder)
        assert await SnmpOutlet().read(spec_at(agent.port), timeout_seconds=5) is Power.ON
        assert len(agent.asked) == 1
