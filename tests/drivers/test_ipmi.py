"""The IPMI driver against a BMC that loses, lies, restarts and is full, all on purpose."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest

from fenced.drivers.ipmi import Ipmi
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import (
    BadParameters,
    DeviceError,
    DeviceNotReady,
    DeviceTimedOut,
    DeviceUnreachable,
    LoginRefused,
    NotSupported,
    WrongMachine,
)
from tests.drivers.ipmi_bmc import (
    CLOSE_SESSION,
    CONTROL,
    DEVICE_GUID,
    DEVICE_ID,
    OPEN,
    RAKP_1,
    RAKP_3,
    SET_PRIVILEGE,
    STATUS,
    SYSTEM_GUID,
    Bmc,
    serving,
)
from tests.drivers.programs import descriptors, spec_of, starts_into
from tests.net import until

GUID = bytes(range(16)).hex()
CHASSIS_AREA = bytes((1, 1, 0x17, 0xC0, 0xC4)) + b"CH-"  # its serial number is cut off by its end
BOARD_AREA = bytes((1, 2, 0, 0, 0, 0, 0xC0, 0xC0, 0xC5)) + b"BRD-9" + bytes((0xC1, 0))
FRU = bytes.fromhex("01000102000000fc") + CHASSIS_AREA + BOARD_AREA


def spec_at(bmc: Bmc, **changes: Any) -> DeviceSpec:
    given: dict[str, Any] = {
        "address": f"127.0.0.1:{bmc.port}", "username": "admin", "password": Secret("s3cret!pw"), "options": {},
    }  # fmt: skip
    return spec_of("ipmi", **(given | changes))


def first(kind: Any, *, times: int = 1) -> Callable[[Any], bool]:
    """Whether this is one of the first of its kind."""
    counted = itertools.count()
    return lambda asked: asked == kind and next(counted) < times


async def read(bmc: Bmc, *, seconds: float = 5.0, driver: Ipmi | None = None, **changes: Any) -> Power:
    return await (driver or Ipmi()).read(spec_at(bmc, **changes), timeout_seconds=seconds)


async def switch(bmc: Bmc, power: Power, *, seconds: float = 5.0, **changes: Any) -> None:
    await Ipmi().set(spec_at(bmc, **changes), power, timeout_seconds=seconds, on_started=starts_into([]))


async def test_suite_17_is_spoken_where_there_is_one() -> None:
    async with serving(Bmc()) as bmc:
        assert await read(bmc) is Power.ON
        await switch(bmc, Power.OFF)
        assert await read(bmc) is Power.OFF
        assert set(bmc.logins) == {17} and bmc.commands == [b"\x00"] and bmc.active == 0


@pytest.mark.parametrize("cipher", [3, 17, "3", "17"])
async def test_a_suite_that_was_chosen_is_the_only_one(cipher: object) -> None:
    number = int(str(cipher))
    async with serving(Bmc()) as bmc:
        assert await read(bmc, options={"cipher": cipher}) is Power.ON
        assert bmc.logins == [number]
    async with serving(Bmc(suites=(20 - number,))) as bmc:
        with pytest.raises(NotSupported):
            await read(bmc, options={"cipher": cipher})
        assert bmc.logins == []


async def test_a_bmc_without_17_is_asked_for_3_first_the_next_time() -> None:
    driver = Ipmi()
    async with serving(Bmc(suites=(3,))) as bmc:
        assert await read(bmc, driver=driver) is Power.ON
        opened = len(bmc.received)
        assert await read(bmc, driver=driver) is Power.ON
        assert len(bmc.received) - opened == opened - 1
        bmc.suites = (17,)
        assert await read(bmc, driver=driver) is Power.ON


async def test_nothing_less_than_what_was_asked_for_is_taken() -> None:
    """A BMC, or somebody on the way, that answers with no algorithms at all gets no session."""

    def weaken(datagram: bytes) -> list[bytes]:
        if datagram[5] == OPEN + 1:
            datagram = datagram[:32] + b"\0" + datagram[33:40] + b"\0" + datagram[41:48] + b"\0" + datagram[49:]
        return [datagram]

    async with serving(Bmc(mangle=weaken)) as bmc:
        with pytest.raises(NotSupported):
            await read(bmc)
        assert all(datagram[5] & 0x3F == OPEN for datagram in bmc.received)


@pytest.mark.parametrize(
    "options", [{"cipher": 0}, {"cipher": "1"}, {"privilege": "user"}, {"lookup": "x"}, {"nonesuch": 1}]
)
async def test_wrong_options_are_told_and_nothing_is_sent(options: dict[str, Any]) -> None:
    async with serving(Bmc()) as bmc:
        with pytest.raises(BadParameters):
            await read(bmc, options=options)
        with pytest.raises(BadParameters):
            await switch(bmc, Power.OFF, options=options)
        assert bmc.received == []


@pytest.mark.parametrize(
    "changes",
    [
        {"username": "x" * 17},
        {"password": Secret("p" * 21)},
        {"password": Secret("ä" * 11)},
        {"secrets": (("kg", Secret("0xzz")),)},
        {"secrets": (("kg", Secret("k" * 21)),)},
        {"secrets": (("kg", Secret("0x" + "aa" * 21)),)},
        {"secrets": (("other", Secret("k")),)},
        {"address": ""},
        {"address": "bmc:0"},
        {"address": "bmc:port"},
        {"address": "fe80::zz"},
        {"address": "b\0mc"},
        {"address": "[::1]x"},
        {"address": "https://bmc"},
    ],
)
async def test_what_ipmi_cannot_take_is_told_without_secrets(changes: dict[str, Any]) -> None:
    spec = spec_of("ipmi", **changes)
    with pytest.raises(BadParameters) as failed:
        await Ipmi().read(spec, timeout_seconds=1)
    assert failed.value.may_be_done is False
    assert not any(secret in str(failed.value) for secret in spec.all_secrets if len(secret) > 1)


@pytest.mark.parametrize("kg", [Secret("key"), Secret("0x6b6579")])
async def test_the_key_of_the_bmc(kg: Secret) -> None:
    async with serving(Bmc(kg=b"key")) as bmc:
        assert await read(bmc, secrets=(("kg", kg),)) is Power.ON
        with pytest.raises(LoginRefused):
            await read(bmc)


async def test_a_wrong_password_is_no_silence() -> None:
    async with serving(Bmc()) as bmc:
        with pytest.raises(LoginRefused) as failed:
            await switch(bmc, Power.OFF, password=Secret("wr0ng"))
        assert failed.value.may_be_done is False and bmc.commands == []
        await until(lambda: not bmc.sessions, what="the BMC was told that the login is over")


async def test_a_user_without_the_privilege() -> None:
    async with serving(Bmc(user_privilege=2)) as bmc:
        with pytest.raises(LoginRefused):
            await read(bmc)
        bmc.user_privilege = 3
        assert await read(bmc) is Power.ON
        bmc.completions = {SET_PRIVILEGE: 0x81}
        with pytest.raises(LoginRefused):
            await read(bmc)
        await until(lambda: bmc.active == 0, what="its session is closed")


@pytest.mark.parametrize("lost", [OPEN, RAKP_1, RAKP_3, SET_PRIVILEGE, DEVICE_ID, STATUS, CLOSE_SESSION])
@pytest.mark.parametrize("is_answer", [False, True])
async def test_a_lost_datagram_costs_a_repetition(lost: Any, is_answer: bool) -> None:
    async with serving(Bmc(sessions_max=1)) as bmc:
        if is_answer:
            bmc.mute = first(lost)
        else:
            bmc.lose = first(lost)
        assert await read(bmc, seconds=8.0, options={"cipher": 17}) is Power.ON
        await until(lambda: bmc.active == 0, what="its only session is free again")


async def test_a_power_command_is_sent_once_and_in_doubt_without_its_answer() -> None:
    for fault in ("lose", "mute"):
        async with serving(Bmc()) as bmc:
            setattr(bmc, fault, lambda asked: asked == CONTROL)
            with pytest.raises(DeviceTimedOut) as failed:
                await switch(bmc, Power.OFF, seconds=1.5)
            assert failed.value.may_be_done is True and failed.value.is_end_known is False
            assert len(bmc.commands) == (0 if fault == "lose" else 1)
            assert await read(bmc) is (Power.ON if fault == "lose" else Power.OFF)


async def test_a_command_is_not_sent_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine slept for an hour, and the loop's clock with it."""
    slept = [0.0]
    clock = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + slept[0])

    def sleep(asked: Any) -> bool:
        if asked == SET_PRIVILEGE:
            slept[0] = 3600.0
        return False

    async with serving(Bmc(lose=sleep)) as bmc:
        with pytest.raises(DeviceTimedOut) as failed:
            await switch(bmc, Power.OFF)
        assert failed.value.may_be_done is False and bmc.commands == []


@pytest.mark.parametrize(
    ("completion", "kind", "may_be_done"),
    [
        (0xC0, DeviceNotReady, False),
        (0xC1, NotSupported, False),
        (0xC3, DeviceNotReady, True),
        (0xCE, DeviceError, True),
        (0xD2, DeviceNotReady, False),
        (0xD4, LoginRefused, False),
        (0xD5, DeviceError, False),
        (0xFF, DeviceError, True),
    ],
)
async def test_what_a_bmc_says_of_a_command(completion: int, kind: type[DeviceError], may_be_done: bool) -> None:
    async with serving(Bmc(completions={CONTROL: completion})) as bmc:
        with pytest.raises(kind) as failed:
            await switch(bmc, Power.OFF)
        assert failed.value.may_be_done is may_be_done
        assert failed.value.is_end_known is not may_be_done
        assert len(bmc.commands) == 1


async def test_a_bmc_that_refuses_because_it_is_so_already() -> None:
    async with serving(Bmc(is_on=False, completions={CONTROL: 0xD5})) as bmc:
        await switch(bmc, Power.OFF)


async def test_a_bmc_that_is_starting_is_not_believed() -> None:
    async with serving(Bmc(is_on=False, is_available=False)) as bmc:
        with pytest.raises(DeviceNotReady):
            await read(bmc)
        bmc.is_available = True
        bmc.completions = {STATUS: 0xD2}
        with pytest.raises(DeviceNotReady):
            await read(bmc)


async def test_a_full_bmc_is_waited_for() -> None:
    async with serving(Bmc(sessions_max=0)) as bmc:
        with pytest.raises(DeviceError) as failed:
            await read(bmc, seconds=0.5)
        assert not isinstance(failed.value, DeviceTimedOut | DeviceNotReady)
        assert failed.value.may_be_done is False
        waiting = asyncio.ensure_future(read(bmc, seconds=10.0))
        await until(lambda: len(bmc.received) > 3, what="it was asked again")
        bmc.sessions_max = 1
        assert await waiting is Power.ON


async def test_one_session_serves_one_call_after_the_other() -> None:
    async with serving(Bmc(sessions_max=1)) as bmc:
        for _ in range(20):
            assert await read(bmc, seconds=2.0) is Power.ON
        assert len(bmc.logins) == 20


async def test_a_bmc_that_restarts_in_between_is_logged_in_to_anew() -> None:
    async with serving(Bmc()) as bmc:

        def forget(asked: Any) -> bool:
            if asked == DEVICE_ID and len(bmc.logins) == 1:
                bmc.sessions.clear()
                return True
            return False

        bmc.lose = forget
        assert await read(bmc, seconds=10.0) is Power.ON
        assert len(bmc.logins) == 2


async def test_a_cancelled_call_gives_its_session_back() -> None:
    async with serving(Bmc()) as bmc:
        bmc.lose = lambda asked: asked == STATUS
        before = descriptors()
        running = asyncio.ensure_future(read(bmc, seconds=10.0))
        await until(lambda: any(key == DEVICE_ID for key, _ in bmc.asked), what="it is in its session")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: bmc.active == 0, what="the session is closed")
        assert descriptors() == before


async def test_a_login_that_timed_out_after_rakp_3_gives_its_session_back() -> None:
    async with serving(Bmc(mute=lambda asked: asked == RAKP_3)) as bmc:
        with pytest.raises(DeviceTimedOut):
            await read(bmc, seconds=0.3)
        await until(lambda: len(bmc.logins) == 1 and bmc.active == 0, what="the session is closed")


@pytest.mark.parametrize("identity", [GUID, GUID.upper(), "03020100-0504-0706-0809-0a0b0c0d0e0f", "BRD-9"])
async def test_the_right_machine(identity: str) -> None:
    async with serving(Bmc(fru=FRU, fru_read_max=16)) as bmc:
        assert await read(bmc, identity=identity) is Power.ON
        await switch(bmc, Power.OFF, identity=identity)
        assert bmc.commands == [b"\x00"]


@pytest.mark.parametrize("identity", ["00" * 15 + "01", "BRD-8", "BRD"])
async def test_the_wrong_machine_is_neither_read_nor_switched(identity: str) -> None:
    async with serving(Bmc(fru=FRU)) as bmc:
        for call in (read(bmc, identity=identity), switch(bmc, Power.OFF, identity=identity)):
            with pytest.raises(WrongMachine) as failed:
                await call
            assert failed.value.may_be_done is False
        assert bmc.commands == [] and STATUS not in [key for key, _ in bmc.asked]


@pytest.mark.parametrize(("identity", "guid"), [("BRD-9", bytes(range(16))), (GUID, bytes(16))])
async def test_a_machine_that_cannot_be_told(identity: str, guid: bytes) -> None:
    async with serving(Bmc(guid=guid, completions={SYSTEM_GUID: 0xC1, DEVICE_GUID: 0xC1})) as bmc:
        with pytest.raises(DeviceError) as failed:
            await switch(bmc, Power.OFF, identity=identity)
        assert not isinstance(failed.value, WrongMachine)
        assert failed.value.may_be_done is False and bmc.commands == []


async def test_ipv6_and_names() -> None:
    async with serving(Bmc(), host="::1") as bmc:
        assert await read(bmc, address=f"[::1]:{bmc.port}") is Power.ON
    async with serving(Bmc()) as bmc:
        assert await read(bmc, address=f"localhost:{bmc.port}") is Power.ON
        with pytest.raises(DeviceUnreachable):
            await read(bmc, address="no-such-host.invalid")
        with pytest.raises(DeviceUnreachable):
            await read(bmc, address="a..b")


@pytest.mark.parametrize("kind", ["repeated", "altered", "garbage", "another's"])
async def test_datagrams_that_are_not_authentic_are_as_if_they_had_not_come(kind: str) -> None:
    async with serving(Bmc(is_on=True)) as bmc, serving(Bmc(is_on=False)) as other:
        sent: list[bytes] = []
        others: list[bytes] = []
        other.mangle = lambda datagram: [others.append(datagram) or datagram]  # type: ignore[func-returns-value]

        assert await read(other) is Power.OFF

        def mangle(datagram: bytes) -> list[bytes]:
            sent.append(datagram)
            flipped = datagram[:-20] + bytes((datagram[-20] ^ 1,)) + datagram[-19:]
            wrong = {
                "repeated": list(sent[-3:-1]),
                "altered": [flipped] if datagram[5] & 0x40 else [],
                "garbage": [b"", b"\0" * 9, datagram[:15], b"\x06\0\xff\x07\x06\xc0" + b"\xff" * 40],
                "another's": others[-2:],
            }[kind]
            return [*wrong, datagram]

        bmc.mangle = mangle
        assert await read(bmc) is Power.ON
        await switch(bmc, Power.OFF)
        assert await read(bmc) is Power.OFF


async def test_hundreds_at_once_and_a_tenth_of_them_dead() -> None:
    """From one process, each in its own session, the dead delaying nobody."""
    driver = Ipmi()
    async with serving(Bmc(sessions_max=1000)) as bmc, serving(Bmc(lose=lambda _: True)) as dead:
        before = descriptors()

        async def one(number: int) -> tuple[bool, float]:
            target = dead if number % 10 == 0 else bmc
            began = time.monotonic()
            try:
                await driver.read(spec_at(target), timeout_seconds=6.0)
            except DeviceTimedOut:
                return False, time.monotonic() - began
            return True, time.monotonic() - began

        done = await asyncio.gather(*(one(number) for number in range(300)))
        assert sum(is_read for is_read, _ in done) == 270
        assert all(seconds < 6.0 for is_read, seconds in done if is_read)
        assert descriptors() == before and bmc.active == 0
