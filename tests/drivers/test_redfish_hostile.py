"""Any JSON as any answer: the Redfish driver never reads OFF where the right system does not say so, and nothing but a
DeviceError leaves it."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fenced.drivers.redfish import Redfish
from fenced.drivers.redfish_vendors import identities
from fenced.model.identity import is_same_machine
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceTimedOut
from tests.drivers.bmc import MANAGER, RESET, ROOT, SESSIONS, SYSTEM, SYSTEMS, Bmc, read, spec, switch

TASK = "/redfish/v1/TaskService/Tasks/1"
UUID = "4c4c4544-0051-3410-8051-b5c04f375931"
WORDS = (
    *(
        "On",
        "Off",
        "off",
        "Off ",
        "PoweringOff",
        "Starting",
        "Enabled",
        "ForceOff",
        "Completed",
        "Exception",
        "Running",
    ),
    *(
        UUID,
        UUID.upper(),
        "S-1",
        "Base.1.8.AccessDenied",
        "IDRAC.2.4.RAC0218",
        "IDRAC.1.6.PSU501",
        "0",
        "2026-11-22T10:00:00Z",
    ),
    *(
        ROOT,
        SYSTEMS,
        SYSTEM,
        RESET,
        MANAGER,
        TASK,
        SESSIONS,
        "//other",
        "http://127.0.0.1:1/",
        "http://[",
        "a\n",
        "?",
        "/x y",
    ),
)
KEYS = (
    *(
        "@odata.id",
        "Systems",
        "Members",
        "Members@odata.nextLink",
        "Links",
        "ManagedBy",
        "Sessions",
        "PowerState",
        "Status",
    ),
    *(
        "State",
        "UUID",
        "SerialNumber",
        "SKU",
        "Manufacturer",
        "Actions",
        "#ComputerSystem.Reset",
        "target",
        "TaskState",
    ),
    *(
        "ResetType@Redfish.AllowableValues",
        "@Redfish.ActionInfo",
        "Parameters",
        "Name",
        "AllowableValues",
        "TaskStatus",
    ),
    *("error", "@Message.ExtendedInfo", "MessageId", "Message", "message", "DateTime", "LastResetTime", "Messages"),
)
SCALARS = st.sampled_from(WORDS) | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
STATUSES = st.sampled_from([200, 200, 200, 200, 201, 202, 204, 301, 308, 400, 401, 403, 404, 409, 429, 500, 503])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Location": st.sampled_from(["", SYSTEM, TASK, "//other/x", "http://127.0.0.1:1/", "http://["]),
        "Retry-After": st.sampled_from(["0", "x", "", "Wed, 21 Oct 2015 07:28:00 GMT", "99999999999999999999"]),
        "X-Auth-Token": st.sampled_from(["", "t"]),
    },
)
PLACES = (ROOT, SYSTEMS, SYSTEM, MANAGER, TASK, SESSIONS, RESET)


@st.composite
def answers(draw: st.DrawFn) -> dict[str, tuple[int, Any, dict[str, str]]]:
    """Some places as they are, some with one thing replaced, some with anything at all."""
    bent: dict[str, tuple[int, Any, dict[str, str]]] = {}
    honest: dict[str, dict[str, Any]] = {
        ROOT: {"Systems": {"@odata.id": SYSTEMS}},
        SYSTEMS: {"Members": [{"@odata.id": SYSTEM}]},
    }
    honest[SYSTEM] = {**Bmc().system(), "UUID": UUID, "Links": {"ManagedBy": [{"@odata.id": MANAGER}]}}
    for place in PLACES:
        body = honest.get(place, {})
        kind = draw(st.sampled_from(["as it is", "one thing", "anything"]))
        if kind == "as it is":
            bent[place] = (200, body, {})
        elif kind == "one thing":
            bent[place] = (draw(STATUSES), {**body, draw(st.sampled_from(KEYS)): draw(ANYTHING)}, draw(HEADERS))
        else:
            bent[place] = (draw(STATUSES), draw(ANYTHING), draw(HEADERS))
    return bent


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_answers=answers(), is_session=st.booleans(), is_identity_asked=st.booleans())
async def test_no_answer_makes_off_of_what_is_not_off_or_breaks_the_driver(
    bmc: Bmc, given_answers: dict[str, tuple[int, Any, dict[str, str]]], is_session: bool, is_identity_asked: bool
) -> None:
    served: list[tuple[int, object]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        status, body, headers = given_answers.get(request.path, (404, {}, {}))
        if request.method == "GET":
            served.append((status, body))
        return web.Response(status=status, body=json.dumps(body).encode(), headers=headers)

    bmc.answers.clear()
    for place in (*PLACES, "/redfish/v1", "/x y"):
        for method in ("GET", "POST", "DELETE"):
            bmc.answers[method, place] = handle
    driver = Redfish()
    auth, identity = "session" if is_session else "basic", UUID if is_identity_asked else ""
    try:
        async with asyncio.timeout(10):
            power = await read(driver, bmc, identity=identity, auth=auth)
    except DeviceError as exc:
        assert exc.may_be_done is False
    else:
        said = [body for status, body in served if status == 200 and isinstance(body, dict) and "PowerState" in body]
        if power is Power.OFF:
            assert any(
                body["PowerState"] == "Off" and (not identity or is_same_machine(identity, identities(body)))
                for body in said
            )
    before = len(bmc.posts)
    try:
        async with asyncio.timeout(10):
            await switch(driver, bmc, Power.OFF, timeout_seconds=0.05, identity=identity, auth=auth)
    except DeviceError as exc:
        assert exc.may_be_done or bmc.posts[before:].count(RESET) <= 2
    await driver.close()


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
