"""Malformed or ambiguous answers of a BMC that fuzzing found (the rest is in tests/fuzz/test_redfish.py)."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from fenced.drivers.redfish.driver import Redfish
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceTimedOut
from tests.drivers.redfish.bmc import (
    MANAGER,
    PASSWORD,
    RESET,
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

TASK = "/redfish/v1/TaskService/Tasks/1"


async def failure(call: Any) -> DeviceError:
    with pytest.raises(DeviceError) as failed:
        await call
    return failed.value


async def test_an_answer_that_comes_drop_by_drop_ends_at_the_deadline(redfish: Redfish, bmc: Bmc) -> None:
    is_over = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not is_over.is_set():
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    bmc.answers["GET", SYSTEM] = drip
    with pytest.raises(DeviceTimedOut):
        await redfish.read(spec(bmc), timeout_seconds=0.3)
    is_over.set()


@pytest.mark.parametrize("states", [("On", "Off"), ("Off", "On"), ("Off", "On", "Off")])
async def test_a_power_state_with_two_values_is_unknown(redfish: Redfish, bmc: Bmc, states: tuple[str, ...]) -> None:
    told = ", ".join(f'"PowerState": "{state}"' for state in states)
    bmc.answers["GET", SYSTEM] = answering(200, f"{{{told}}}".encode())
    assert not (await failure(read(redfish, bmc))).may_be_done


async def test_a_name_with_the_same_value_twice_counts(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["GET", SYSTEM] = answering(200, b'{"PowerState": "Off", "PowerState": "Off"}')
    assert await read(redfish, bmc) is Power.OFF


@pytest.mark.parametrize("others", [[{"@odata.id": ""}], [{}], [None], [{"@odata.id": "x" * 3000}], [{}] * 300])
async def test_a_system_beside_one_that_is_not_named_is_not_guessed(redfish: Redfish, bmc: Bmc, others: Any) -> None:
    bmc.power = "Off"
    bmc.answers["GET", SYSTEMS] = answering(200, {"Members": [{"@odata.id": SYSTEM}, *others]})
    assert "without a path" in str(await failure(read(redfish, bmc)))
    assert await read(redfish, bmc, system="1") is Power.OFF


async def test_a_list_that_was_wrong_for_a_moment_is_not_remembered(redfish: Redfish, bmc: Bmc) -> None:
    bmc.manager = {"Name": "no system"}
    wrong, right = ({"Members": [{"@odata.id": path}]} for path in (MANAGER, SYSTEM))
    bmc.answers["GET", SYSTEMS] = in_turn(answering(200, wrong), answering(200, right))
    await failure(read(redfish, bmc))
    assert await read(redfish, bmc) is Power.ON


@pytest.mark.parametrize("characters", range(30, 320, 29))
async def test_no_half_of_a_secret_is_shown(redfish: Redfish, bmc: Bmc, characters: int) -> None:
    """At any place where a text is cut; and without control characters for the terminal."""
    said = "x" * characters + PASSWORD
    texts = {"error": {"message": f"{said}\n\x1b[31m"}, "Actions": {"#ComputerSystem.Reset": {"target": RESET}}}
    reset: dict[str, Any] = {"target": RESET, "ResetType@Redfish.AllowableValues": [said, f"{said}\n"]}
    for body, status in (
        (texts, 400),
        (f"<html>\n{said}".encode(), 200),
        ({"Members": [{"@odata.id": f"/a/{said}"}, {"@odata.id": "/b\x1b"}]}, 200),
        ({"PowerState": "On", "Actions": {"#ComputerSystem.Reset": reset}}, 200),
    ):
        bmc.answers["GET", SYSTEMS if isinstance(body, dict) and "Members" in body else SYSTEM] = answering(
            status, body
        )
        text = str(await failure(switch(redfish, bmc, Power.OFF)))
        assert PASSWORD[:3] not in text
        assert text.isprintable()
        bmc.answers.clear()


async def test_an_echoed_header_and_token_are_masked(redfish: Redfish, bmc: Bmc) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\nX: " + PASSWORD.encode() + b"\0\r\n\r\n")
        request.transport.close()
        return web.Response()

    bmc.answers["GET", SYSTEM] = broken
    assert PASSWORD[:3] not in str(await failure(read(redfish, bmc)))
    bmc.answers["GET", SYSTEM] = answering(400, {"error": {"message": "who is token-1?"}})
    text = str(await failure(read(redfish, bmc, auth="session")))
    assert bmc.logins == 1
    assert "token-1" not in text


async def test_a_token_that_cannot_be_sent_is_no_session(redfish: Redfish, bmc: Bmc) -> None:
    """With such a token every call would fail until the daemon restarts."""

    async def login(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 201 x\r\nX-Auth-Token: \xff\r\nContent-Length: 2\r\n\r\n{}")
        request.transport.close()
        return web.Response()

    bmc.answers["POST", SESSIONS] = login
    await failure(read(redfish, bmc, auth="session"))
    bmc.answers.clear()
    assert await read(redfish, bmc, auth="session") is Power.ON


async def test_a_task_is_over_only_where_an_answer_states_it(redfish: Redfish, bmc: Bmc) -> None:
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
