"""fencectl with two real controllers on one database: a request at the standby, a hand-over, and the death of one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import bed
from tests.e2e.configuration import Configuration
from tests.e2e.programs import FENCECTL, run_short
from tests.needs import needs
from tests.net import until
from tests.postgres import Server, postgres
from tests.warm.programs import Ended

__all__ = ["postgres"]
pytestmark = [pytest.mark.integration, needs("mosquitto", "postgres")]


async def ctl(url: str, *words: str) -> Ended:
    return await run_short([*FENCECTL, "--url", url, *words], seconds=90.0)


async def listed(url: str) -> dict[str, Any]:
    """Return the controllers by name."""
    return {item["name"]: item for item in json.loads((await ctl(url, "--json", "controllers")).out)["items"]}


async def test_requests_find_the_controller_that_acts(tmp_path: Path, postgres: Server) -> None:
    database = postgres.url(await postgres.empty_database())

    def shared(configuration: Configuration) -> None:
        configuration.change("store", url=database)
        configuration.change("api", advertise=f"http://{configuration.tables['api']['listen']}")

    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {"node-1": [agent.device("a")]}, change=shared) as it:
        other, b = it.second(is_advertised=True)
        a = it.api.url
        both = f"{b},{a}"
        await other.start()
        await until(lambda: '"standby": true' in other.log, what="the second one is a standby")

        async def is_known() -> bool:
            return (await listed(b)).get("fenced-b", {}).get("fit", False) and "fenced-b" in await listed(a)

        await until(is_known, what="both are known to both, and fenced-b is fit")
        found = await listed(b)
        assert [(found[name]["state"], found[name]["address"]) for name in ("fenced-a", "fenced-b")] == [
            ("active", a), ("standby", b),
        ]  # fmt: skip

        paused = await ctl(b, "pause", "--reason", "switch work")
        assert paused.status == 0, paused

        async def has_followed() -> bool:
            return "switch work" in (await ctl(b, "pauses")).out

        await until(has_followed, what="the standby shows the pause")
        assert (await ctl(b, "off", "node-1", "--force", "--wait")).status == 0
        it.hosts.kill("node-1")  # a host that beats on after its OFF is revoked, whatever runs
        assert agent.power("a") == "off"
        assert (await ctl(both, "status")).status in (0, 1)

        handed = await ctl(both, "hand-over", "--to", "fenced-b", "--reason", "upgrade", "--wait")
        assert handed.status == 0 and "fenced-b holds it" in handed.out, handed
        assert (await ctl(a, "on", "node-1", "--wait")).status == 0, "fenced-a is the standby now, and sends it on"
        assert agent.power("a") == "on"
        found = await listed(both)
        assert {name: item["state"] for name, item in found.items()} == {"fenced-a": "standby", "fenced-b": "active"}

        await it.daemon.kill()
        run = await ctl(f"{a},{b}", "resume", "--reason", "works")
        assert run.status == 0, run
        await other.end()
        gone = await ctl(f"{a},{b}", "hosts")
        assert gone.status == 4 and a in gone.err and b in gone.err
