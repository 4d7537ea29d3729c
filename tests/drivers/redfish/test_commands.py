"""A Redfish command: on a new connection, never after its deadline, followed if it becomes a task."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from fenced.drivers.redfish import exchange
from fenced.drivers.redfish.driver import Redfish
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceTimedOut
from tests.drivers.redfish.bmc import RESET, SYSTEM, Bmc, answering, in_turn, message, read, switch
from tests.net import until

TASK = "/redfish/v1/TaskService/Tasks/1"
MONITOR = "/redfish/v1/TaskService/TaskMonitors/1"
RUNNING = {"@odata.id": TASK, "TaskState": "Running"}


async def test_a_command_does_not_use_a_connection_that_was_idle(redfish: Redfish, bmc: Bmc) -> None:
    """A BMC may be closing a kept one; a command sent into it would be in doubt."""
    await read(redfish, bmc)
    before = set(bmc.peers)
    await switch(redfish, bmc, Power.OFF)
    used = bmc.peers - before
    assert len(used) == 1  # for the command alone; the reads before it share what is there
    await switch(redfish, bmc, Power.ON)
    assert len(bmc.peers - before - used) == 1


async def test_connections_that_were_closed_while_idle_cost_nothing(redfish: Redfish, bmc: Bmc) -> None:
    async def closing(request: web.Request) -> web.StreamResponse:
        """Answers, then closes without notice, as servers do after their idle time."""
        response = web.json_response(bmc.system())
        await response.prepare(request)
        await response.write_eof()
        assert request.transport is not None
        request.transport.close()
        return response

    bmc.answers["GET", SYSTEM] = closing
    for power in (Power.OFF, Power.ON, Power.OFF):
        await switch(redfish, bmc, power)
        assert await read(redfish, bmc) is power
    assert len(bmc.posts) == 3


async def test_a_command_is_not_sent_after_a_suspend(
    redfish: Redfish, bmc: Bmc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop's clock stands still in suspend; the deadline of a command does not."""
    now = exchange.boottime()
    slept = 0.0
    monkeypatch.setattr(exchange, "boottime", lambda: now + slept)

    async def suspending(request: web.Request) -> web.StreamResponse:
        nonlocal slept
        slept = 3600.0
        return web.json_response(bmc.system())

    bmc.answers["GET", SYSTEM] = suspending
    with pytest.raises(DeviceTimedOut) as failed:
        await switch(redfish, bmc, Power.OFF, timeout_seconds=60)
    assert (failed.value.may_be_done, failed.value.is_end_known) == (False, True)
    assert bmc.posts == []


async def test_a_command_whose_connection_came_too_late_is_held_back(
    redfish: Redfish, bmc: Bmc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called once before the request and once when its body is written."""
    now = exchange.boottime()
    asked = 0

    def clock() -> float:
        nonlocal asked
        asked += 1
        return now if asked <= 2 else now + 3600

    monkeypatch.setattr(exchange, "boottime", clock)
    with pytest.raises(DeviceTimedOut) as failed:
        await switch(redfish, bmc, Power.OFF, timeout_seconds=60)
    assert asked == 3
    assert failed.value.may_be_done is False
    assert bmc.commands == []
    assert bmc.power == "On"


@pytest.mark.parametrize("where", ["header", "monitor", "task"])
async def test_a_task_is_followed_to_its_end(redfish: Redfish, bmc: Bmc, where: str) -> None:
    async def take(_request: web.Request) -> web.StreamResponse:
        headers = {"Location": MONITOR} if where == "header" else {}
        body = {**RUNNING, "TaskMonitor": MONITOR} if where == "monitor" else RUNNING
        return web.json_response({} if where == "header" else body, status=202, headers=headers)

    async def end(_request: web.Request) -> web.StreamResponse:
        bmc.power = "Off"
        return web.json_response({"TaskState": "Completed", "TaskStatus": "OK"} if where == "task" else {})

    path = TASK if where == "task" else MONITOR
    bmc.answers["POST", RESET] = take
    running = answering(202 if where != "task" else 200, RUNNING, Retry_After="0")
    bmc.answers["GET", path] = in_turn(running, answering(503), end)
    await switch(redfish, bmc, Power.OFF)
    assert bmc.power == "Off"
    assert len(bmc.posts) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"TaskState": "Exception", "Messages": [{"Message": "it is stuck"}]}),
        (200, {"TaskState": "Cancelled"}),
        (200, {"TaskState": "Killed", "Messages": "none"}),
        (200, {"TaskState": "Completed", "TaskStatus": "Critical", "Messages": [7]}),
        (409, message("IDRAC.1.6.PSU999")),
        (500, {}),
        (401, {}),
        (403, {}),
    ],
)
async def test_a_task_that_failed_may_have_been_done(
    redfish: Redfish, bmc: Bmc, status: int, body: dict[str, Any]
) -> None:
    bmc.answers["POST", RESET] = answering(202, {}, Location=MONITOR, Retry_After="0")
    bmc.answers["GET", MONITOR] = answering(status, body)
    with pytest.raises(DeviceError) as failed:
        await switch(redfish, bmc, Power.OFF)
    assert failed.value.may_be_done is True
    assert failed.value.is_end_known is (status not in {401, 403})
    assert len(bmc.posts) == 1


@pytest.mark.parametrize("status", [404, 410])
async def test_a_task_that_is_no_longer_kept_has_ended(redfish: Redfish, bmc: Bmc, status: int) -> None:
    bmc.answers["POST", RESET] = answering(202, {}, Location=MONITOR, Retry_After="0")
    bmc.answers["GET", MONITOR] = answering(status)
    await switch(redfish, bmc, Power.OFF)


async def test_a_task_that_still_runs_at_the_deadline_is_in_doubt(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["POST", RESET] = answering(202, RUNNING)
    bmc.answers["GET", TASK] = answering(200, RUNNING)
    with pytest.raises(DeviceTimedOut) as failed:
        await switch(redfish, bmc, Power.OFF, timeout_seconds=1)
    assert (failed.value.may_be_done, failed.value.is_end_known) == (True, False)


async def test_a_task_under_another_name_of_the_bmc_is_followed_here(redfish: Redfish, bmc: Bmc) -> None:
    async with Bmc().running() as foreign:
        bmc.answers["POST", RESET] = answering(202, {}, Location=foreign.address + MONITOR, Retry_After="0")
        bmc.answers["GET", MONITOR] = in_turn(answering(202, {}), answering(204))
        await switch(redfish, bmc, Power.OFF)
        assert ("GET", MONITOR) in bmc.requests
        assert foreign.requests == []


@pytest.mark.parametrize(
    ("status", "name"), [(400, "iLO.0.10.InvalidOperationForSystemState"), (500, "IDRAC.1.6.PSU501")]
)
async def test_a_message_that_it_is_so_already_is_followed_by_a_read(
    redfish: Redfish, bmc: Bmc, status: int, name: str
) -> None:
    bmc.answers["POST", RESET] = answering(status, message(name))
    with pytest.raises(DeviceError):
        await switch(redfish, bmc, Power.OFF)
    bmc.power = "Off"
    await switch(redfish, bmc, Power.OFF)
    bmc.answers["GET", SYSTEM] = in_turn(answering(200, bmc.system()), answering(500))
    with pytest.raises(DeviceError, match=str(status)):
        await switch(redfish, bmc, Power.OFF)


async def test_a_cancelled_command_leaves_no_connection(redfish: Redfish, bmc: Bmc) -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        asked.set()
        await release.wait()
        return web.Response(status=204)

    bmc.answers["POST", RESET] = hang
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(switch(redfish, bmc, Power.OFF, timeout_seconds=60), name="switches")
        await asked.wait()
        running.cancel()
        await until(running.done)
    assert running.cancelled()
    release.set()
