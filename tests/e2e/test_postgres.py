"""The daemon with its store in PostgreSQL: the main job, and what may follow the death of its process or machine."""

import asyncio
import contextlib
import functools
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.configuration import LEASE_SECONDS, Configuration
from tests.e2e.programs import background
from tests.needs import needs
from tests.net import until
from tests.postgres import Server, postgres

__all__ = ["postgres"]
pytestmark = [pytest.mark.integration, needs("mosquitto", "postgres")]

TAKEN = '"event": "lease_taken"'
LATE_SECONDS = 3
# An OFF that is journalled as sent, and acts long after its daemon died.
LATE = f"""off) if [ -e "$dir/late" ]; then rm "$dir/late"; echo $$ > "$dir/agent"; sleep {LATE_SECONDS}; fi
  printf off > "$dir/$plug" ;;"""


@pytest.fixture
async def with_postgres(postgres: Server) -> Callable[[Configuration], None]:
    """Return the change that gives a daemon an empty database for its store."""
    url = postgres.url(await postgres.empty_database())
    return lambda configuration: configuration.change("store", url=url)


async def test_a_killed_daemon_goes_on_with_its_operation_at_once(
    tmp_path: Path, with_postgres: Callable[[Configuration], None]
) -> None:
    agent = Agent(tmp_path / "agents")
    devices = {"node-1": [agent.device("a"), agent.device("b")], "node-2": [agent.device("c")]}
    async with bed(tmp_path, devices, change=with_postgres) as it:
        it.hosts.kill("node-1")
        fenced = await it.story.event("node-1", "host.fenced")
        await it.daemon.kill()
        await it.start()
        ended = await it.api.ended(fenced.data["operation"])
        assert (ended["state"], ended["result"]["restored"]) == ("done", "all")
        assert (agent.power("a"), agent.power("b")) == ("on", "on")
        it.hosts.boot("node-1")
        await it.story.event("node-1", "host.healthy", number=2)
        assert it.story.kinds().count("host.fenced") == 1
        assert not list(it.state_dir.glob("*.db"))


async def asked_all_the_time(it: Bed) -> None:
    """Ask the first daemon again and again, each time over a connection of its own: TCP, then the unix socket.

    A connection that a life accepted in its last moment may end without an answer. None is refused.
    """
    local = str(Path(it.configuration.tables["api"]["socket"]))
    while True:
        for connector in (aiohttp.TCPConnector(), aiohttp.UnixConnector(local)):
            with contextlib.suppress(aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                try:
                    async with (
                        aiohttp.ClientSession(connector=connector) as session,
                        session.get(f"{it.api.url}/healthz") as answer,
                    ):
                        assert answer.status == 200
                except aiohttp.ClientConnectorError as exc:
                    raise AssertionError("nobody listened between two lives") from exc
        await asyncio.sleep(0.01)


async def test_a_second_daemon_of_the_same_name_is_refused_while_the_first_lives(
    tmp_path: Path, with_postgres: Callable[[Configuration], None]
) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {"node-1": [agent.device("a")]}, change=with_postgres) as it:
        other = it.second(name="fenced-a")[0]
        await other.start()
        assert await other.wait() == 78
        assert "a living controller of the name fenced-a uses this store" in other.log
        assert await it.api.is_ready()


async def test_a_standby_takes_over_and_finishes_the_fence_of_a_killed_controller(
    tmp_path: Path, with_postgres: Callable[[Configuration], None]
) -> None:
    agent = Agent(tmp_path / "agents")
    devices = {"node-1": [agent.device("a"), agent.device("b")], "node-2": [agent.device("c")]}
    async with bed(tmp_path, devices, change=with_postgres) as it:
        other, _ = it.second()
        await other.start()
        await until(lambda: '"standby": true' in other.log, what="the second one is a standby")
        it.hosts.kill("node-1")
        await it.story.event("node-1", "host.fencing")
        await it.daemon.kill()
        await it.story.event("node-1", "host.fenced")
        await it.story.event("node-1", "host.restored")
        it.hosts.boot("node-1")
        await it.story.event("node-1", "host.healthy", number=2)
        assert it.story.kinds().count("host.fenced") == 1
        assert [event.data["before"] for event in it.story.of(None, "fleet.takeover")] == ["fenced-a"]
        assert TAKEN in other.log
        await other.end()


async def test_a_standby_disarms_while_the_active_controller_is_frozen(
    tmp_path: Path, with_postgres: Callable[[Configuration], None]
) -> None:
    """Nothing is fenced afterwards: not by the one that thaws, and not by the one that takes over."""
    agent = Agent(tmp_path / "agents")
    devices = {"node-1": [agent.device("a")], "node-2": [agent.device("b")]}
    async with bed(tmp_path, devices, change=with_postgres) as it:
        other, url = it.second()
        await other.start()
        await until(lambda: '"standby": true' in other.log, what="the second one is a standby")
        at_standby = ("--url", url)
        it.daemon.signal(signal.SIGSTOP)
        it.hosts.kill("node-1")
        said = await it.ctl(*at_standby, "disarm", "--reason", "at night")
        assert said.status == 0, said.err
        refused = await it.ctl(*at_standby, "arm", "--yes")
        assert refused.status != 0
        await until(lambda: TAKEN in other.log, what="the standby takes over", seconds=2.0 * LEASE_SECONDS + 10.0)
        it.daemon.signal(signal.SIGCONT)
        await it.story.event("node-1", "host.suspected")
        await asyncio.sleep(LEASE_SECONDS)
        async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v1/fleet") as answer:
            assert (await answer.json())["armed"] is False
        assert agent.power("a") == "on"
        assert "host.fencing" not in it.story.kinds()
        await other.end()


async def test_control_is_handed_over_and_back_with_fencectl(
    tmp_path: Path, with_postgres: Callable[[Configuration], None]
) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(
        tmp_path, {"node-1": [agent.device("a")], "node-2": [agent.device("b")]}, change=with_postgres
    ) as it:
        other, url = it.second()
        await other.start()
        await until(lambda: '"standby": true' in other.log, what="the second one is a standby")
        urls = f"{it.api.url},{url}"

        async def is_fit(name: str) -> bool:
            listed = json.loads((await it.ctl("--url", urls, "--json", "controllers")).out)
            return any(one["name"] == name and one["state"] != "offline" and one["fit"] for one in listed["items"])

        async with background(asked_all_the_time(it), "a caller of fenced-a"):  # it is never refused
            for successor in ("fenced-b", "fenced-a"):
                await until(functools.partial(is_fit, successor), what=f"{successor} is fit")
                words = ("hand-over", "--to", successor, "--reason", "a test", "--wait")
                asked = await it.ctl("--url", urls, *words)
                assert asked.status == 0, asked.err
                listed = json.loads((await it.ctl("--url", urls, "--json", "controllers")).out)
                assert [one["name"] for one in listed["items"] if one["state"] == "active"] == [successor]
        it.hosts.kill("node-1")
        await it.story.event("node-1", "host.fenced")
        handed = it.story.of(None, "fleet.handed_over_control")
        assert [(one.data["controller"], one.data["to"]) for one in handed] == [
            ("fenced-a", "fenced-b"),
            ("fenced-b", "fenced-a"),
        ]
        assert it.daemon.is_running and other.is_running, "both went on in the same process"
        await other.end()


async def test_a_daemon_elsewhere_finishes_what_a_dead_one_began(
    tmp_path: Path, with_postgres: Callable[[Configuration], None]
) -> None:
    """The machine of the first is gone with its state directory; an OFF of it is still under way."""
    agent = Agent(tmp_path / "agents", "fence_made", LATE)
    devices = {"node-1": [agent.device("a", attempt_timeout="2s")], "node-2": [agent.device("b")]}
    async with bed(tmp_path, devices, change=with_postgres) as it:
        agent.set("late", "")
        it.hosts.kill("node-1")
        operation = (await it.story.event("node-1", "host.fencing")).data["operation"]
        await until((agent.directory / "agent").exists, what="the agent started")
        await it.daemon.kill()
        shutil.rmtree(it.state_dir)
        it.configuration.change("daemon", state_dir=str(tmp_path / "elsewhere"))
        before, begun = it.daemon.log.count(TAKEN), asyncio.get_running_loop().time()
        await it.start()
        await until(lambda: it.daemon.log.count(TAKEN) > before, what="the lease is taken", seconds=20.0)
        waited = asyncio.get_running_loop().time() - begun
        assert waited >= LEASE_SECONDS, "the lease of the dead one was not waited for"
        ended = await it.api.ended(operation)
        assert (ended["state"], ended["result"]["fenced"], agent.power("a")) == ("done", True, "on")
        assert it.story.kinds().count("host.fenced") == 1
