"""A test bed: certificates made by `fenced certs`, proxy agents as processes, and callers for them."""

import itertools
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from click.testing import CliRunner

from fenced.cli.certs import command as certs_command
from fenced.model.inventory import DeviceSpec
from fenced.model.names import PlugId, ProxyName, Token
from fenced.model.power import Power
from fenced.ports.clock import Clock
from fenced.ports.devices import Permit, Started
from fenced.proxy.client import ProxyCaller
from fenced.proxy.state import ProxyState
from fenced.proxy.tls import TlsFiles
from tests.net import free_port, until
from tests.warm.programs import Warm

PX1: Final = ProxyName("px1")
PX2: Final = ProxyName("px2")
STORE: Final = "store-1"


class BootClock:
    """Seconds since the boot: a steady clock without an anchor."""

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def certs(*arguments: str) -> str:
    """Run `fenced certs` and return its output."""
    result = CliRunner().invoke(certs_command, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def make_certificates(directory: Path) -> None:
    """Make an authority, and certificates for two daemons and two proxies on loopback."""
    certs("init", str(directory))
    for name in ("fenced-a", "fenced-b"):
        certs("daemon", str(directory), "--name", name)
    for name in ("px1", "px2"):
        certs("proxy", str(directory), "--name", name, "--address", "127.0.0.1")


def tls_files(directory: Path, name: str = "fenced-a") -> TlsFiles:
    return TlsFiles(
        ca_file=directory / "ca.crt", cert_file=directory / f"{name}.crt", key_file=directory / f"{name}.key"
    )


@dataclass(slots=True, kw_only=True)
class ProxyProcess:
    """One proxy agent; `start` returns when it listens."""

    name: str
    certificates: Path
    state_dir: Path
    port: int = field(default_factory=free_port)
    process: Warm | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def stderr(self) -> str:
        return (self.state_dir / "stderr").read_text(encoding="utf-8")

    def start(self) -> None:
        self.state_dir.mkdir(exist_ok=True)
        files = tls_files(self.certificates, self.name)
        settings = {
            "name": self.name,
            "port": str(self.port),
            "state_dir": str(self.state_dir),
            "ca": str(files.ca_file),
            "cert": str(files.cert_file),
            "key": str(files.key_file),
        }
        file = self.state_dir / "settings.json"
        file.write_text(json.dumps(settings), encoding="utf-8")
        command = [sys.executable, "-m", "tests.proxy.agent_program", str(file)]
        ready, said = os.pipe()
        with (self.state_dir / "stderr").open("ab") as stderr, open(ready, "rb") as answer:
            with open(said, "wb") as stdout:
                self.process = Warm(command, stdout=stdout.fileno(), stderr=stderr.fileno())
            assert answer.readline() == b"ready\n", self.stderr

    def kill(self) -> None:
        """Kill it as kill -9 does, and reap it."""
        if self.process is not None:
            self.process.kill()
            self._reap()

    def terminate(self) -> int:
        """Send SIGTERM; return the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        status = self.process.wait(timeout=20)
        self.process = None
        return status


@asynccontextmanager
async def caller_of(
    certificates: Path | None,
    urls: Mapping[ProxyName, str],
    *,
    name: str = "fenced-a",
    store: str = STORE,
    clock: Clock | None = None,
) -> AsyncIterator[ProxyCaller]:
    """Yield a daemon's caller; without certificates it uses plain HTTP."""
    tls = None if certificates is None else tls_files(certificates, name)
    before = open_sockets()
    caller = ProxyCaller(store=store, urls=urls, tls=tls, clock=clock or BootClock())
    try:
        yield caller
    finally:
        await caller.close()
        # TLS still sends a close message on an abandoned connection; the loop must not end before that.
        await until(lambda: open_sockets() <= before, what="all connections are closed")


def open_sockets() -> set[str]:
    """Return this process's open TCP sockets."""
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    tcp = {f"socket:[{words[INODE]}]" for words in lines}
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return found & tcp


INODE: Final = 9
"""The column of /proc/net/tcp."""
SEQUENCES: Final = itertools.count(100)


def permit_of(
    *, token: Token | None = None, attempt: float = 10.0, settle: float = 0.0, clock: Clock | None = None
) -> Permit:
    """Return a permit, by default with the next token, in the time of the daemon's clock."""
    return Permit(
        token=Token(epoch=4, sequence=next(SEQUENCES)) if token is None else token,
        attempt_timeout_seconds=attempt,
        not_after=(clock or BootClock()).now() + attempt + settle,
        settle_seconds=settle,
    )


async def send(
    caller: ProxyCaller, spec: DeviceSpec, power: Power, permit: Permit | None = None, proxy: ProxyName = PX1
) -> None:
    """Send a power command, by default with the next token."""
    await caller.set(proxy, spec, power, permit=permit or permit_of(), on_started=never_started)


async def ask_down(caller: ProxyCaller, spec: DeviceSpec, permit: Permit | None = None, proxy: ProxyName = PX1) -> None:
    """Send a soft off, by default with the next token."""
    await caller.soft_off(proxy, spec, permit=permit or permit_of(), on_started=never_started)


@dataclass(slots=True, kw_only=True)
class Bed:
    """A proxy, and a daemon's caller for it."""

    px1: ProxyProcess
    certificates: Path
    caller: ProxyCaller

    async def set(self, spec: DeviceSpec, power: Power, permit: Permit | None = None) -> None:
        await send(self.caller, spec, power, permit)

    def highest(self, plug_id: PlugId) -> Token | None:
        """Return the highest token of a plug that the proxy has on disk."""
        with ProxyState(self.px1.state_dir, machine_boot="any", is_owner=False) as state:
            return state.highest(plug_id)


async def never_started(started: Started) -> None:
    """Fail if called: the daemon must not record processes that run at a proxy."""
    raise AssertionError(f"a process of the proxy's was told to the daemon: {started}")
