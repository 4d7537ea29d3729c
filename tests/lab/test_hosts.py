"""Hosts are processes that really die: in namespaces (root only) and as process groups."""

import asyncio
import functools
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from fenced.lab.errors import LabError
from fenced.lab.ground import Endpoint, Ground, PlainGround
from fenced.lab.hosts import Halted, HostFiles, Hosts, VirtualHost, last_writes
from fenced.lab.island import Island
from fenced.lab.machine import WORKLOADS
from fenced.lab.namespaces import why_not
from tests.needs import needs, needs_root
from tests.net import until

BROKER_PORT = 18830
WRITER = """
import sys, time
while True:
    with open(sys.argv[1], "a") as file:
        file.write(f"{time.monotonic()} {sys.argv[2]}\\n")
    time.sleep(0.02)
"""
REPORTER = f"import os\nif os.fork() == 0: os.setsid(){WRITER}"
"""Writes for ever, also from a second process that left the process group."""
CALLER = """
import socket, sys, time
while True:
    try:
        connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
        while True:
            connection.sendall(b"beat")
            time.sleep(0.05)
    except OSError:
        time.sleep(0.05)
"""

LAB = """
import asyncio, sys
from pathlib import Path
from tests.lab import test_hosts as these

async def main():
    kind, path, trace = sys.argv[1:]
    ground = getattr(these, kind)()
    if kind == "Island":
        await ground.lay()
    async with these.lab_of(ground, Path(path), these.python(these.WRITER, trace)):
        await asyncio.sleep(600)

asyncio.run(main())
"""
"""A lab in a separate process, to be killed."""

in_namespaces = [needs_root(), needs("ip", "unshare", "nsenter", "setpriv")]


def report(argv: Sequence[str], name: str, boot: str) -> Sequence[str]:
    return [*argv, boot]


@asynccontextmanager
async def lab_of(
    ground: Ground, path: Path, *reporters: Sequence[str], halted: Halted | None = None
) -> AsyncIterator[Hosts]:
    """Run hosts node-1, node-2, ... while the block runs."""
    hosts = []
    for index, reporter in enumerate(reporters):
        files = HostFiles(oracle=path / f"{index}.oracle", console=path / f"{index}.console", folder=path / str(index))
        hosts.append(
            VirtualHost(
                ground,
                name=f"node-{index + 1}",
                index=index,
                files=files,
                reporter=functools.partial(report, tuple(reporter)),
            )
        )
    all_hosts = Hosts(hosts)
    halted = (lambda name: None) if halted is None else halted
    task = asyncio.create_task(all_hosts.run_forever(halted), name="hosts")
    try:
        for host in hosts:
            host.start()
            await until(
                lambda oracle=host.files.oracle: oracle.exists() and last_writes(oracle) != {},
                what=f"{host.name} writes",
            )
        yield all_hosts
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await ground.close()


@pytest.fixture(params=["plain", pytest.param("island", marks=in_namespaces)])
async def ground(request: pytest.FixtureRequest) -> Ground:
    if request.param == "plain":
        return PlainGround()
    island = Island()
    await island.lay()
    return island


def python(text: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", text, *arguments]


async def stays_silent(oracle: Path) -> None:
    """Check that nothing is appended for the time in which a living host would write a dozen times."""
    size = oracle.stat().st_size
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        await asyncio.sleep(0.02)
        assert oracle.stat().st_size == size


async def test_a_power_cut_kills_and_power_boots_with_a_new_boot_id(ground: Ground, tmp_path: Path) -> None:
    async with lab_of(ground, tmp_path, python("import time; time.sleep(600)")) as hosts:
        host = hosts["node-1"]
        first = host.boot
        hosts.power_changed("node-1", False)
        await host.until_dead()
        dead_at = time.monotonic()
        assert not host.is_running
        await stays_silent(host.files.oracle)
        hosts.power_changed("node-1", True)
        await until(lambda: host.boot != first and host.boot in last_writes(host.files.oracle), what="second life")
        assert first is not None
        assert last_writes(host.files.oracle)[first] < dead_at


async def test_a_cut_and_power_at_once_still_makes_two_lives(ground: Ground, tmp_path: Path) -> None:
    async with lab_of(ground, tmp_path, python("import time; time.sleep(600)")) as hosts:
        host = hosts["node-1"]
        for _ in range(3):
            hosts.power_changed("node-1", False)
            hosts.power_changed("node-1", True)
        await until(lambda: len(host.runs) == 2 and host.boot in last_writes(host.files.oracle), what="second life")
        assert len({run.boot for run in host.runs}) == 2


async def test_a_frozen_host_is_silent_and_goes_on_afterwards(ground: Ground, tmp_path: Path) -> None:
    async with lab_of(ground, tmp_path, python("import time; time.sleep(600)")) as hosts:
        host = hosts["node-1"]
        host.freeze(is_frozen=True)
        await until(lambda: time.monotonic() - max(last_writes(host.files.oracle).values()) > 0.1)
        await stays_silent(host.files.oracle)
        size = host.files.oracle.stat().st_size
        host.freeze(is_frozen=False)
        await until(lambda: host.files.oracle.stat().st_size > size)
        host.freeze(is_frozen=True)
        host.cut()
        await host.until_dead()
        assert len(host.runs) == 1


POLITE = """
import signal, subprocess, sys

def say():
    asked = subprocess.run(["systemctl", "is-system-running"], stdout=subprocess.PIPE, text=True)
    open(sys.argv[1], "a").write(asked.stdout)

def end(number, frame):
    say()
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
say()
if sys.argv[2] == "leave":
    subprocess.run(["systemctl", "poweroff"])
signal.pause()
"""
"""Says what the system says of itself, at its start and when it is ended."""


async def test_a_power_button_shuts_the_host_down_and_power_boots_it(ground: Ground, tmp_path: Path) -> None:
    said, down = tmp_path / "said", list[str]()
    async with lab_of(ground, tmp_path, python(POLITE, str(said), "stay"), halted=down.append) as hosts:
        host = hosts["node-1"]
        await until(lambda: said.exists() and said.read_text() == "running\n", what="the reporter runs")
        hosts.ask_down("node-1")
        await until(lambda: down == ["node-1"], what="the host is down")
        assert said.read_text() == "running\nstopping\n"
        await stays_silent(host.files.oracle)
        hosts.power_changed("node-1", False)
        hosts.power_changed("node-1", True)
        await until(lambda: said.read_text().endswith("stopping\nrunning\n"), what="second life")
        host.cut()
        await host.until_dead()
        assert (len(host.runs), down) == (2, ["node-1"])


async def test_the_host_shuts_itself_down(ground: Ground, tmp_path: Path) -> None:
    said, down = tmp_path / "said", list[str]()
    async with lab_of(ground, tmp_path, python(POLITE, str(said), "leave"), halted=down.append):
        await until(lambda: down == ["node-1"], what="the host is down")
        assert said.read_text().endswith("stopping\n")


async def test_a_host_says_how_much_work_it_has_until_it_dies(ground: Ground, tmp_path: Path) -> None:
    async with lab_of(ground, tmp_path, python("import time; time.sleep(600)")) as hosts:
        host = hosts["node-1"]
        assert host.files.folder is not None
        said = host.files.folder / WORKLOADS

        def says(count: str) -> bool:
            return said.exists() and said.read_text() == count and time.time() - said.stat().st_mtime < 1.0

        await until(lambda: says("0"), what="no work")
        host.give_work(3)
        await until(lambda: says("3"), what="work")
        host.cut()
        await host.until_dead()
        with pytest.raises(LabError, match="does not run"):
            host.give_work(1)
        host.start()
        await until(lambda: says("0"), what="no work after a boot")


async def test_the_end_of_the_lab_is_the_end_of_its_hosts(ground: Ground, tmp_path: Path) -> None:
    async with lab_of(ground, tmp_path, python("import time; time.sleep(600)")) as hosts:
        oracle = hosts["node-1"].files.oracle
    await stays_silent(oracle)


@pytest.mark.parametrize("kind", ["PlainGround", pytest.param("Island", marks=in_namespaces)])
@needs("setpriv")
async def test_a_killed_lab_leaves_nothing_running(kind: str, tmp_path: Path) -> None:
    """After kill -9 of the lab's process, hosts and reporters die with it, also those of process groups."""
    trace = tmp_path / "trace"
    lab = await asyncio.create_subprocess_exec(sys.executable, "-c", LAB, kind, str(tmp_path), str(trace))
    try:
        await until(trace.exists, what="the reporter writes")
    finally:
        lab.kill()
        await lab.wait()
    await until(lambda: time.time() - trace.stat().st_mtime > 0.2, what="the reporter is dead")
    await stays_silent(trace)
    await stays_silent(tmp_path / "0.oracle")


async def test_a_process_group_has_no_cable(tmp_path: Path) -> None:
    async with lab_of(PlainGround(), tmp_path, python("import time; time.sleep(600)")) as hosts:
        with pytest.raises(LabError, match="no cable"):
            hosts["node-1"].unplug(is_unplugged=True)


class Ear:
    """A listener in the broker's place: records what it receives, and how many connections were closed properly."""

    def __init__(self, island: Island) -> None:
        self.heard = asyncio.Event()
        self.goodbyes = 0
        self.longest_silence = 0.0
        self._heard_at = time.monotonic()
        self._island = island
        self._conversations: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> "Ear":
        listener = self._island.listen(self._island.broker_address, BROKER_PORT)
        self._server = await asyncio.start_server(self._listen, sock=listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._conversations.values():
            writer.transport.abort()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations[task] = writer
        with suppress(OSError):
            while await reader.read(100):
                now = time.monotonic()
                self.longest_silence = max(self.longest_silence, now - self._heard_at)
                self._heard_at = now
                self.heard.set()
        self.goodbyes += 1


class TestIsland:
    """What only namespaces can do."""

    pytestmark = in_namespaces

    @pytest.fixture
    async def island(self) -> Island:
        island = Island()
        await island.lay()
        return island

    async def test_namespaces_are_available_here(self) -> None:
        assert await why_not() is None

    async def test_a_cut_reaches_processes_that_left_the_group(self, island: Island, tmp_path: Path) -> None:
        trace = tmp_path / "trace"
        async with lab_of(island, tmp_path, python(REPORTER, str(trace))) as hosts:
            await until(trace.exists)
            host = hosts["node-1"]
            host.cut()
            await host.until_dead()
            await stays_silent(trace)

    async def test_a_power_cut_closes_no_connection(self, island: Island, tmp_path: Path) -> None:
        """The broker's side of the connection is neither closed nor reset, because the cable was pulled first."""
        caller = python(CALLER, island.broker_address, str(BROKER_PORT))
        async with Ear(island) as ear, lab_of(island, tmp_path, caller) as hosts:
            await asyncio.wait_for(ear.heard.wait(), 10)
            hosts["node-1"].cut()
            await hosts["node-1"].until_dead()
            ear.heard.clear()
            await asyncio.sleep(0.3)  # the absence of something has no event to wait for
            assert (ear.goodbyes, ear.heard.is_set()) == (0, False)

    async def test_an_unplugged_host_lives_on_unheard(self, island: Island, tmp_path: Path) -> None:
        caller = python(CALLER, island.broker_address, str(BROKER_PORT))
        async with Ear(island) as ear, lab_of(island, tmp_path, caller) as hosts:
            host = hosts["node-1"]
            await asyncio.wait_for(ear.heard.wait(), 10)
            host.unplug(is_unplugged=True)
            size = host.files.oracle.stat().st_size
            await until(lambda: host.files.oracle.stat().st_size > size + 200, what="it lives on")
            ear.heard.clear()
            await asyncio.sleep(0.2)  # the absence of something has no event to wait for
            assert not ear.heard.is_set()
            host.unplug(is_unplugged=False)
            await asyncio.wait_for(ear.heard.wait(), 10)

    async def test_a_host_that_comes_and_goes_disturbs_no_other(self, island: Island, tmp_path: Path) -> None:
        """A bridge without an address of its own takes the lowest of its ports; then the other hosts would lose it."""
        sleeper = python("import time; time.sleep(600)")
        caller = python(CALLER, island.broker_address, str(BROKER_PORT))
        async with Ear(island) as ear, lab_of(island, tmp_path, sleeper, caller) as hosts:
            await asyncio.wait_for(ear.heard.wait(), 10)
            ear.longest_silence = 0.0
            for count in range(2, 7):
                hosts.power_changed("node-1", False)
                hosts.power_changed("node-1", True)
                await until(lambda count=count: len(hosts["node-1"].runs) == count)
                ear.heard.clear()
                await asyncio.wait_for(ear.heard.wait(), 10)
            assert ear.longest_silence < 1.0

    async def test_hosts_answer_the_daemon_and_not_each_other(self, island: Island, tmp_path: Path) -> None:
        seen = tmp_path / "seen"
        knock = (
            "import socket, sys\n"
            f"s = socket.socket(); s.settimeout(0.5); r = s.connect_ex(({island.host_address(0)!r}, 22))\n"
            "open(sys.argv[1], 'w').write(str(r))\nimport time; time.sleep(600)"
        )
        first, second = python("import time; time.sleep(600)"), python(knock, str(seen))
        async with lab_of(island, tmp_path, first, second):
            async with island.exposing(Endpoint(address=island.host_address(0), port=22), wanted=0) as outer:
                reader, writer = await asyncio.open_connection(outer.address, outer.port)
                assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"SSH-2.0")
                writer.close()
            await until(lambda: seen.exists() and seen.read_text() != "")
            assert seen.read_text() != "0"

    async def test_nothing_is_left_on_the_machine(self, island: Island, tmp_path: Path) -> None:
        before = sorted(os.listdir("/sys/class/net"))
        async with lab_of(island, tmp_path, python("import time; time.sleep(600)")):
            assert sorted(os.listdir("/sys/class/net")) == before
