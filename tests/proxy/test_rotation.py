"""Certificates are replaced at both ends while calls run, and no call is lost; a bad file replaces nothing."""

import asyncio
import os
import shutil
import signal
import ssl
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fenced.model.power import Power
from fenced.ports.devices import DeviceError, LoginRefused
from fenced.proxy.certificate_watch import CertificateWatch
from fenced.proxy.certificates import show
from fenced.proxy.client import ProxyCaller
from fenced.proxy.tls import client_context
from tests.net import free_port, until
from tests.proxy.bed import PX1, caller_of, certs, make_certificates, send, tls_files
from tests.proxy.test_program import AGENT, Program, device


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Certificates that this test alone uses and replaces."""
    directory = tmp_path / "tls"
    make_certificates(directory)
    return directory


@pytest.fixture
def program(own: Path, tmp_path: Path) -> Program:
    (tmp_path / "fence_file").write_text(AGENT, encoding="utf-8")
    (tmp_path / "fence_file").chmod(0o755)
    program = Program(directory=tmp_path, certificates=own, port=free_port())
    program.write()
    return program


def shown_certificate(program: Program) -> str:
    """Return the certificate that the proxy presents to a new connection."""
    return ssl.get_server_certificate(("127.0.0.1", program.port))


def metrics(program: Program) -> str:
    """Scrape the metrics with the daemon's certificate."""
    context = client_context(tls_files(program.certificates))
    with urllib.request.urlopen(f"https://127.0.0.1:{program.port}/metrics", context=context, timeout=10) as answer:
        return bytes(answer.read()).decode()


@asynccontextmanager
async def watched(caller: ProxyCaller) -> AsyncIterator[None]:
    """Watch the caller's certificate files, as the daemon does."""
    task = asyncio.get_running_loop().create_task(caller.watch_certificates(), name="certificates")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def renewed(program: Program, pid: int) -> None:
    """Send SIGHUP and wait until the reload is complete."""
    before = program.stderr.count("reloaded")
    os.kill(pid, signal.SIGHUP)
    await until(lambda: program.stderr.count("reloaded") > before, what="the agent took the new files over")


async def test_no_call_is_lost_while_both_ends_get_new_certificates(program: Program, tmp_path: Path) -> None:
    bmc = device(tmp_path / "bmc")
    async with program.running() as process, program.caller() as caller, watched(caller):
        assert caller.certificates is not None
        first = await asyncio.to_thread(shown_certificate, program)
        done = asyncio.Event()
        readings: list[Power] = []

        async def read_on() -> None:
            while not done.is_set():
                readings.append(await caller.read(PX1, bmc, timeout_seconds=10))

        slow = asyncio.get_running_loop().create_task(send(caller, device(tmp_path / "pdu", seconds="1"), Power.OFF))
        readers = [asyncio.get_running_loop().create_task(read_on()) for _ in range(3)]
        await until(lambda: len(readings) > 3)
        context = caller.certificates.context
        certs("renew", str(program.certificates), "--name", "px1")
        certs("renew", str(program.certificates), "--name", "fenced-a")
        await renewed(program, process.pid)
        caller.certificates.ask()
        await until(lambda: caller.certificates is not None and caller.certificates.context is not context)
        count = len(readings)
        await until(lambda: len(readings) > count + 3)
        done.set()
        await asyncio.gather(slow, *readers)
        assert set(readings) == {Power.ON} and (tmp_path / "pdu" / "power").read_text() == "off"
        assert await asyncio.to_thread(shown_certificate, program) != first


async def test_an_authority_is_replaced_while_both_are_trusted(program: Program, tmp_path: Path) -> None:
    """New certificates of a new authority are trusted while the file holds both authorities;
    later the old ones are not.
    """
    old, new = program.certificates, tmp_path / "new"
    make_certificates(new)
    kept = tmp_path / "old-daemon"
    shutil.copytree(old, kept)
    bmc = device(tmp_path / "bmc")
    urls = {PX1: f"https://127.0.0.1:{program.port}"}
    async with program.running() as process, caller_of(kept, urls) as before:
        await before.read(PX1, bmc, timeout_seconds=10)
        (old / "ca.crt").write_bytes((old / "ca.crt").read_bytes() + (new / "ca.crt").read_bytes())
        await renewed(program, process.pid)
        async with caller_of(new, urls) as stranger:
            with pytest.raises(LoginRefused):
                await stranger.read(PX1, bmc, timeout_seconds=10)  # it trusts the new authority only
        for name in ("px1.crt", "px1.key"):
            shutil.copy(new / name, old / name)
        await renewed(program, process.pid)
        async with caller_of(new, urls) as fresh:
            assert await fresh.read(PX1, bmc, timeout_seconds=10) is Power.ON
            shutil.copy(new / "ca.crt", old / "ca.crt")
            await renewed(program, process.pid)
            assert await fresh.read(PX1, bmc, timeout_seconds=10) is Power.ON

        async def is_refused() -> bool:
            """Return whether a call is rejected. A kept connection answers once more and then closes."""
            try:
                await before.read(PX1, bmc, timeout_seconds=10)
            except DeviceError:
                return True
            return False

        await until(is_refused)


async def test_unusable_files_are_rejected_and_the_old_ones_stay(program: Program, tmp_path: Path) -> None:
    async with program.running() as process, program.caller() as caller:
        first = await asyncio.to_thread(shown_certificate, program)
        shutil.copy(program.certificates / "px2.key", program.certificates / "px1.key")
        program.write(allow='["CN=fenced-b"]')
        os.kill(process.pid, signal.SIGHUP)
        await until(lambda: "reload refused" in program.stderr)
        assert "TLS can't use it" in program.stderr
        assert await asyncio.to_thread(shown_certificate, program) == first
        assert "fenced_config_last_reload_successful 0.0" in await asyncio.to_thread(metrics, program)
        # A change applies as a whole or not at all: the allowed callers did not change either.
        assert await caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=10) is Power.ON


async def test_a_connection_of_the_old_certificate_ends_with_its_next_answer(program: Program, tmp_path: Path) -> None:
    async with program.running() as process:
        context = client_context(tls_files(program.certificates))
        reader, writer = await asyncio.open_connection("127.0.0.1", program.port, ssl=context)
        ask = b"GET /v1/status HTTP/1.1\r\nHost: px1\r\n\r\n"

        async def answer() -> bytes:
            writer.write(ask)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
            return head.lower()

        assert b"connection: close" not in await answer()
        certs("renew", str(program.certificates), "--name", "px1")
        await renewed(program, process.pid)
        assert b"connection: close" in await answer()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_who_may_call_changes_at_once_and_what_needs_a_restart_is_refused(
    program: Program, tmp_path: Path
) -> None:
    bmc = device(tmp_path / "bmc")
    async with program.running() as process, program.caller() as caller:
        await caller.read(PX1, bmc, timeout_seconds=10)
        program.write(allow='["CN=fenced-b"]')
        await renewed(program, process.pid)
        with pytest.raises(LoginRefused, match="allow list"):
            await caller.read(PX1, bmc, timeout_seconds=10)
        program.write(agent_processes="5")
        os.kill(process.pid, signal.SIGHUP)
        await until(lambda: "needs a restart" in program.stderr)
        program.write(allow='["fenced-a"]')
        os.kill(process.pid, signal.SIGHUP)
        await until(lambda: "1 errors, the first: " in program.stderr)


async def test_a_certificate_that_ends_soon_is_reported_and_one_that_ended_is_not_taken(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certs("daemon", str(own), "--name", "fenced-a", "--days", "10", "--force")
    watch = CertificateWatch(tls_files(own), client_context)
    seconds = {role: left for role, _, left in watch.expiry_seconds()}
    assert 9 * 86400 < seconds["own"] < 11 * 86400 < seconds["authority"]

    async def apply(_: ssl.SSLContext) -> None:
        raise AssertionError("nothing new was there")

    task = asyncio.get_running_loop().create_task(watch.run(apply))
    said: list[str] = []

    def is_told() -> bool:
        said.append("".join(capsys.readouterr()))
        return "certificate expires" in "".join(said)

    await until(is_told)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_renewed_certificate_is_for_the_same_name_use_and_addresses(own: Path) -> None:
    before = show(own / "px1.crt")[0]
    told = certs("renew", str(own), "--name", "px1", "--days", "100")
    after = show(own / "px1.crt")[0]
    assert (after.name, after.use, after.addresses, after.has_key) == (before.name, before.use, before.addresses, True)
    assert after.valid_until < before.valid_until
    assert "days left" in told
