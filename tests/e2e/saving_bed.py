"""A bed for power saving: node-1, behind a BMC and a proxy, may sleep; three more hosts with an outlet stay on."""

import asyncio
import contextlib
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from tests.beat.program import ALONE
from tests.drivers.counterparts import PASSWORD, USERNAME, ipmi_sim, udp_port
from tests.e2e.agents import Agent
from tests.e2e.bed import Answer, Bed, bed
from tests.e2e.configuration import DAEMON, SITE, Configuration
from tests.e2e.hosts import Beating
from tests.e2e.programs import background
from tests.e2e.proxies import make_certificates, proxy
from tests.e2e.test_bmcs import secret
from tests.net import free_port, until

SLEEPER: Final = "node-1"
OTHERS: Final = ("node-2", "node-3", "node-4")
PROXY: Final = "px1"
SHUTDOWN_SECONDS: Final = 1.0
"""How long the operating system takes to shut down."""
SAVING: Final[Mapping[str, object]] = {
    "enabled": True, "reserve": 1, "min_on": 3, "idle_for": "1s", "veto": "1s", "pause": "0s", "awake_for": "1h",
    "soft_timeout": "20s", "retry_after": "1h", "proven_on": "0s", "watch": "1s",
}  # fmt: skip


class Chassis:
    """The power of node-1 behind an ipmi_sim. `acts`: what its BMC was told, in order: `soft`, `off`, `on`."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port

    @property
    def is_on(self) -> bool:
        return (self._folder / "on").exists()

    @property
    def acts(self) -> list[str]:
        acts = self._folder / "acts"
        return acts.read_text().split() if acts.exists() else []

    def switch_off(self) -> None:
        """Do what an operating system does last."""
        (self._folder / "on").unlink(missing_ok=True)

    def device(self, password_file: str) -> dict[str, Any]:
        return {
            "name": "bmc", "driver": "ipmi", "address": f"127.0.0.1:{self._port}", "username": USERNAME,
            "password_file": password_file, "options": {"cipher": 3},
        }  # fmt: skip


@contextlib.contextmanager
def chassis(folder: Path) -> Iterator[Chassis]:
    """Run an ipmi_sim that notes what it is told, and only notes that the host shall shut down."""
    folder.mkdir()
    port = udp_port()
    with ipmi_sim(folder, port):
        (folder / "chassis.sh").write_text(f"""#!/bin/sh
shift
case "$1 $2 $3" in
"get power "*) [ -e {folder}/on ] && echo power:1 || echo power:0;;
"set power 1") echo on >> {folder}/acts; touch {folder}/on;;
"set power 0") echo off >> {folder}/acts; rm -f {folder}/on;;
"set shutdown "*) echo soft >> {folder}/acts;;
esac
exit 0
""")
        yield Chassis(folder, port)


class System(Protocol):
    """What runs on node-1 while its chassis is on."""

    @property
    def is_running(self) -> bool: ...

    def boot(self) -> None: ...

    def die(self) -> None: ...

    async def shut_down(self) -> None:
        """Tell who listens, end everything, and take as long as a machine does."""
        ...

    def is_asked_down(self) -> bool: ...


class Beats:
    """Heartbeats alone, as another reporter would send them. It obeys its power button unless it is `deaf`."""

    def __init__(self, hosts: Beating, power: Chassis, *, is_deaf: bool = False) -> None:
        self._hosts, self._power, self._is_deaf = hosts, power, is_deaf
        self._obeyed = 0

    @property
    def is_running(self) -> bool:
        return SLEEPER in self._hosts.boots

    def boot(self) -> None:
        self._hosts.boot(SLEEPER)

    def die(self) -> None:
        self._hosts.kill(SLEEPER)

    def is_asked_down(self) -> bool:
        return not self._is_deaf and self._power.acts.count("soft") > self._obeyed

    async def shut_down(self) -> None:
        self._obeyed = self._power.acts.count("soft")
        self._hosts.stopping.add(SLEEPER)
        await asyncio.sleep(SHUTDOWN_SECONDS)
        self.die()
        self._hosts.stopping.discard(SLEEPER)


class Obedient:
    """The real reporter, which obeys the daemon, and a scheduler that writes how many workloads run."""

    def __init__(self, folder: Path, port: int, *, interval: str = "500ms") -> None:
        self._folder, self._port, self._interval = folder, port, interval
        self._process: subprocess.Popen[bytes] | None = None
        self.workloads = 0

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def log(self) -> str:
        return (self._folder / "beat.log").read_text()

    def boot(self) -> None:
        self._say_workloads()
        (self._folder / "halt").unlink(missing_ok=True)
        options = {
            "bus": f"mqtt://127.0.0.1:{self._port}", "site": SITE, "host": SLEEPER, "interval": self._interval,
            "boot": str(uuid.uuid4()), "workloads-file": str(self._folder / "workloads"), "obey": "shutdown",
        }  # fmt: skip
        arguments = [word for key, value in options.items() for word in (f"--{key}", value)]
        # Two words of one command: touch FILE.
        arguments += ["--shutdown-command", "touch", "--shutdown-command", str(self._folder / "halt")]
        with (self._folder / "beat.log").open("ab") as log:
            self._process = subprocess.Popen([*ALONE, *arguments], stderr=log)

    def die(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def is_asked_down(self) -> bool:
        self._say_workloads()
        return (self._folder / "halt").exists()

    async def shut_down(self) -> None:
        end = time.monotonic() + SHUTDOWN_SECONDS
        while time.monotonic() < end:
            self._say_workloads()
            await asyncio.sleep(0.05)
        self.die()

    def _say_workloads(self) -> None:
        new = self._folder / "workloads.new"
        new.write_text(str(self.workloads))
        new.replace(self._folder / "workloads")


async def live(system: System, power: Chassis) -> None:
    """Let the system run with its power, and shut itself down when it is asked to."""
    try:
        while True:
            if power.is_on and not system.is_running:
                system.boot()
            elif not power.is_on and system.is_running:
                system.die()
            elif system.is_running and system.is_asked_down():
                await system.shut_down()
                power.switch_off()
            await asyncio.sleep(0.05)
    finally:
        if system.is_running:
            system.die()


@contextlib.asynccontextmanager
async def saving_bed(
    folder: Path, device: Callable[[str], dict[str, Any]], *, alive: tuple[str, ...] = OTHERS, **saving: object
) -> AsyncIterator[Bed]:
    """Yield a daemon that saves power and reaches node-1's BMC through a proxy. Not `alive`: the test lets it beat."""
    agent = Agent(folder / "agents")
    port, certificates = free_port(), await make_certificates(folder / "certs", PROXY)

    def change(configuration: Configuration) -> None:
        configuration.change("saving", **{**SAVING, **saving})
        configuration.change("gates", connectivity={"share": 50, "at_least": 2})
        configuration.tables["proxy_client"] = {
            "ca_file": str(certificates / "ca.crt"),
            "cert_file": str(certificates / f"{DAEMON}.crt"),
            "key_file": str(certificates / f"{DAEMON}.key"),
        }
        configuration.proxies = [{"name": PROXY, "url": f"https://127.0.0.1:{port}", "cluster": "c1"}]

    devices = {SLEEPER: [{**device(secret(folder)), "proxies": [PROXY]}]}
    devices |= {name: [agent.device(name)] for name in OTHERS}
    async with (
        proxy(PROXY, port, certificates=certificates, folder=folder, agents=folder / "agents"),
        bed(folder, devices, alive=alive, change=change) as it,
    ):
        it.hosts.workloads = dict.fromkeys(devices, 0)
        yield it


@contextlib.asynccontextmanager
async def living(it: Bed, system: System, power: Chassis) -> AsyncIterator[None]:
    """Let node-1 live during the block, from its first heartbeat."""
    async with background(live(system, power), "the system of node-1"):
        await it.healthy([SLEEPER])
        yield


async def ask_to_sleep(it: Bed) -> str:
    """Ask for the sleep of node-1, as soon as the daemon knows that it is idle; return the operation."""
    body, answers = {"action": "sleep", "reason": "a test"}, list[Answer]()

    async def is_accepted() -> bool:
        answers.append(await it.api.call("POST", f"hosts/{SLEEPER}/actions", body=body))
        return answers[-1].status == 202

    await until(is_accepted, what="node-1 is put to sleep")
    return str(answers[-1].body["operation"])


async def wake(it: Bed) -> list[str]:
    """Ask for one more host of the cluster; return who is woken."""
    body = {"cluster": "c1", "hosts": 1, "reason": "a test"}
    answer = await it.api.call("POST", "saving/wake", body=body)
    assert answer.status == 202, answer.text
    return list(answer.body["hosts"])


__all__ = [
    "PASSWORD", "SLEEPER", "Beats", "Chassis", "Obedient", "ask_to_sleep", "chassis", "living", "saving_bed", "wake",
]  # fmt: skip
