"""The daemon with its store in PostgreSQL: the main job, and what may follow the death of its process or machine."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import bed
from tests.e2e.configuration import Configuration
from tests.needs import needs
from tests.net import until
from tests.postgres import Server, postgres

__all__ = ["postgres"]
pytestmark = [pytest.mark.integration, needs("mosquitto", "postgres")]

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


async def test_a_second_daemon_elsewhere_is_refused_while_the_first_lives(
    tmp_path: Path, with_postgres: Callable[[Configuration], None]
) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {"node-1": [agent.device("a")]}, change=with_postgres) as it:
        elsewhere = it.configuration.copy()
        elsewhere.change("daemon", state_dir=str(tmp_path / "elsewhere"))
        elsewhere.change("api", socket="")
        elsewhere.write()
        second = it.another("second.log")
        await second.start()
        assert await second.wait() == 78
        assert "fenced-a holds the lease and renews it" in second.log
        assert await it.api.is_ready()


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
        begun = asyncio.get_running_loop().time()
        await it.start()
        assert asyncio.get_running_loop().time() - begun >= 6.0, "the lease of the dead one was not waited for"
        ended = await it.api.ended(operation)
        assert (ended["state"], ended["result"]["fenced"], agent.power("a")) == ("done", True, "on")
        assert it.story.kinds().count("host.fenced") == 1
