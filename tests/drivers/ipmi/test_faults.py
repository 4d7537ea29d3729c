"""The IPMI driver with lost, repeated and forged datagrams, and with many BMCs at once."""

import asyncio
import contextlib
import random
import time
from typing import Any

import pytest

from fenced.drivers.ipmi.driver import Ipmi
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceTimedOut
from tests.drivers.ipmi.bmc import CLOSE_SESSION, DEVICE_ID, OPEN, RAKP_1, RAKP_3, SET_PRIVILEGE, STATUS, Bmc, serving
from tests.drivers.ipmi.calls import first, read, spec_at, switch
from tests.drivers.programs import descriptors
from tests.net import until


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


async def test_on_a_bad_line_every_reading_is_true() -> None:
    """A fifth of all datagrams is lost in both directions.

    Each command reaches its BMC at most once, and each read is right.
    """
    dice = random.Random(2)

    def is_lost(_: Any) -> bool:
        return dice.random() < 0.2

    async def one() -> None:
        async with serving(Bmc(lose=is_lost, mute=is_lost, sessions_max=8)) as bmc:
            for sent, power in enumerate((Power.OFF, Power.ON), start=1):
                try:
                    await switch(bmc, power, seconds=8.0)
                    assert bmc.is_on is (power is Power.ON)
                except DeviceError as exc:
                    assert exc.may_be_done or bmc.is_on is not (power is Power.ON) or len(bmc.commands) < sent
                assert len(bmc.commands) <= sent
                with contextlib.suppress(DeviceError):
                    assert (await read(bmc, seconds=8.0) is Power.ON) is bmc.is_on

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(one(), name=f"bmc-{number}")


async def test_hundreds_at_once_and_a_tenth_of_them_dead() -> None:
    """From one process, each in a session; dead BMCs do not delay the others."""
    driver = Ipmi()
    async with serving(Bmc(sessions_max=1000)) as bmc, serving(Bmc(lose=lambda _: True)) as dead:
        before = descriptors()

        async def one(number: int) -> tuple[bool, float]:
            target = dead if number % 10 == 0 else bmc
            began = time.monotonic()
            try:
                await driver.read(spec_at(target), timeout_seconds=15.0)
            except DeviceTimedOut:
                return False, time.monotonic() - began
            return True, time.monotonic() - began

        done = await asyncio.gather(*(one(number) for number in range(300)))
        assert sum(is_read for is_read, _ in done) == 270
        read, timed_out = ({seconds for is_read, seconds in done if is_read is wanted} for wanted in (True, False))
        assert max(read) < min(timed_out)
        assert descriptors() == before and bmc.active == 0
