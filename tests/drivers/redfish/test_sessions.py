"""Sessions: few, shared, renewed for a read, and always closed."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from fenced.drivers.redfish import sessions
from fenced.drivers.redfish.driver import Redfish
from fenced.model.inventory import Secret
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, DeviceError, DeviceNotReady, DeviceTimedOut, LoginRefused
from tests.drivers.redfish.bmc import (
    PASSWORD,
    RESET,
    ROOT,
    SESSIONS,
    SYSTEM,
    SYSTEMS,
    Bmc,
    answering,
    in_turn,
    read,
    spec,
    switch,
)
from tests.net import until


async def test_all_calls_share_one_session_that_ends_with_the_driver(bmc: Bmc) -> None:
    bmc.is_session_needed = True
    driver = Redfish()
    assert await asyncio.gather(*(read(driver, bmc, auth="session") for _ in range(8))) == [Power.ON] * 8
    await switch(driver, bmc, Power.OFF, auth="session")
    assert bmc.power == "Off"
    assert bmc.logins == 1
    assert bmc.authorizations == {None}  # the password was sent once, in the login
    await driver.close()
    await driver.close()
    assert bmc.tokens == {}


async def test_basic_authentication_takes_no_session(redfish: Redfish, bmc: Bmc) -> None:
    assert await read(redfish, bmc) is Power.ON
    assert await read(redfish, bmc, auth="basic") is Power.ON
    assert bmc.logins == 0


async def test_a_session_that_ended_is_renewed_for_a_read(redfish: Redfish, bmc: Bmc) -> None:
    bmc.is_session_needed = True
    await read(redfish, bmc, auth="session")
    bmc.tokens.clear()
    assert await read(redfish, bmc, auth="session") is Power.ON
    assert bmc.logins == 2
    bmc.answers["GET", SYSTEM] = answering(401)
    with pytest.raises(LoginRefused):
        await read(redfish, bmc, auth="session")
    assert bmc.logins == 3  # once, not for ever


async def test_a_command_is_never_sent_again_for_a_new_session(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["POST", RESET] = in_turn(answering(401), answering(204))
    with pytest.raises(LoginRefused) as failed:
        await switch(redfish, bmc, Power.OFF, auth="session")
    assert failed.value.may_be_done is False
    assert len(bmc.posts) == 1


async def test_the_error_of_a_refused_login_hides_the_password(redfish: Redfish, bmc: Bmc) -> None:
    wrong = replace(spec(bmc, auth="session"), password=Secret("wr0ng&pw"))
    with pytest.raises(LoginRefused) as failed:
        await redfish.read(wrong, timeout_seconds=5)
    assert "wr0ng&pw" not in str(failed.value)
    assert [path for method, path in bmc.requests if method == "POST"] == [SESSIONS]


async def test_a_bmc_without_a_free_session_is_reported(redfish: Redfish, bmc: Bmc) -> None:
    bmc.sessions_max = 0
    with pytest.raises(DeviceError, match="no session left") as failed:
        await switch(redfish, bmc, Power.OFF, auth="session")
    assert failed.value.may_be_done is False
    bmc.answers["POST", SESSIONS] = answering(503)
    with pytest.raises(DeviceNotReady):
        await read(redfish, bmc, auth="session")
    bmc.answers["POST", SESSIONS] = answering(404)
    with pytest.raises(BadParameters, match="opens no sessions"):
        await read(redfish, bmc, auth="session")
    bmc.answers["POST", SESSIONS] = answering(201, {})
    with pytest.raises(DeviceError):  # no token
        await read(redfish, bmc, auth="session")
    assert await read(redfish, bmc) is Power.ON


async def test_an_unknown_way_to_log_in_is_refused(redfish: Redfish, bmc: Bmc) -> None:
    with pytest.raises(BadParameters, match="neither basic nor session"):
        await read(redfish, bmc, auth="kerberos")


async def test_the_password_goes_to_no_other_host(redfish: Redfish, bmc: Bmc) -> None:
    async with Bmc().running() as foreign:
        bmc.answers["GET", ROOT] = answering(
            200,
            {"Links": {"Sessions": {"@odata.id": foreign.address + SESSIONS}}, "Systems": {"@odata.id": SYSTEMS}},
        )
        assert await read(redfish, bmc, auth="session") is Power.ON
        assert len(bmc.tokens) == 1
        await redfish.close()
        bmc.answers["POST", SESSIONS] = answering(307, {}, Location=foreign.address + SESSIONS)
        with pytest.raises(DeviceError):
            await read(redfish, bmc, auth="session")
        assert foreign.requests == []


async def test_a_session_that_is_named_otherwise_is_given_back(redfish: Redfish, bmc: Bmc) -> None:
    async def named_otherwise(request: web.Request) -> web.Response:
        given = await bmc.session(request)
        given.headers["Location"] = "https://bmc-7.example.org" + given.headers["Location"]
        return given

    bmc.answers["POST", SESSIONS] = named_otherwise
    assert await read(redfish, bmc, auth="session") is Power.ON
    await redfish.close()
    assert bmc.tokens == {}


@pytest.mark.parametrize("by_deadline", [True, False])
async def test_a_login_that_is_cancelled_leaves_no_session(bmc: Bmc, by_deadline: bool) -> None:
    driver = Redfish()
    asked, release = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        asked.set()
        await release.wait()
        return await bmc.session(request)

    bmc.answers["POST", SESSIONS] = slow
    async with asyncio.TaskGroup() as tasks:
        call = driver.read(spec(bmc, auth="session"), timeout_seconds=0.3 if by_deadline else 60)
        running = tasks.create_task(_end_of(call), name="reads")
        await asked.wait()
        if by_deadline:
            await asyncio.sleep(0.3)
        else:
            running.cancel()
            await asyncio.sleep(0)
        release.set()
        try:
            assert isinstance(await running, DeviceTimedOut)
        except asyncio.CancelledError:
            assert not by_deadline
    assert bmc.logins == 1
    await until(lambda: not bmc.tokens)
    await driver.close()


async def _end_of(call: "asyncio.Future[Power] | object") -> DeviceError | None:
    try:
        await call  # type: ignore[misc]
    except DeviceError as exc:
        return exc
    return None


async def test_a_login_that_never_ends_does_not_hold_up_its_caller(bmc: Bmc) -> None:
    driver = Redfish()
    release = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    bmc.answers["POST", SESSIONS] = hang
    with pytest.raises(DeviceTimedOut):
        await driver.read(spec(bmc, auth="session"), timeout_seconds=0.2)
    release.set()
    await driver.close()


async def test_sessions_are_bounded_and_the_oldest_is_ended(bmc: Bmc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 1)
    driver = Redfish()
    async with Bmc().running() as second:
        assert await read(driver, bmc, auth="session") is Power.ON
        assert await read(driver, second, auth="session") is Power.ON
        assert (len(bmc.tokens), len(second.tokens)) == (0, 1)
        assert await read(driver, bmc, auth="session") is Power.ON
        await driver.close()
        assert (bmc.tokens, second.tokens) == ({}, {})


async def test_a_bmc_that_is_gone_does_not_keep_the_driver_from_closing(bmc: Bmc) -> None:
    driver = Redfish()
    async with Bmc().running() as second:
        await read(driver, second, auth="session")
    await read(driver, bmc, auth="session")
    bmc.answers["DELETE", f"{SESSIONS}/1"] = answering(500)
    await driver.close()


def test_a_token_is_a_secret() -> None:
    assert PASSWORD not in repr(spec(Bmc(), auth="session"))
