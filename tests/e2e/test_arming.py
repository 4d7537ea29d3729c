"""Arming in stages at a real daemon: the figures survive a restart, clusters are opened by reload, the page's commands
run as they are written."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.configuration import Configuration
from tests.e2e.programs import FENCED, run_short
from tests.house.tree import ROOT
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

NAMES = ("node-1", "node-2", "node-3")


def watched(it: Configuration) -> None:
    it.change("daemon", armed=False)
    it.change("check", interval="10s")


def by_hand(it: Configuration) -> None:
    """Armed, but no host is automatic; the cluster says so itself."""
    it.change("check", interval="10s")
    it.of_cluster = {"automatic": False}


async def judged(it: Bed) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await it.ctl("readiness", "--json", "--all")).out)
    return found


async def held(it: Bed, name: str, *gates: str) -> None:
    async def is_held() -> bool:
        return bool((await it.api.get(f"hosts/{name}"))["held_by"] == list(gates))

    await until(is_held, what=f"{name} is held by {gates}")


async def silence_and_return(it: Bed, name: str, gate: str) -> None:
    """The host's heartbeats stay away until it is held, then come back in the same boot."""
    boot = it.hosts.boots[name]
    it.hosts.kill(name)
    await held(it, name, gate)
    it.hosts.boots[name] = boot
    await it.healthy([name])


async def test_a_false_fence_is_known_after_a_restart_and_arming_says_who_is_silent(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    devices = {name: [agent.device(name)] for name in NAMES}
    async with bed(tmp_path, devices, change=watched) as it:
        await silence_and_return(it, "node-1", "armed")
        found = await judged(it)
        assert found["fleet"]["would_be_fences"]["heard"] == 1
        assert "false_fence" in {one["kind"] for one in found["fleet"]["findings"]}
        assert (await it.api.metrics())['fenced_would_be_fences{outcome="heard"}'] == 1

        await it.daemon.end()
        it.configuration.change("daemon", armed=True)
        await it.start()
        await it.healthy()
        found = await judged(it)
        assert (found["armed"], found["fleet"]["would_be_fences"]["heard"]) == (True, 1)

        assert (await it.ctl("disarm", "--reason", "arming in stages")).status == 0
        it.hosts.kill("node-2")
        await held(it, "node-2", "armed")
        assert (await it.ctl("readiness", "--cluster", "c1")).status == 1
        assert agent.power("node-2") == "on"
        armed = await it.ctl("arm", "--reason", "to see it")
        assert armed.status == 0
        assert "1 host is silent NOW and may be fenced at once: node-2" in armed.err
        await it.story.event("node-2", "host.fenced")
        assert it.story.of(None, "fleet.armed")[-1].data["reason"] == "to see it"
        assert (await judged(it))["fleet"]["would_be_fences"]["acted"] == 1


async def test_a_cluster_becomes_automatic_by_a_reload_which_names_the_silent_hosts(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    devices = {name: [agent.device(name)] for name in NAMES}
    async with bed(tmp_path, devices, change=by_hand) as it:
        it.hosts.kill("node-3")
        await held(it, "node-3", "automatic")
        found = await judged(it)
        assert found["fleet"]["at_once_if_automatic"] == {"count": 1, "hosts": ["node-3"]}
        assert (found["fleet"]["at_once"]["count"], found["fleet"]["subject"]) == (0, 0)
        it.configuration.of_cluster = {"automatic": True}
        it.configuration.write()
        done = await run_short([*FENCED, "reload", "-c", str(it.configuration.file)], seconds=60)
        assert done.status == 0, done.err
        assert "silent hosts that may be fenced at once now: node-3" in done.out + done.err
        await it.story.event("node-3", "host.fenced")


async def test_the_page_can_be_typed_as_it_is(tmp_path: Path) -> None:
    """With this daemon's files in the place of /etc/fenced, and its reload in the place of the unit's."""
    agent = Agent(tmp_path / "agents")
    devices = {name: [agent.device(name)] for name in NAMES}

    def as_setup_writes(it: Configuration) -> None:
        watched(it)
        it.change("defaults", automatic=False)

    async with bed(tmp_path, devices, change=as_setup_writes) as it:
        blocks = re.findall(
            r"^```sh\n(.*?)^```", (ROOT / "docs/arming.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        assert len(blocks) == 6
        watch, armed, restart, first, opened, back = blocks
        assert await typed(it, watch) == 1
        assert await typed(it, armed) == 0
        assert (await judged(it))["armed"] is True
        async with it.host_follows_power("node-2", lambda: agent.power("node-2") == "on"):
            assert await typed(it, restart) == 0
        await it.healthy()
        assert await typed(it, first) == 1
        await typed(it, opened)
        assert (await judged(it))["fleet"]["automatic"] == len(NAMES)
        assert await typed(it, back) == 0
        found = await judged(it)
        assert (found["armed"], found["fleet"]["automatic"]) == (False, 0)


async def typed(it: Bed, block: str) -> int:
    """Run a block in a shell, and return the status of its last command."""
    file, folder = it.configuration.file, it.folder
    script = (
        block.replace("/etc/fenced/inventory/*.toml", str(folder / "inventory.toml"))
        .replace("/etc/fenced/fenced.toml", str(file))
        .replace("systemctl reload fenced", f"fenced reload -c {file}")
    )
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "FENCED_URL": it.api.url,
    }
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", script, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await shell.communicate()
    assert b"Traceback" not in out, out.decode()
    assert b"not found" not in out, out.decode()
    return shell.returncode or 0
