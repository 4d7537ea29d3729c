"""kill -9 of the daemon at the worst moments: nothing acts later, nothing is lost,
nothing is announced twice as new.
"""

import asyncio
import json
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.drivers.programs import is_alive
from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

LATE_SECONDS = 3
# While `late` exists, a child in its own session and the agent itself act seconds later: an OFF that is journalled as
# sent, without any knowledge of when it will act.
LATE = f"""off) if [ -e "$dir/late" ]; then rm "$dir/late"
  setsid sh -c 'echo $$ > '"$dir"'/grandchild; sleep {LATE_SECONDS}; echo grandchild >> '"$dir"'/acted' &
  echo $$ > "$dir/agent"; sleep {LATE_SECONDS}; echo agent >> "$dir/acted"
fi; printf off > "$dir/$plug" ;;"""


def journalled(it: Bed) -> list[str]:
    """Return the ids of all events in the journal, in order."""
    with sqlite3.connect(f"file:{it.state_dir}/fenced.db?mode=ro", uri=True) as database:
        rows = database.execute("select payload from outbox where is_event order by sequence").fetchall()
    return [json.loads(payload)["id"] for (payload,) in rows]


async def everything_was_told_once(it: Bed) -> None:
    """Each journalled event was received, in the journal's order, and none with a second id."""

    def is_told() -> bool:
        return [event.body["id"] for event in it.story.events] == journalled(it)

    await until(is_told, what="every event of the journal was heard in its order")
    assert it.story.kinds().count("host.fenced") == 1


@pytest.mark.parametrize("signs_of_life", [False, True])
async def test_killed_while_an_agent_is_about_to_act(tmp_path: Path, signs_of_life: bool) -> None:
    """The survivors are killed at the start; then the operation reads and goes on, or ends if the host boots."""
    agent = Agent(tmp_path / "agents", "fence_made", LATE)
    devices = {"node-1": [agent.device("a", attempt_timeout="1500ms")], "node-2": [agent.device("b")]}
    async with bed(tmp_path, devices) as it:
        agent.set("late", "")
        it.hosts.kill("node-1")
        pids = [agent.directory / "agent", agent.directory / "grandchild"]
        await until(lambda: all(file.exists() and file.read_text().strip() for file in pids), what="the agent started")
        operation = it.story.of("node-1", "host.fencing")[0].data["operation"]
        await it.daemon.kill()
        if signs_of_life:
            it.hosts.boot("node-1")
        await it.start()
        assert not any(is_alive(int(file.read_text())) for file in pids), "survivors"
        ended = await it.api.ended(operation)
        await asyncio.sleep(LATE_SECONDS)  # the time in which they would have acted
        assert not (agent.directory / "acted").exists()
        if signs_of_life:
            assert ended["state"] in ("failed", "cancelled") or ended["result"]["restored"] == "all"
            await it.story.state("node-1", "healthy")
            assert agent.power("a") == "on"
            return
        assert (ended["state"], ended["result"]["fenced"], ended["result"]["restored"]) == ("done", True, "all")
        assert agent.power("a") == "on"
        await it.story.event("node-1", "host.restored")
        await everything_was_told_once(it)


async def test_the_keeper_of_the_agents_is_killed(tmp_path: Path) -> None:
    """What it kept dies with it; the daemon lives, reads, and goes on with a new one."""
    agent = Agent(tmp_path / "agents", "fence_made", LATE)
    devices = {"node-1": [agent.device("a", attempt_timeout="1500ms")], "node-2": [agent.device("b")]}
    async with bed(tmp_path, devices) as it:
        agent.set("late", "")
        operation = await it.api.act("node-1", "off", force=True)
        it.hosts.kill("node-1")
        pids = [agent.directory / "agent", agent.directory / "grandchild"]
        await until(lambda: all(file.exists() and file.read_text().strip() for file in pids), what="the agent started")
        (keeper,) = children(it.daemon.pid)
        os.kill(keeper, signal.SIGKILL)
        await until(lambda: not any(is_alive(int(file.read_text())) for file in pids), what="the agents are dead")
        ended = await it.api.ended(operation)
        assert (ended["state"], ended["result"]["fenced"], agent.power("a")) == ("done", True, "off")
        assert not (agent.directory / "acted").exists()
        assert it.daemon.is_running


def children(pid: int) -> list[int]:
    """Return the living processes that a process started itself."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_killed_between_off_and_on(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    devices = {"node-1": [agent.device("a", attempt_timeout="1500ms")], "node-2": [agent.device("b")]}
    async with bed(tmp_path, devices) as it:
        it.hosts.kill("node-1")
        fenced = await it.story.event("node-1", "host.fenced")
        await it.daemon.kill()
        await it.start()
        ended = await it.api.ended(fenced.data["operation"])
        assert (ended["state"], ended["result"]["restored"], agent.power("a")) == ("done", "all", "on")
        it.hosts.boot("node-1")
        await it.story.event("node-1", "host.healthy", number=2)
        assert it.story.states["node-1"]["token"] is not None
        await everything_was_told_once(it)


async def test_a_second_daemon_on_the_same_state_is_refused(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {"node-1": [agent.device("a")]}) as it:
        second = it.another("second.log")
        await second.start()
        assert await second.wait() == 78
        assert str(it.daemon.pid) in second.log and "fenced-a" in second.log
        assert await it.api.is_ready()
