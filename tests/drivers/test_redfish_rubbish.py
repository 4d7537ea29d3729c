"""What a BMC says that is no answer, or says two things: scenes that fuzzing found (tests/fuzz/test_redfish.py has the rest)."""

from typing import Any

import pytest
from aiohttp import web

from fenced.drivers.redfish import Redfish
from fenced.model.power import Power
from fenced.ports.devices import DeviceError
from tests.drivers.bmc import (
    RESET,
    SESSIONS,
    SYSTEM,
    Bmc,
    answering,
    message,
    read,
    switch,
)

TASK = "/redfish/v1/TaskService/Tasks/1"


async def failure(call: Any) -> DeviceError:
    with pytest.raises(DeviceError) as failed:
        await call
    return failed.value


@pytest.mark.parametrize("states", [("On", "Off"), ("Off", "On"), ("Off", "On", "Off")])
async def test_a_power_state_that_is_told_twice_is_none(redfish: Redfish, bmc: Bmc, states: tuple[str, ...]) -> None:
    told = ", ".join(f'"PowerState": "{state}"' for state in states)
    bmc.answers["GET", SYSTEM] = answering(200, f"{{{told}}}".encode())
    assert not (await failure(read(redfish, bmc))).may_be_done


async def test_the_same_told_twice_is_told(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["GET", SYSTEM] = answering(200, b'{"PowerState": "Off", "PowerState": "Off"}')
    assert await read(redfish, bmc) is Power.OFF


async def test_a_token_that_cannot_be_sent_is_no_session(redfish: Redfish, bmc: Bmc) -> None:
    """With it every call would fail until the daemon starts again."""

    async def login(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 201 x\r\nX-Auth-Token: \xff\r\nContent-Length: 2\r\n\r\n{}")
        request.transport.close()
        return web.Response()

    bmc.answers["POST", SESSIONS] = login
    await failure(read(redfish, bmc, auth="session"))
    bmc.answers.clear()
    assert await read(redfish, bmc, auth="session") is Power.ON


async def test_a_task_is_over_only_where_that_is_said(redfish: Redfish, bmc: Bmc) -> None:
    async def upgrade(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 101 x\r\n\r\n")
        request.transport.close()
        return web.Response()

    bmc.answers["POST", RESET] = answering(202, {}, Location=TASK)
    bmc.answers["GET", TASK] = upgrade
    assert (await failure(switch(redfish, bmc, Power.OFF))).may_be_done


@pytest.mark.parametrize("name", ["AccessDenied", "ServiceTemporarilyUnavailable"])
async def test_no_message_makes_a_refusal_of_what_was_not_refused(redfish: Redfish, bmc: Bmc, name: str) -> None:
    bmc.answers["POST", RESET] = answering(206, message(f"Base.1.8.{name}"))
    assert (await failure(switch(redfish, bmc, Power.OFF))).may_be_done
