"""`fenced proxy` as an operator starts it: its file, its certificates, a real fence agent program."""

import asyncio
import json
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fenced.cli.proxy import command
from fenced.model.inventory import DeviceSpec, Tls
from fenced.model.names import PlugId, UnitId
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, CommandRefused, DeviceError, DeviceUnreachable
from fenced.proxy.client import ProxyCaller
from tests.drivers.certificate import make_certificate
from tests.drivers.old_tls import RSA_ONLY, old_context
from tests.drivers.redfish.bmc import Bmc
from tests.drivers.redfish.bmc import spec as redfish_spec
from tests.net import free_port, until
from tests.proxy.bed import PX1, caller_of, permit_of, send
from tests.warm.programs import Ended, Warm, run

FENCED = [sys.executable, "-c", "from fenced.cli.main import main; main()"]

AGENT = """#!/bin/sh
# A fence agent over a file: action, ip (a directory) and seconds on standard input.
while read -r line; do
  case "$line" in
    action=*) action="${line#action=}" ;;
    ip=*) dir="${line#ip=}" ;;
    seconds=*) seconds="${line#seconds=}" ;;
  esac
done
case "$action" in
  metadata)
    printf '<resource-agent name="fence_file"><parameters>'
    for name in action ip username password plug seconds; do
      printf '<parameter name="%s"><content type="string"/></parameter>' "$name"
    done
    printf '</parameters><actions>'
    for name in on off status; do printf '<action name="%s"/>' "$name"; done
    echo '</actions></resource-agent>'
    ;;
  status)
    if [ "$(cat "$dir/power")" = on ]; then echo "Status: ON"; exit 0; else echo "Status: OFF"; exit 2; fi ;;
  on|off)
    echo "$$" > "$dir/pid"
    sleep "${seconds:-0}"
    printf %s "$action" > "$dir/power"
    echo "Success" ;;
esac
"""


def device(directory: Path, **options: str) -> DeviceSpec:
    directory.mkdir(exist_ok=True)
    if not (directory / "power").exists():
        (directory / "power").write_text("on")
    return DeviceSpec(
        driver="fence_file",
        plug_id=PlugId(f"fence_file/{directory}"),
        unit_id=UnitId(str(directory)),
        address=str(directory),
        options=options,
        nodename="node-1",
        cuts_power=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """`fenced proxy` and its file."""

    directory: Path
    certificates: Path
    port: int
    scheme: str = "https"

    @property
    def file(self) -> Path:
        return self.directory / "proxy.toml"

    @property
    def stderr(self) -> str:
        return (self.directory / "stderr").read_text(encoding="utf-8")

    def write(self, **changes: str) -> None:
        """Write the file with these keys (values as TOML) changed or added."""
        keys = {
            "name": '"px1"',
            "listen": f'"127.0.0.1:{self.port}"',
            "state_dir": f'"{self.directory / "state"}"',
            "tls_cert_file": f'"{self.certificates / "px1.crt"}"',
            "tls_key_file": f'"{self.certificates / "px1.key"}"',
            "client_ca_file": f'"{self.certificates / "ca.crt"}"',
            "allow": '["CN=fenced-a"]',
            "agent_path": f'["{self.directory}"]',
            "agent_processes": "4",
        }
        lines = [f"{key} = {value}" for key, value in (keys | changes).items()]
        self.file.write_text("\n".join(["[proxy]", *lines, ""]), encoding="utf-8")

    def caller(self) -> AbstractAsyncContextManager[ProxyCaller]:
        certificates = self.certificates if self.scheme == "https" else None
        return caller_of(certificates, {PX1: f"{self.scheme}://127.0.0.1:{self.port}"})

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Warm]:
        """Yield the agent once it answers; kill it at the end if it still runs."""
        with (self.directory / "stderr").open("ab") as stderr:
            process = Warm([*FENCED, "proxy", "-c", str(self.file), *arguments], stderr=stderr.fileno())
        try:
            await self._until_up()
            yield process
        finally:
            process.kill()
            process.wait()

    def run(self, *arguments: str) -> Result:
        """Run it in this process to its end, for tests in which nothing gets started."""
        return CliRunner().invoke(command, ["-c", str(self.file), *arguments])

    async def run_process(self) -> Ended:
        """Run it as a process to its end."""
        line = [*FENCED, "proxy", "-c", str(self.file)]
        return await run(line, seconds=30)

    async def _until_up(self) -> None:
        async with self.caller() as caller:

            async def answers() -> bool:
                try:
                    await caller.status(PX1, timeout_seconds=1)
                except DeviceError:
                    return False
                return True

            await until(answers, what="the proxy agent answers")


@pytest.fixture
def program(certificates: Path, tmp_path: Path) -> Program:
    (tmp_path / "fence_file").write_text(AGENT, encoding="utf-8")
    (tmp_path / "fence_file").chmod(0o755)
    program = Program(directory=tmp_path, certificates=certificates, port=free_port())
    program.write()
    return program


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_a_fence_agent_through_the_program(program: Program, tmp_path: Path, loop: str) -> None:
    spec = device(tmp_path / "pdu")
    async with program.running("--loop", loop) as process, program.caller() as caller:
        assert await caller.read(PX1, spec, timeout_seconds=10) is Power.ON
        await send(caller, spec, Power.OFF)
        assert await caller.read(PX1, spec, timeout_seconds=10) is Power.OFF
        with pytest.raises(BadParameters, match="fence_missing is not installed"):
            await caller.read(PX1, replace(spec, driver="fence_missing"), timeout_seconds=10)
        process.terminate()
        assert await process.ended() == 0
    logged = [json.loads(line) for line in program.stderr.splitlines()]
    told = next(line for line in logged if line["event"] == "power command")
    assert (told["who"], told["what"], told["outcome"]) == ("fenced-a", "off", "done")
    assert told["token"].startswith("4-") and told["milliseconds"] >= 0


async def test_an_old_bmc_is_spoken_to_through_a_proxy_where_the_device_says_so(
    program: Program, tmp_path: Path
) -> None:
    """The device's `tls` travels with the call, and what the BMC offers comes back in the error."""
    certificate, key, fingerprint = make_certificate(tmp_path, is_rsa=True)
    old = old_context(certificate, key, ssl.TLSVersion.TLSv1_2, ciphers=RSA_ONLY)
    async with program.running(), program.caller() as caller, Bmc().running(old) as bmc:
        refused = redfish_spec(bmc, fingerprint=fingerprint)
        with pytest.raises(DeviceUnreachable, match=r"TLS handshake: no common cipher \(it offers .*tls = .legacy"):
            await caller.read(PX1, refused, timeout_seconds=10)
        spec = replace(refused, tls=Tls.LEGACY)
        assert await caller.read(PX1, spec, timeout_seconds=10) is Power.ON
        await send(caller, spec, Power.OFF)
        assert await caller.read(PX1, spec, timeout_seconds=10) is Power.OFF


async def test_a_proxy_runs_no_unreviewed_agent_without_cuts_power(program: Program, tmp_path: Path) -> None:
    """The proxy's review tables apply, whatever the daemon allowed.

    `cuts_power` travels with the device of the call.
    """
    spec = device(tmp_path / "pdu")
    (tmp_path / "fence_sbd").symlink_to(tmp_path / "fence_file")
    async with program.running(), program.caller() as caller:
        for refused in (replace(spec, cuts_power=False), replace(spec, driver="fence_sbd")):
            with pytest.raises(BadParameters, match=r"not reviewed|does not cut power") as failed:
                await caller.read(PX1, refused, timeout_seconds=10)
            assert not failed.value.may_be_done
            with pytest.raises(BadParameters, match=r"not reviewed|does not cut power"):
                await send(caller, refused, Power.OFF)
        with pytest.raises(BadParameters, match="not the power"):
            await caller.read(PX1, replace(spec, options={"network-fencing": True}), timeout_seconds=10)
        assert (tmp_path / "pdu" / "power").read_text() == "on"
        assert await caller.read(PX1, spec, timeout_seconds=10) is Power.ON


async def test_without_tls_on_loopback(program: Program, tmp_path: Path) -> None:
    program.write(tls_cert_file='""', tls_key_file='""', client_ca_file='""', allow="[]")
    plain = replace(program, scheme="http")
    async with plain.running(), plain.caller() as caller:
        await send(caller, device(tmp_path / "pdu"), Power.OFF)
        assert await caller.read(PX1, device(tmp_path / "pdu"), timeout_seconds=10) is Power.OFF


def test_without_tls_other_addresses_are_refused(program: Program) -> None:
    program.write(listen=f'"0.0.0.0:{program.port}"', tls_cert_file='""', tls_key_file='""', client_ca_file='""')
    result = program.run("--check")
    assert (result.exit_code, "loopback" in result.output) == (78, True)


async def test_systemd_is_notified_when_it_listens(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        async with program.running():
            assert (await asyncio.to_thread(notified.recv, 1024)).startswith(b"READY=1")


async def test_kill_9_in_a_command_leaves_no_agent_and_closes_the_plug(program: Program, tmp_path: Path) -> None:
    slow = device(tmp_path / "pdu", seconds="60")
    async with program.caller() as caller:
        async with program.running() as process:
            sent = asyncio.ensure_future(send(caller, slow, Power.OFF, permit_of(attempt=20)))
            await until(lambda: (tmp_path / "pdu" / "pid").exists())
            agent = int((tmp_path / "pdu" / "pid").read_text())
            process.kill()
            with pytest.raises(DeviceError) as lost:
                await sent
            assert lost.value.may_be_done and not lost.value.is_end_known
            await until(lambda: not is_running(agent), what="the agent died with its owner")
        async with program.running():
            await caller.status(PX1, timeout_seconds=5)
            with pytest.raises(CommandRefused, match="before the proxy agent's restart"):
                await send(caller, device(tmp_path / "pdu"), Power.ON, permit_of(attempt=2))
    assert (tmp_path / "pdu" / "power").read_text() == "on"


def test_mistakes_of_the_file_are_printed(program: Program) -> None:
    program.write(agent_processes="0", nonsense="1")
    result = program.run("--check")
    assert result.exit_code == 78
    assert "agent_processes" in result.output and "nonsense" in result.output and "2 errors" in result.output


def test_the_store_is_shown_and_adopted(program: Program) -> None:
    assert "none yet" in program.run("--show-store").output
    assert program.run("--adopt-store", "store-9").output == "store-9\n"
    assert program.run("--show-store").output == "store-9\n"
    assert "no mistakes" in program.run("--check").output


async def test_what_cannot_be_started_says_why(program: Program, tmp_path: Path) -> None:
    async with program.running():
        second = await program.run_process()
        assert (second.status, "another proxy agent" in second.err) == (78, True)
        program.write(state_dir=f'"{tmp_path / "state-2"}"')
        third = await program.run_process()
        assert (third.status, "can't listen" in third.err) == (1, True)
        program.write(state_dir=f'"{tmp_path / "state-2"}"', tls_key_file=f'"{program.certificates / "px2.key"}"')
        fourth = await program.run_process()
        assert (fourth.status, "TLS can't use it" in fourth.err) == (78, True)
        program.write(nonsense="1")
        fifth = await program.run_process()
        (line,) = fifth.err.splitlines()
        assert (fifth.status, json.loads(line)["event"]) == (78, "configuration mistake") and "nonsense" in line


def is_running(pid: int) -> bool:
    """Zombies count as ended: whether orphans are reaped here depends on the machine."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
