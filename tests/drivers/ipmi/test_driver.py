"""The IPMI driver with a BMC that loses datagrams, lies, restarts or has no session left."""

import asyncio
import time
from typing import Any

import pytest

from fenced.drivers.ipmi.driver import Ipmi
from fenced.drivers.registry import NATIVES
from fenced.model.inventory import Secret
from fenced.model.power import Power
from fenced.ports.devices import (
    BadParameters,
    DeviceError,
    DeviceNotReady,
    DeviceTimedOut,
    DeviceUnreachable,
    Identified,
    LoginRefused,
    NotSupported,
    WrongMachine,
)
from tests.drivers.ipmi.bmc import (
    CONTROL,
    DEVICE_GUID,
    DEVICE_ID,
    FRU_READ,
    OPEN,
    RAKP_3,
    SET_PRIVILEGE,
    STATUS,
    SYSTEM_GUID,
    Bmc,
    serving,
)
from tests.drivers.ipmi.calls import read, spec_at, switch
from tests.drivers.programs import descriptors, spec_of
from tests.net import until

GUID = bytes(range(16)).hex()
CHASSIS_AREA = bytes((1, 1, 0x17, 0xC0, 0xC4)) + b"CH-"  # its serial number is cut off by its end
BOARD_AREA = bytes((1, 2, 0, 0, 0, 0, 0xC0, 0xC0, 0xC5)) + b"BRD-9" + bytes((0xC1, 0))
FRU = bytes.fromhex("01000102000000fc") + CHASSIS_AREA + BOARD_AREA


def test_it_is_one_of_our_drivers() -> None:
    assert Ipmi in NATIVES
    assert Ipmi.description.can_identify and Ipmi.description.is_one_plug


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


async def test_a_downgrade_of_the_suite_is_rejected() -> None:
    """A BMC, or an attacker, that offers no algorithms gets no session."""

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
async def test_wrong_options_are_reported_and_nothing_is_sent(options: dict[str, Any]) -> None:
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
async def test_invalid_settings_are_reported_without_secrets(changes: dict[str, Any]) -> None:
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
    """The machine was suspended for an hour, and the loop's clock stood still."""
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


async def test_a_bmc_that_is_starting_is_not_ready() -> None:
    async with serving(Bmc(is_on=False, is_available=False)) as bmc:
        with pytest.raises(DeviceNotReady):
            await read(bmc)
        bmc.is_available = True
        bmc.completions = {STATUS: 0xD2}
        with pytest.raises(DeviceNotReady):
            await read(bmc)


@pytest.mark.parametrize("power", [Power.OFF, Power.ON])
async def test_what_could_not_be_read_afterwards_is_not_switched(power: Power) -> None:
    """A BMC that never reports itself available: its power would be cut and never be proven off."""
    async with serving(Bmc(is_on=power is Power.OFF, is_available=False)) as bmc:
        for call in (read(bmc), switch(bmc, power)):
            with pytest.raises(DeviceNotReady, match="check_ready = false") as failed:
                await call
            assert not failed.value.may_be_done
        assert bmc.commands == []
        await switch(bmc, power, check_ready=False)
        assert await read(bmc, check_ready=False) is power


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


async def test_a_bmc_that_restarts_in_between_gets_a_new_login() -> None:
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


@pytest.mark.parametrize("driver_identity", ["", GUID])
async def test_the_system_guid_identifies_the_machine_and_costs_one_request(driver_identity: str) -> None:
    async with serving(Bmc(fru=FRU)) as bmc:
        told = await Ipmi().identify(spec_at(bmc, identity=driver_identity), timeout_seconds=5.0)
        assert told == Identified(power=Power.ON, identities=(GUID,))
        assert not {FRU_READ, DEVICE_GUID} & {key for key, _ in bmc.asked}


async def test_the_guid_of_the_login_and_then_serial_numbers_tell_it() -> None:
    async with serving(Bmc(fru=FRU, completions={SYSTEM_GUID: 0xC1})) as bmc:
        assert (await Ipmi().identify(spec_at(bmc), timeout_seconds=5.0)).identities == (GUID,)
    async with serving(Bmc(fru=FRU, guid=bytes(16))) as bmc:
        assert (await Ipmi().identify(spec_at(bmc), timeout_seconds=5.0)).identities == ("BRD-9",)
    async with serving(Bmc(fru=FRU, guid=bytes(16), password="BRD-9")) as bmc:
        told = await Ipmi().identify(spec_at(bmc, password=Secret("BRD-9")), timeout_seconds=5.0)
        assert told == Identified(power=Power.ON)


async def test_a_bmc_that_does_not_identify_itself_in_time_is_still_read() -> None:
    async with serving(Bmc(guid=bytes(16), mute=lambda asked: asked in {SYSTEM_GUID, FRU_READ})) as bmc:
        assert await Ipmi().identify(spec_at(bmc), timeout_seconds=3.0) == Identified(power=Power.ON)


async def test_a_reading_of_an_operation_asks_for_no_identity() -> None:
    async with serving(Bmc(fru=FRU)) as bmc:
        await read(bmc)
        assert not {FRU_READ, DEVICE_GUID, SYSTEM_GUID} & {key for key, _ in bmc.asked}


async def test_a_serial_number_that_is_the_password_is_masked() -> None:
    async with serving(Bmc(fru=FRU, guid=bytes(16), password="BRD-9")) as bmc:
        with pytest.raises(WrongMachine) as failed:
            await read(bmc, identity="BRD-8", password=Secret("BRD-9"))
        assert "BRD-9" not in str(failed.value)


@pytest.mark.parametrize(("identity", "guid"), [("BRD-9", bytes(range(16))), (GUID, bytes(16))])
async def test_a_machine_that_cannot_be_identified(identity: str, guid: bytes) -> None:
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
