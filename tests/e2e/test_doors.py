"""The API's doors at a real daemon: its unix socket over starts and crashes, and TCP that only reads."""

import os
from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import bed
from tests.e2e.configuration import Configuration
from tests.e2e.programs import FENCECTL, FENCED, run_short
from tests.needs import needs

pytestmark = [pytest.mark.integration, needs("mosquitto")]


def guarded(configuration: Configuration) -> None:
    configuration.change("api", tcp_writes=False)


async def test_power_is_cut_over_the_socket_alone_and_the_journal_names_the_user(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    path = tmp_path / "state.sock"
    local = [*FENCECTL, "--url", f"unix:{path}"]
    async with bed(tmp_path, {name: [agent.device(name)] for name in ("node-1", "node-2")}, change=guarded) as it:
        refused = await it.ctl("off", "node-1", "--force", "--reason", "x")
        assert (refused.status, "tcp_writes" in refused.err) == (3, True)
        done = await run_short([*local, "off", "node-1", "--force", "--reason", "x", "--wait"], seconds=60)
        assert done.status == 0, done.err
        (operation,) = (await it.api.get("operations"))["items"]
        assert f"(uid {os.getuid()})" in operation["by"]
        assert agent.calls.count("off node-1") >= 1

        # Another daemon takes the socket of a living one as little as its state.
        other = it.configuration.copy()
        other.directory = tmp_path / "other"
        other.directory.mkdir()
        other.change("daemon", state_dir=str(tmp_path / "other/state"), name="fenced-b")
        other.change("api", listen="127.0.0.1:0")
        other.write()
        second = await run_short([*FENCED, "run", "-c", str(other.file)], seconds=60)
        assert (second.status, "another program listens" in second.err) == (1, True), second.err

        await it.daemon.kill()
        assert path.is_socket()
        await it.start()  # a crash leaves the socket behind
        assert (await run_short([*local, "hosts"])).status == 0
        assert await it.daemon.end() == 0
        assert not path.exists()


async def test_a_socket_that_can_not_be_made_ends_the_start_unless_it_is_the_default(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {"node-1": [agent.device("node-1")]}, is_started=False, change=guarded) as it:
        it.configuration.change("api", socket=str(tmp_path / "none/api.sock"))
        await it.start(is_awaited=False)
        assert await it.daemon.wait() == 1
        assert "api.socket" in it.daemon.log
        it.configuration.change("api", socket="")
        await it.start()
        assert not list(tmp_path.glob("*.sock"))
        assert "api.socket" not in str((await it.api.get("/readyz"))["warnings"])
