"""Machine identities through a proxy: requested only by the check, bounded, and never with a secret."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fenced.model.identity import IDENTITIES_MAX
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, Identified
from fenced.proxy.protocol import Answer, Call
from tests.proxy.bed import PX1, Bed, caller_of
from tests.proxy.devices import device, log

UUID = "00112233-4455-6677-8899-aabbccddeeff"
OLD_ANSWER = {"outcome": "on", "power": "on", "error": None, "clock": {"boot": "b", "monotonic": 1.0}}


@asynccontextmanager
async def proxy_that_answers(**more: object) -> AsyncIterator[tuple[str, list[Call]]]:
    """Run a program that gives this answer to each call; yield its URL and the calls that it received."""
    asked: list[Call] = []

    async def call(request: web.Request) -> web.Response:
        asked.append(Call.model_validate_json(await request.read()))
        return web.json_response({"id": asked[-1].id, **OLD_ANSWER, **more})

    application = web.Application()
    application.router.add_post("/v1/call", call)
    runner = web.AppRunner(application, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def test_what_a_device_says_comes_through(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path, says=f"{UUID} SN-1")
    told = await bed.caller.identify(PX1, spec, timeout_seconds=5)
    assert told == Identified(power=Power.ON, identities=(UUID, "SN-1"))


async def test_a_reading_of_an_operation_asks_for_none(bed: Bed, tmp_path: Path) -> None:
    assert await bed.caller.read(PX1, device(tmp_path, says=UUID), timeout_seconds=5) is Power.ON
    assert "asked who it is" not in log(tmp_path)


async def test_no_secret_no_placeholder_and_no_more_than_the_limit_is_an_identity(bed: Bed, tmp_path: Path) -> None:
    says = "None S3cret-of-the-device x-S3CRET:of-the-device-x \x1b[2J" + "A" * 500
    many = " ".join(f"SN-{number}" for number in range(20))
    told = await bed.caller.identify(PX1, device(tmp_path, says=f"{says} {many}"), timeout_seconds=5)
    assert told.identities == tuple(f"SN-{number}" for number in range(IDENTITIES_MAX))


async def test_an_older_proxy_reports_no_identity_and_its_reading_counts(tmp_path: Path) -> None:
    async with proxy_that_answers() as (url, _), caller_of(None, {PX1: url}) as caller:
        told = await caller.identify(PX1, device(tmp_path), timeout_seconds=5)
        assert told == Identified(power=Power.ON)


async def test_an_older_daemon_asks_for_none() -> None:
    call = {"id": "1", "store": "s", "what": "status", "timeout": 1.0,
            "device": {"driver": "file", "plug_id": "p", "unit_id": "u"}}  # fmt: skip
    assert Call.model_validate(call).identify is False
    assert Answer.model_validate({"id": "1", **OLD_ANSWER}).identities == ()


@pytest.mark.parametrize("told", [["S3cret-of-the-device", UUID], [UUID, "Default string"], [f"{UUID}\n", UUID]])
async def test_a_foreign_proxy_is_not_believed_to_have_left_secrets_out(tmp_path: Path, told: list[str]) -> None:
    async with proxy_that_answers(identities=told) as (url, asked), caller_of(None, {PX1: url}) as caller:
        found = await caller.identify(PX1, device(tmp_path), timeout_seconds=5)
        assert [one for one in found.identities if "\\n" not in one] == [UUID] and asked[0].identify is True


@pytest.mark.parametrize("told", ["x", ["x" * 129], ["x"] * 9, [7], None])
async def test_what_is_out_of_bounds_is_no_answer(tmp_path: Path, told: object) -> None:
    async with proxy_that_answers(identities=told) as (url, _), caller_of(None, {PX1: url}) as caller:
        with pytest.raises(DeviceError, match="px1 answered"):
            await caller.identify(PX1, device(tmp_path), timeout_seconds=5)
