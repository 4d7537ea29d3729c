"""The store can't be written: people are notified at once, nothing is fenced, and later everything resumes."""

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import Answer, Bed, bed
from tests.needs import needs, needs_root
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A small file system that is soon full."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(directory)], check=True, timeout=20)
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True, timeout=20)


def fill(directory: Path) -> Path:
    """Fill the rest with one file."""
    file = directory / "filler"
    with file.open("wb", buffering=0) as filler:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    filler.write(b"x" * size)
            except OSError:
                continue
    return file


async def change_something(it: Bed) -> Answer:
    """Make a request that must become durable."""
    body = {"match": "host=node-3", "reason": "try to write", "until": "1h"}
    return await it.api.call("POST", "pauses", body=body)


def is_honest(refused: Answer) -> bool:
    return (refused.status, refused.content_type) == (503, "application/problem+json")


async def nothing_is_fenced_meanwhile(it: Bed, agent: Agent) -> None:
    """node-1 is dead by now; the daemon hears all others and still answers requests."""
    calls = len(agent.calls)
    refused = await change_something(it)
    assert is_honest(refused), refused
    assert (await it.api.call("GET", "hosts")).status == 200
    assert not it.story.of(None, "host.fencing", "host.fenced")
    assert [call for call in agent.calls[calls:] if not call.startswith("status")] == []
    assert it.daemon.is_running


async def it_goes_on(it: Bed) -> None:
    """What happened meanwhile is decided now; no other host is suspected for it."""

    async def is_taken() -> bool:
        return (await change_something(it)).status in (200, 201)

    await until(is_taken, what="changes are taken again")
    await it.story.event("node-1", "host.fenced", seconds=40)
    assert {event.body["subject"] for event in it.story.of(None, "host.suspected")} == {"node-1"}


async def test_a_locked_database(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    devices = {f"node-{n}": [agent.device(f"p{n}")] for n in range(1, 4)}
    async with bed(tmp_path, devices) as it:
        other = sqlite3.connect(it.state_dir / "fenced.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            it.hosts.kill("node-1")
            await nothing_is_fenced_meanwhile(it, agent)
        finally:
            other.close()
        await it_goes_on(it)


@needs_root()
async def test_a_full_disk(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    devices = {f"node-{n}": [agent.device(f"p{n}")] for n in range(1, 4)}
    with small_disk(tmp_path / "state"):
        async with bed(tmp_path, devices) as it:
            filler = fill(it.state_dir)

            async def is_full() -> bool:
                # The rest of the write-ahead log takes a few more.
                return is_honest(await change_something(it))

            await until(is_full, what="the store is full")
            it.hosts.kill("node-1")
            await asyncio.sleep(2.5)  # more than the grace
            await nothing_is_fenced_meanwhile(it, agent)
            filler.unlink()
            await it_goes_on(it)
            assert await it.daemon.end() == 0
