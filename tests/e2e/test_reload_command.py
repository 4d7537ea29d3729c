"""`fenced reload` at a real daemon: it waits for the verdict, which its exit status and lines report."""

from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.programs import FENCED, run_short
from tests.needs import needs
from tests.warm.programs import Ended

pytestmark = [pytest.mark.integration, needs("mosquitto")]


async def reload(it: Bed, *words: str) -> Ended:
    return await run_short([*FENCED, "reload", "-c", str(it.configuration.file), *words], seconds=60)


async def outcome(it: Bed) -> float:
    return (await it.api.metrics())["fenced_config_last_reload_successful"]


async def test_the_command_waits_for_the_verdict(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {name: [agent.device(name)] for name in ("node-1", "node-2")}) as it:
        good = it.configuration.copy()

        more = good.copy()
        more.hosts["node-3"] = [agent.device("node-3")]
        more.change("power", agent_processes=7)
        more.write()
        done = await reload(it)
        assert done.status == 0, done.err
        assert "hosts.node-3: added" in done.out
        assert "in force after a restart: power.agent_processes" in done.out
        assert "node-3" in {host["name"] for host in (await it.api.get("hosts"))["items"]}

        wrong = more.copy()
        wrong.change("detection", grace="5", no_such_key=1)
        wrong.write()
        refused = await reload(it)
        assert refused.status == 1
        assert "detection.grace = 5" in refused.err
        assert "no_such_key" in refused.err
        assert await outcome(it) == 0

        elsewhere = more.copy()
        elsewhere.change("bus", url="mqtt://127.0.0.1:1")
        elsewhere.write()
        refused = await reload(it)
        assert (refused.status, "bus.url: needs a restart" in refused.err) == (1, True)

        # The socket's path can't be read from such a file, so it is given.
        it.configuration.file.write_text("[daemon\narmed = false")
        refused = await reload(it, "--socket", str(tmp_path / "state.sock"))
        assert (refused.status, "fenced.toml" in refused.err) == (1, True)
        other = tmp_path / "other.toml"
        other.write_text("")
        mistaken = await run_short(
            [*FENCED, "reload", "-c", str(other), "--socket", str(tmp_path / "state.sock")], seconds=60
        )
        assert (mistaken.status, "this daemon reads" in mistaken.err) == (1, True)

        more.write()
        assert (await reload(it)).status == 0
        assert await outcome(it) == 1
        await it.daemon.end()
        gone = await reload(it)
        assert (gone.status, "no verdict" in gone.err) == (1, True)
        more.change("api", socket="")
        more.write()
        none = await reload(it)
        assert (none.status, "SIGHUP" in none.err) == (1, True)
