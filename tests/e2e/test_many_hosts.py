"""A thousand hosts through Mosquitto: none is suspected wrongly, the cost is low, and ten that die are handled
in order.

What a busy machine does to the heartbeats themselves, a subscriber that does nothing else has seen as well:
it is the floor.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.configuration import Configuration
from tests.e2e.programs import Program, cpu_seconds
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

HOSTS = 1000
WATCHED_SECONDS = 8.0
FENCES_AT_MOST = 4
GRACE_SECONDS = 4.0
PATIENCE_SECONDS = 120.0
"""For things that must happen; no bound on their speed."""


@asynccontextmanager
async def beside(it: Bed, name: str, *arguments: str) -> AsyncIterator[Program]:
    """Run one of the helper programs during the block."""
    assert it.broker is not None
    program = Program(
        [sys.executable, "-m", f"tests.e2e.{name}", str(it.broker.port), *arguments], log=it.folder / f"{name}.log"
    )
    await program.start()
    try:
        yield program
        assert program.is_running, program.log
    finally:
        await program.kill()


def of_many(configuration: Configuration) -> None:
    configuration.change("detection", heartbeat_interval="1s", grace=f"{GRACE_SECONDS:g}s")
    configuration.change("bus", accept_requests=[])
    configuration.tables["gates"].update(
        budget={"hosts": 1, "percent": 0.1 * FENCES_AT_MOST, "at_most": FENCES_AT_MOST, "per": "1h", "unrecovered": 50},
        connectivity={"share": 50, "at_least": 20},
    )


async def test_a_thousand_hosts(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    devices = {f"node-{n}": [agent.device(f"p{n}")] for n in range(HOSTS)}
    stopped, seen = tmp_path / "stopped", tmp_path / "seen"

    def floors() -> tuple[int, set[str]]:
        """Return how many beats the floor received, and which hosts were late for it, too."""
        found = json.loads(seen.read_text())
        return found["count"], set(found["late"])

    async with bed(tmp_path, devices, is_started=False, alive=(), change=of_many) as it:
        await it.start()
        async with (
            beside(it, "publisher", str(HOSTS), "1.0", str(stopped)),
            beside(it, "subscriber", str(seen), str(0.7 * GRACE_SECONDS)) as floor,
        ):
            await until(
                lambda: sum(state["state"] == "healthy" for state in it.story.states.values()) == HOSTS,
                seconds=PATIENCE_SECONDS,
                what="all are heard",
            )  # fmt: skip
            await until(seen.exists, what="the floor hears")
            heard, theirs_heard = await messages(it), floors()[0]
            before = cpu_seconds(it.daemon.pid), cpu_seconds(floor.pid)
            await asyncio.sleep(WATCHED_SECONDS)
            after = cpu_seconds(it.daemon.pid), cpu_seconds(floor.pid)
            heard, theirs_heard = await messages(it) - heard, floors()[0] - theirs_heard
            assert theirs_heard > 0 and heard > 0.8 * theirs_heard
            suspected = {event.body["subject"] for event in it.story.of(None, "host.suspected")}
            assert suspected <= floors()[1], "nobody is blamed whom the floor has heard in time"
            ours, theirs = (end - start for start, end in zip(before, after, strict=True))
            assert ours < 3 * theirs + 0.3, f"{ours:.2f} s beside {theirs:.2f} s of a subscriber that does nothing"

            dead = [f"node-{n}" for n in range(0, HOSTS, HOSTS // 10)]
            stopped.write_text("\n".join(dead))
            await until(
                lambda: {event.body["subject"] for event in it.story.of(None, "host.suspected")} >= set(dead),
                seconds=PATIENCE_SECONDS, what="the ten are suspected",
            )  # fmt: skip
            suspected = {event.body["subject"] for event in it.story.of(None, "host.suspected")}
            assert suspected - floors()[1] <= set(dead)
            await until(
                lambda: it.story.kinds().count("host.restored") == FENCES_AT_MOST, seconds=PATIENCE_SECONDS,
                what="as many as the budget allows were fenced",
            )  # fmt: skip
            held = {event.body["subject"]: event for event in it.story.of(None, "host.held")}
            fenced = {event.body["subject"] for event in it.story.of(None, "host.fenced")}
            await until(
                lambda: {e.body["subject"] for e in it.story.of(None, "host.held")} | fenced >= set(dead),
                seconds=PATIENCE_SECONDS, what="the others are held",
            )  # fmt: skip
            assert len(fenced) == FENCES_AT_MOST
            held = {event.body["subject"]: event for event in it.story.of(None, "host.held")}
            for name in set(dead) - fenced:
                assert "budget" in [gate["gate"] for gate in held[name].data["gates"] if not gate["open"]]
            assert {call for call in agent.calls if call.startswith("off")} == {
                f"off p{name.removeprefix('node-')}" for name in fenced
            }


async def messages(it: Bed) -> float:
    return (await it.api.metrics())['fenced_bus_messages_total{kind="health",result="ok"}']
