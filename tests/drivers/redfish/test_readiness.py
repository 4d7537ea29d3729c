"""Off does not count for a BMC that has just started or is busy; requested waits are observed."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from fenced.drivers.redfish.answers import Answer
from fenced.drivers.redfish.driver import Redfish
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceNotReady, DeviceTimedOut
from tests.drivers.programs import starts_into
from tests.drivers.redfish.bmc import (
    MANAGER,
    RESET,
    ROOT,
    SESSIONS,
    SYSTEM,
    SYSTEMS,
    Bmc,
    answering,
    in_turn,
    message,
    read,
    spec,
    switch,
)
from tests.net import until

UP_LONG = {
    "DateTime": "2026-11-22T10:02:00+00:00",
    "LastResetTime": "2026-11-20T10:00:00Z",
    "Status": {"State": "Enabled"},
}


async def test_off_of_a_system_that_is_absent_proves_nothing(redfish: Redfish, bmc: Bmc) -> None:
    """An empty slot of a chassis, or a blade that its manager has lost: the host may run elsewhere, or even there."""
    bmc.properties[""] = {"Status": {"State": "Absent"}}
    assert await read(redfish, bmc) is Power.ON
    bmc.power = "Off"
    with pytest.raises(DeviceError, match="absent"):
        await read(redfish, bmc)
    bmc.answers["POST", RESET] = answering(409)
    with pytest.raises(DeviceError):
        await switch(redfish, bmc, Power.OFF)
    bmc.properties[""] = {"Status": {"State": "StandbyOffline"}}
    assert await read(redfish, bmc) is Power.OFF


@pytest.mark.parametrize("power", ["On", "Off"])
async def test_a_system_that_is_absent_is_not_switched_off(redfish: Redfish, bmc: Bmc, power: str) -> None:
    """Its OFF could never be proven."""
    bmc.properties[""], bmc.power = {"Status": {"State": "Absent"}}, power
    with pytest.raises(DeviceError, match="absent") as caught:
        await switch(redfish, bmc, Power.OFF)
    assert not caught.value.may_be_done and bmc.power == power
    assert ("POST", RESET) not in bmc.requests
    await switch(redfish, bmc, Power.ON)
    assert bmc.power == "On"


@pytest.mark.parametrize(
    "manager",
    [
        {"Status": {"State": "Starting"}},
        {"PowerState": "PoweringOn"},
        {"DateTime": "2026-11-22T10:00:30+00:00", "LastResetTime": "2026-11-22T10:00:00Z"},
        {"DateTime": "1970-01-01T02:00:59+02:00", "LastResetTime": "1970-01-01T00:00:00"},
    ],
)
async def test_off_does_not_count_for_a_bmc_that_has_just_started(
    redfish: Redfish, bmc: Bmc, manager: dict[str, Any]
) -> None:
    bmc.manager = manager
    assert await read(redfish, bmc) is Power.ON
    bmc.power = "Off"
    with pytest.raises(DeviceNotReady):
        await read(redfish, bmc)
    bmc.manager = UP_LONG
    assert await read(redfish, bmc) is Power.OFF


@pytest.mark.parametrize(
    "manager",
    [
        {},
        UP_LONG,
        {"DateTime": "2026-11-22T10:00:00Z", "LastResetTime": "2026-11-22T11:00:00Z"},
        {"DateTime": "yesterday", "LastResetTime": 7, "Status": "Starting"},
        {"DateTime": None, "LastResetTime": "2026-11-22T11:00:00Z", "Status": {"State": ["Starting"]}},
    ],
)
async def test_off_counts_if_the_manager_reports_no_times(redfish: Redfish, bmc: Bmc, manager: dict[str, Any]) -> None:
    bmc.manager, bmc.power = manager, "Off"
    assert await read(redfish, bmc) is Power.OFF


async def test_a_manager_that_can_t_be_read_does_not_stop_a_reading_but_one_that_is_not_ready_does(
    redfish: Redfish, bmc: Bmc
) -> None:
    bmc.manager, bmc.power = UP_LONG, "Off"
    for status in (403, 404, 500):
        bmc.answers["GET", MANAGER] = answering(status)
        assert await read(redfish, bmc) is Power.OFF
    bmc.answers["GET", MANAGER] = answering(503)
    with pytest.raises(DeviceNotReady):
        await read(redfish, bmc)


async def test_a_manager_whose_times_are_wrong_need_not_be_asked(redfish: Redfish, bmc: Bmc) -> None:
    bmc.manager, bmc.power = {"DateTime": "2026-11-22T10:00:00Z", "LastResetTime": "2026-11-22T10:00:00Z"}, "Off"
    assert await read(redfish, bmc, check_manager=False) is Power.OFF
    assert ("GET", MANAGER) not in bmc.requests
    await switch(redfish, bmc, Power.OFF, check_manager=False)
    with pytest.raises(DeviceNotReady, match="check_ready = false"):
        await read(redfish, bmc)


async def test_a_system_that_does_not_know_yet_is_not_ready(redfish: Redfish, bmc: Bmc) -> None:
    bmc.power = None
    with pytest.raises(DeviceNotReady):
        await read(redfish, bmc)
    bmc.power, bmc.properties[""] = "Off", {"Status": {"State": "Starting"}}
    with pytest.raises(DeviceNotReady):
        await read(redfish, bmc)
    bmc.power = "On"  # its host boots
    assert await read(redfish, bmc) is Power.ON


@pytest.mark.parametrize(
    ("manager", "system"),
    [
        ({"Status": {"State": "Starting"}}, {}),
        ({"DateTime": "2026-11-22T10:00:00Z", "LastResetTime": "2026-11-22T10:00:00Z"}, {}),
        ({}, {"Status": {"State": "Starting"}}),
    ],
)
async def test_what_could_not_be_read_afterwards_is_not_switched_off(
    redfish: Redfish, bmc: Bmc, manager: dict[str, Any], system: dict[str, Any]
) -> None:
    """A BMC that always reports that it has just started: its power would be cut and never be proven off."""
    bmc.manager, bmc.properties[""] = manager, system
    assert await read(redfish, bmc) is Power.ON
    with pytest.raises(DeviceNotReady, match="check_ready = false") as failed:
        await switch(redfish, bmc, Power.OFF)
    assert not failed.value.may_be_done
    assert ("POST", RESET) not in bmc.requests
    trusting = replace(spec(bmc), check_ready=False)
    await redfish.set(trusting, Power.OFF, timeout_seconds=5, on_started=starts_into([]))
    assert await redfish.read(trusting, timeout_seconds=5) is Power.OFF
    await switch(redfish, bmc, Power.ON)


@pytest.mark.parametrize("power", [Power.OFF, Power.ON])
async def test_a_system_that_never_reports_its_power_is_not_switched(redfish: Redfish, bmc: Bmc, power: Power) -> None:
    bmc.power = None
    with pytest.raises(DeviceNotReady) as failed:
        await switch(redfish, bmc, power)
    assert not failed.value.may_be_done
    assert ("POST", RESET) not in bmc.requests


async def test_a_bmc_that_is_just_starting_is_switched_off_as_soon_as_it_is_up(redfish: Redfish, bmc: Bmc) -> None:
    bmc.manager = {"Status": {"State": "Starting"}}
    switching = asyncio.ensure_future(switch(redfish, bmc, Power.OFF, timeout_seconds=20))
    await until(lambda: ("GET", MANAGER) in bmc.requests, what="it was asked whether it is ready")
    assert ("POST", RESET) not in bmc.requests
    bmc.manager = UP_LONG
    await switching
    assert bmc.power == "Off"


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (503, "Base.1.12.ServiceTemporarilyUnavailable"),
        (500, "IDRAC.2.8.SYS518"),
        (400, "iLO.2.30.ResourceNotReadyRetry"),
        (400, "IDRAC.1.6.SWC0700"),
        (401, "IDRAC.2.2.SWC0700"),
        (404, "IDRAC.2.2.SWC0700"),
    ],
)
async def test_services_that_are_not_ready_are_known_by_their_messages(
    redfish: Redfish, bmc: Bmc, status: int, name: str
) -> None:
    refusal = answering(status, message(name))
    bmc.answers["POST", RESET] = refusal
    with pytest.raises(DeviceNotReady) as failed:
        await switch(redfish, bmc, Power.OFF)
    assert failed.value.may_be_done is False
    for path in (SYSTEM, SYSTEMS, ROOT):
        bmc.answers["GET", path] = refusal
        fresh = Redfish()  # one that remembers no path
        with pytest.raises(DeviceNotReady) as failed:
            await read(fresh, bmc)
        await fresh.close()
        assert failed.value.may_be_done is False
        del bmc.answers["GET", path]
    bmc.answers["POST", SESSIONS] = refusal
    with pytest.raises(DeviceNotReady):
        await read(redfish, bmc, auth="session")
    bmc.manager, bmc.power = UP_LONG, "Off"
    bmc.answers["GET", MANAGER] = refusal
    with pytest.raises(DeviceNotReady):
        await read(redfish, bmc)


async def test_a_read_waits_as_it_is_asked_to(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["GET", SYSTEM] = in_turn(
        answering(429, {}, Retry_After="0"), answering(503, {}, Retry_After="0"), answering(200, {"PowerState": "On"})
    )
    assert await read(redfish, bmc) is Power.ON
    assert [path for _, path in bmc.requests].count(SYSTEM) == 3


async def test_off_counts_after_a_rate_limit_and_not_right_after_a_503(redfish: Redfish, bmc: Bmc) -> None:
    off = answering(200, {"PowerState": "Off"})
    bmc.answers["GET", SYSTEM] = in_turn(answering(503, {}, Retry_After="0"), off)
    with pytest.raises(DeviceNotReady):
        await read(redfish, bmc)
    assert await read(redfish, bmc) is Power.OFF
    bmc.answers["GET", SYSTEM] = in_turn(answering(429, {}, Retry_After="0"), off)
    assert await read(redfish, bmc) is Power.OFF


@pytest.mark.parametrize("status", [429, 503])
async def test_waiting_has_a_bound(redfish: Redfish, bmc: Bmc, status: int) -> None:
    bmc.answers["GET", SYSTEM] = answering(status, {}, Retry_After="0")
    with pytest.raises(DeviceNotReady):
        await read(redfish, bmc)
    assert [path for _, path in bmc.requests].count(SYSTEM) == 4
    bmc.answers["GET", SYSTEM] = answering(status, {}, Retry_After="3600")
    with pytest.raises(DeviceNotReady, match="asks to wait 3600 s"):
        await read(redfish, bmc)
    assert [path for _, path in bmc.requests].count(SYSTEM) == 5


@pytest.mark.parametrize(
    ("retry_after", "date", "seconds"),
    [
        ("7", None, 7.0),
        (" 7 ", None, 7.0),
        ("9" * 400, None, 86400.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:30 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None, 0.0),
        ("soon", None, None),
        ("-1", None, None),
        ("Wed, 99 Oct 99999999999 07:28:00 GMT", None, None),
        (None, None, None),
    ],
)
def test_retry_after_is_in_seconds_or_a_date(retry_after: str | None, date: str | None, seconds: float | None) -> None:
    assert Answer(status=503, body={}, retry_after=retry_after, date=date).wait_seconds == seconds


@pytest.mark.parametrize(
    ("status", "body", "headers", "may_be_done"),
    [
        (429, {}, {}, False),
        (503, {}, {"Retry_After": "30"}, False),
        (503, message("Base.1.12.ServiceTemporarilyUnavailable"), {}, False),
        (503, {}, {}, True),
    ],
)
async def test_a_busy_bmc_gets_the_command_once_and_says_whether_it_took_it(
    redfish: Redfish, bmc: Bmc, status: int, body: object, headers: dict[str, str], may_be_done: bool
) -> None:
    bmc.answers["POST", RESET] = answering(status, body, **headers)
    with pytest.raises(DeviceNotReady) as failed:
        await switch(redfish, bmc, Power.OFF)
    assert (failed.value.may_be_done, failed.value.is_end_known) == (may_be_done, not may_be_done)
    assert len(bmc.posts) == 1


@pytest.mark.parametrize(("status", "is_end_known"), [(500, True), (502, False), (504, False)])
async def test_a_gateway_that_gave_up_leaves_the_command_s_end_open(
    redfish: Redfish, bmc: Bmc, status: int, is_end_known: bool
) -> None:
    bmc.answers["POST", RESET] = answering(status, b"<html>Gateway Timeout</html>")
    with pytest.raises(DeviceError) as failed:
        await switch(redfish, bmc, Power.OFF)
    assert (failed.value.may_be_done, failed.value.is_end_known) == (True, is_end_known)


async def test_a_wait_ends_with_the_call(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["GET", SYSTEM] = in_turn(answering(429, {}), answering(429, {}, Retry_After="1"))
    with pytest.raises(DeviceError) as failed:
        await switch(redfish, bmc, Power.OFF, timeout_seconds=1.5)
    assert isinstance(failed.value, DeviceNotReady | DeviceTimedOut)
    assert failed.value.may_be_done is False
