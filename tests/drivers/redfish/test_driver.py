"""The Redfish driver with BMCs that are odd, slow, lying or hostile."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fenced.drivers.redfish.driver import Redfish
from fenced.model.power import Power
from fenced.ports.devices import (
    BadParameters,
    DeviceError,
    DeviceTimedOut,
    DeviceUnreachable,
    LoginRefused,
    NotSupported,
)
from tests.drivers.certificate import make_certificate
from tests.drivers.programs import descriptors, spec_of
from tests.drivers.redfish.bmc import PASSWORD, RESET, SYSTEM, SYSTEMS, Bmc, answering, read, spec, switch
from tests.net import until


@pytest.mark.parametrize(
    ("state", "power"),
    [
        ("On", Power.ON),
        ("Off", Power.OFF),
        ("PoweringOff", Power.UNKNOWN),
        ("PoweringOn", Power.UNKNOWN),
        ("Paused", Power.UNKNOWN),
        ("off", Power.UNKNOWN),
        (["Off"], Power.UNKNOWN),
    ],
)
async def test_only_on_and_off_are_states(redfish: Redfish, bmc: Bmc, state: object, power: Power) -> None:
    bmc.power = state
    assert await read(redfish, bmc) is power


async def test_off_and_on_are_sent_once_to_the_system_s_own_action(redfish: Redfish, bmc: Bmc) -> None:
    await switch(redfish, bmc, Power.OFF)
    assert bmc.power == "Off"
    await switch(redfish, bmc, Power.ON)
    assert bmc.power == "On"
    assert bmc.posts == [RESET, RESET]
    assert len(bmc.authorizations) == 1


async def test_calls_to_one_bmc_share_a_connection(redfish: Redfish, bmc: Bmc) -> None:
    for _ in range(5):
        await read(redfish, bmc)
    assert len(bmc.peers) == 1
    assert len(bmc.requests) == 7  # root, collection, then the system alone


async def test_of_several_systems_one_must_be_named(redfish: Redfish, bmc: Bmc) -> None:
    bmc.members = ["blade-1", "blade-2"]
    with pytest.raises(BadParameters, match="2 systems \\(blade-1, blade-2\\)"):
        await read(redfish, bmc)
    assert await read(redfish, bmc, system="blade-2") is Power.ON
    assert await read(redfish, bmc, system="/redfish/v1/Systems/blade-1") is Power.ON
    with pytest.raises(BadParameters, match="no system blade-3"):
        await read(redfish, bmc, system="blade-3")
    bmc.members = []
    with pytest.raises(BadParameters, match="0 systems \\(none\\)"):
        await read(redfish, bmc)


async def test_a_system_that_moved_is_found_again(redfish: Redfish, bmc: Bmc) -> None:
    assert await read(redfish, bmc) is Power.ON
    bmc.members = ["2"]
    assert await read(redfish, bmc) is Power.ON


async def test_what_the_bmc_does_not_offer_is_not_sent(redfish: Redfish, bmc: Bmc) -> None:
    bmc.allowable = ["ForceOn", "GracefulShutdown", "ForceRestart"]
    with pytest.raises(NotSupported, match="no ForceOff") as failed:
        await switch(redfish, bmc, Power.OFF)
    assert failed.value.may_be_done is False
    await switch(redfish, bmc, Power.ON)
    assert len(bmc.posts) == 1
    bmc.answers["GET", SYSTEM] = answering(200, {"PowerState": "On"})
    with pytest.raises(NotSupported, match="no Reset action"):
        await switch(redfish, bmc, Power.OFF)


async def test_allowable_values_are_also_read_from_the_action_s_info(redfish: Redfish, bmc: Bmc) -> None:
    info = "/redfish/v1/Systems/1/ResetActionInfo"
    action = {"target": RESET, "@Redfish.ActionInfo": info}
    bmc.answers["GET", SYSTEM] = answering(200, {"PowerState": "On", "Actions": {"#ComputerSystem.Reset": action}})
    values = {"Parameters": [{"Name": "ResetType", "AllowableValues": ["On", "GracefulShutdown"]}]}
    bmc.answers["GET", info] = answering(200, values)
    with pytest.raises(NotSupported):
        await switch(redfish, bmc, Power.OFF)
    bmc.answers["GET", info] = answering(500, {})
    await switch(redfish, bmc, Power.OFF)
    assert bmc.power == "Off"


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_a_command_that_was_taken_is_enough(redfish: Redfish, bmc: Bmc, status: int) -> None:
    bmc.answers["POST", RESET] = answering(status, {})
    await switch(redfish, bmc, Power.OFF)
    assert await read(redfish, bmc) is Power.ON  # taken is not done


@pytest.mark.parametrize("status", [400, 409])
async def test_a_refusal_because_it_is_so_already_is_a_success(redfish: Redfish, bmc: Bmc, status: int) -> None:
    told = {"error": {"@Message.ExtendedInfo": [{"Message": f"it is off, {PASSWORD}"}]}}
    bmc.answers["POST", RESET] = answering(status, told)
    with pytest.raises(DeviceError, match=f"{status}: it is off, \\*\\*\\*"):
        await switch(redfish, bmc, Power.OFF)
    bmc.power = "PoweringOff"
    with pytest.raises(DeviceError):
        await switch(redfish, bmc, Power.OFF)
    bmc.power = "Off"
    await switch(redfish, bmc, Power.OFF)


@pytest.mark.parametrize(
    ("status", "kind", "may_be_done"),
    [
        (401, LoginRefused, False),
        (403, LoginRefused, False),
        (404, NotSupported, False),
        (501, NotSupported, False),
        (500, DeviceError, True),
        (302, DeviceError, True),
    ],
)
async def test_a_refused_command_says_whether_it_may_have_been_done(
    redfish: Redfish, bmc: Bmc, status: int, kind: type[DeviceError], may_be_done: bool
) -> None:
    bmc.answers["POST", RESET] = answering(status, {}, Location="/elsewhere")
    with pytest.raises(kind) as failed:
        await switch(redfish, bmc, Power.OFF)
    assert failed.value.may_be_done is may_be_done
    assert len(bmc.posts) == 1


async def test_the_wait_that_a_busy_bmc_requests_is_in_the_error(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["GET", SYSTEM] = answering(503, {}, Retry_After="120")
    with pytest.raises(DeviceError, match="503; it asks to wait 120 s"):
        await read(redfish, bmc)


async def test_a_refused_login_says_so_without_the_password(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["GET", "/redfish/v1/"] = answering(401, {"error": {"message": f"wrong: {PASSWORD}"}})
    with pytest.raises(LoginRefused, match="refuses the user") as failed:
        await read(redfish, bmc)
    assert PASSWORD not in str(failed.value)


def other_names(bmc: Bmc) -> tuple[str, ...]:
    """The links of a BMC may have another name, another port, no scheme, or a user."""
    host = bmc.address.removeprefix("http://")
    return "https://bmc-7.example.org", "http://192.0.2.7:8080", f"//fence:x@{host}", "HTTPS://[2001:db8::7]"


async def test_a_link_with_another_name_of_the_bmc_is_followed(redfish: Redfish, bmc: Bmc) -> None:
    for name in other_names(bmc):
        bmc.power = "On"
        bmc.answers["GET", "/redfish/v1/"] = answering(200, {"Systems": {"@odata.id": f"{name}{SYSTEMS}"}})
        bmc.answers["GET", SYSTEMS] = answering(200, {"Members": [{"@odata.id": f"{name}{SYSTEM}"}]})
        action = {"target": f"{name}{RESET}"}
        bmc.properties[""] = {"Actions": {"#ComputerSystem.Reset": action}}
        await switch(redfish, bmc, Power.OFF)
        assert await read(redfish, bmc) is Power.OFF
        await redfish.close()


async def test_an_invalid_link_of_a_bmc_is_not_followed(redfish: Redfish, bmc: Bmc) -> None:
    for place in ("ftp://bmc-7/x", "mailto:a@b", "javascript:x", "http://[::1/x"):
        bmc.answers["GET", SYSTEM] = answering(
            200, {"PowerState": "On", "Actions": {"#ComputerSystem.Reset": {"target": place}}}
        )
        with pytest.raises(DeviceError) as failed:
            await switch(redfish, bmc, Power.OFF)
        assert failed.value.may_be_done is False
    assert bmc.posts == []


async def test_nothing_is_sent_to_another_host(redfish: Redfish, bmc: Bmc) -> None:
    async with Bmc().running() as foreign:
        bmc.answers["GET", SYSTEM] = answering(307, {}, Location=f"{foreign.address}{SYSTEM}")
        with pytest.raises(DeviceError, match="configure the device with it"):
            await read(redfish, bmc)
        del bmc.answers["GET", SYSTEM]
        bmc.answers["POST", RESET] = answering(307, {}, Location=f"{foreign.address}{RESET}")
        with pytest.raises(DeviceError) as failed:
            await switch(redfish, bmc, Power.OFF)
        assert failed.value.may_be_done is False
        assert foreign.requests == []
        assert len(bmc.posts) == 1


async def test_redirects_inside_the_bmc_are_followed_but_not_in_a_circle(redfish: Redfish, bmc: Bmc) -> None:
    bmc.members = ["1", "moved"]
    bmc.answers["GET", "/redfish/v1/Systems/moved"] = answering(308, {}, Location=SYSTEM)
    assert await read(redfish, bmc, system="moved") is Power.ON
    bmc.answers["GET", SYSTEM] = answering(301, {}, Location=SYSTEM)
    with pytest.raises(DeviceError, match="circle"):
        await read(redfish, bmc, system="moved")


async def test_a_command_follows_a_redirect_once_and_only_one_that_repeats_nothing(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["POST", RESET] = answering(308, {}, Location=f"{RESET}/")
    await switch(redfish, bmc, Power.OFF)
    assert bmc.power == "Off"
    assert bmc.posts == [RESET, f"{RESET}/"]
    bmc.answers["POST", f"{RESET}/"] = answering(308, {}, Location=RESET)
    with pytest.raises(DeviceError, match="more than once"):
        await switch(redfish, bmc, Power.ON)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b" " * (1024 * 1024 + 1), "more than 1048576 bytes"),
        (b"<html>login</html>", "not a Redfish resource: <html>"),
        (b"[]", "not a Redfish resource"),
        (b"[" * 100_000, "not a Redfish resource"),
        (b'{"PowerState": "Off"', "not a Redfish resource"),
        (b'{"Id": "1"}', "no PowerState"),
        (b"\x1f\x8b\x08", "not a Redfish resource"),
    ],
    ids=["huge", "html", "list", "deep", "cut", "no-power", "packed"],
)
async def test_a_malformed_answer_of_a_bmc_is_an_error(redfish: Redfish, bmc: Bmc, body: bytes, why: str) -> None:
    bmc.answers["GET", SYSTEM] = answering(200, body)
    with pytest.raises(DeviceError, match=why):
        await read(redfish, bmc)


async def test_a_body_without_end_is_not_read_to_its_end(redfish: Redfish, bmc: Bmc) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    bmc.answers["GET", SYSTEM] = endless
    with pytest.raises(DeviceError, match="more than"):
        await read(redfish, bmc)


async def test_a_bmc_that_hangs_ends_the_call_at_its_deadline(redfish: Redfish, bmc: Bmc) -> None:
    release = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response(status=204)

    bmc.answers["GET", SYSTEM] = hang
    with pytest.raises(DeviceTimedOut) as failed:
        await redfish.read(spec(bmc), timeout_seconds=0.3)
    with pytest.raises(DeviceTimedOut) as failed:
        await switch(redfish, bmc, Power.OFF, timeout_seconds=0.3)
    assert (failed.value.may_be_done, failed.value.is_end_known) == (False, True)
    del bmc.answers["GET", SYSTEM]
    bmc.answers["POST", RESET] = hang
    with pytest.raises(DeviceTimedOut) as failed:
        await switch(redfish, bmc, Power.OFF, timeout_seconds=0.3)
    assert (failed.value.may_be_done, failed.value.is_end_known) == (True, False)
    release.set()


async def test_a_command_whose_connection_broke_may_have_been_done_and_is_not_sent_again(
    redfish: Redfish, bmc: Bmc
) -> None:
    async def vanish(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    bmc.answers["POST", RESET] = vanish
    with pytest.raises(DeviceUnreachable) as failed:
        await switch(redfish, bmc, Power.OFF)
    assert (failed.value.may_be_done, failed.value.is_end_known) == (True, False)
    assert len(bmc.posts) == 1


async def test_a_cancelled_call_closes_its_connection(redfish: Redfish, bmc: Bmc) -> None:
    release = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    bmc.answers["GET", "/redfish/v1/"] = hang
    async with asyncio.TaskGroup() as tasks:
        before = descriptors()
        running = tasks.create_task(read(redfish, bmc), name="cancelled")
        await until(lambda: bool(bmc.requests))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        release.set()
        await until(lambda: descriptors() <= before)


async def test_only_the_configured_certificate_is_trusted(redfish: Redfish, tmp_path: Path) -> None:
    certificate, key, fingerprint = make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with Bmc().running(tls) as bmc:
        with pytest.raises(LoginRefused, match="its certificate is signed by itself") as failed:
            await read(redfish, bmc)
        assert failed.value.may_be_done is False
        assert await read(redfish, bmc, ca_file=str(certificate)) is Power.ON
        assert await read(redfish, bmc, insecure=True) is Power.ON
        assert await read(redfish, bmc, fingerprint=f"sha256:{fingerprint.upper()}") is Power.ON
        with pytest.raises(LoginRefused, match=f"its fingerprint is {fingerprint}"):
            await read(redfish, bmc, fingerprint="00" * 32)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"options": {"systems": "1"}}, "unknown options systems"),
        ({"options": {"insecure": True}}, "has no effect with http"),
        ({"options": {"insecure": True, "ca_file": "/x"}}, "contradict"),
        ({"options": {"fingerprint": "00"}, "address": "https://192.0.2.1"}, "not a SHA-256"),
        ({"options": {"ca_file": "/no/such"}, "address": "https://192.0.2.1"}, "can't be read as certificates"),
        ({"address": "https://fence:hunter2@192.0.2.1"}, "contains a user or password"),
        ({"address": "ftp://192.0.2.1"}, "is not https://HOST"),
        ({"address": ""}, "is not https://HOST|can't be read"),
        ({"username": "a:b"}, "colon"),
    ],
)
async def test_mistakes_are_reported_before_anything_is_sent(
    redfish: Redfish, changes: dict[str, Any], why: str
) -> None:
    settings = {"address": "http://192.0.2.1", "options": {}, **changes}
    with pytest.raises(BadParameters, match=why) as failed:
        await redfish.read(spec_of("redfish", **settings), timeout_seconds=2)
    assert failed.value.may_be_done is False
    assert "hunter2" not in str(failed.value)
