"""A proxy agent behind a real HTTP CONNECT proxy: TLS stays mutual end to end, and each refusal names its cause."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fenced.model.inventory import Secret, Via
from fenced.model.power import Power
from fenced.ports.devices import LoginRefused, ProxyUnreachable
from fenced.proxy.client import ProxyCaller
from tests.needs import find, needs
from tests.net import free_port, until_listening
from tests.proxy.bed import PX1, BootClock, ProxyProcess, send, tls_files
from tests.proxy.devices import device, log

pytestmark = needs("tinyproxy")


@asynccontextmanager
async def tinyproxy(directory: Path, *lines: str) -> AsyncIterator[str]:
    """Run tinyproxy and yield its URL."""
    port = free_port()
    file, written = directory / f"tinyproxy-{port}.conf", directory / f"tinyproxy-{port}.log"
    settings = [
        f"Port {port}", "Listen 127.0.0.1", "Allow 127.0.0.1", f'LogFile "{written}"', "LogLevel Connect", *lines,
    ]  # fmt: skip
    file.write_text("\n".join([*settings, ""]), encoding="utf-8")
    program = find("tinyproxy")
    assert program is not None
    process = subprocess.Popen([program, "-d", "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await until_listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


@asynccontextmanager
async def calling(certificates: Path, url: str, via: Via, *, name: str = "fenced-a") -> AsyncIterator[ProxyCaller]:
    caller = ProxyCaller(
        store="store-1", urls={PX1: url}, vias={PX1: via}, tls=tls_files(certificates, name), clock=BootClock()
    )
    try:
        yield caller
    finally:
        await caller.close()
        await asyncio.sleep(0)


async def test_reads_and_commands_go_through_it(certificates: Path, shared_px1: ProxyProcess, tmp_path: Path) -> None:
    async with (
        tinyproxy(tmp_path, f"ConnectPort {shared_px1.port}") as url,
        calling(certificates, shared_px1.url, Via(url=url)) as caller,
    ):
        bmc = device(tmp_path / "bmc")
        assert await caller.read(PX1, bmc, timeout_seconds=10) is Power.ON
        await send(caller, bmc, Power.OFF)
        assert await caller.read(PX1, bmc, timeout_seconds=10) is Power.OFF
    said = next(tmp_path.glob("tinyproxy-*.log")).read_text(encoding="utf-8")
    assert f"CONNECT 127.0.0.1:{shared_px1.port}" in said, "it really went through"


async def test_the_tls_inside_is_still_mutual(certificates: Path, shared_px1: ProxyProcess, tmp_path: Path) -> None:
    async with tinyproxy(tmp_path, f"ConnectPort {shared_px1.port}") as url:
        async with calling(certificates, shared_px1.url, Via(url=url), name="fenced-b") as caller:
            with pytest.raises(LoginRefused, match="CN=fenced-b is not in this proxy's allow list"):
                await caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=10)
        elsewhere = f"https://localhost:{shared_px1.port}"
        async with calling(certificates, elsewhere, Via(url=url)) as caller:
            with pytest.raises(LoginRefused, match="Hostname mismatch"):
                await caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=10)
    assert log(tmp_path / "bmc") == []


async def test_its_refusals_are_about_the_way_and_say_what_to_do(
    certificates: Path, shared_px1: ProxyProcess, tmp_path: Path
) -> None:
    good = Secret("S3cret-of-the-way")
    async with tinyproxy(
        tmp_path, "ConnectPort 1", f"ConnectPort {shared_px1.port}", "BasicAuth fenced S3cret-of-the-way"
    ) as url:
        cases = [
            (shared_px1.url, Via(url=url), "HTTP 407: .*via_username"),
            (shared_px1.url, Via(url=url, username="fenced", password=Secret("wrong")), "HTTP 40[17]"),
            (f"https://127.0.0.1:{free_port()}", Via(url=url, username="fenced", password=good), "HTTP 403: .*CONNECT"),
            ("https://127.0.0.1:1", Via(url=url, username="fenced", password=good), "HTTP 50[0-4]"),
            (shared_px1.url, Via(url=f"http://127.0.0.1:{free_port()}"), "can't be reached"),
        ]  # fmt: skip
        for to, via, why in cases:
            async with calling(certificates, to, via) as caller:
                for call in (
                    caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=10),
                    send(caller, device(tmp_path / "bmc"), Power.OFF),
                ):
                    with pytest.raises(ProxyUnreachable, match=why) as refused:
                        await call
                    assert not refused.value.may_be_done and refused.value.is_end_known
                    assert "S3cret" not in str(refused.value)
        async with calling(certificates, shared_px1.url, Via(url=url, username="fenced", password=good)) as caller:
            assert await caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=10) is Power.ON
