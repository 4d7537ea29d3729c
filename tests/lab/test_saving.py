"""Power saving in the lab, as docs/lab.md runs it: one host sleeps, another one dies, the sleeper takes its place."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from fenced.lab.errors import LabError
from fenced.lab.hosts import HostFiles
from fenced.lab.laboratory import Lab
from fenced.lab.saving import SavingSeen, SavingStory
from tests.lab.test_story import options_of, started, told
from tests.needs import needs
from tests.pages.registry import shell

PARTS = [
    r"all healthy after",
    r"(node-\d) +bmc: ask it to shut down through px-1: done in",
    r"\1 +left: asked to shut down, to save power",
    r"\1 +asleep: bmc reads OFF",
    r"work arrives: node-\d, node-\d have 2 workloads each; node-\d is the idle reserve",
    r"node-\d +(its kernel panics)",
    r"\1 +woken: its chassis is switched on",
    r"oracle: the old run's last sign of life came",
    r"demo: node-\d fenced in \d+\.\d s through 2 devices",
    r"saving: \1 slept \d+\.\d s after all were idle, and was awake as the spare \d+\.\d s after node-\d was struck",
]
AT = "2026-01-31T08:00:00.000Z"


@pytest.mark.timeout(200)
async def test_a_sleeper_wakes_as_the_spare_of_a_killed_host(tmp_path: Path) -> None:
    (block,) = shell("saving in the lab", __name__)
    process = await started(*options_of(block), "--state-dir", str(tmp_path / "lab"), "--for", "180s")
    story = "\n".join(await told(process))
    assert process.returncode == 0, story
    assert re.search(".*".join(PARTS), story, re.DOTALL), story


@pytest.mark.timeout(240)
@needs("postgres", "mosquitto")
async def test_a_sleeper_sleeps_on_when_its_controller_is_killed(tmp_path: Path) -> None:
    """By hand, with two controllers: the successor neither fences it nor forgets it, and wakes it."""
    process = await started("--saving", "--controllers", "2", "--hosts", "4", "--state-dir", str(tmp_path / "lab"))
    assert process.stdin is not None and process.stdout is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(90):
            while not lines or not lines[-1].startswith("here: "):
                lines.append((await process.stdout.readline()).decode())
        urls = re.findall(r"API +(http://127\.0\.0\.1:\d+)", "".join(lines))
        assert len(urls) == 2
        async with aiohttp.ClientSession() as client:
            sleeper = await _until(lambda: _asleep(client, urls))
            process.stdin.write(b"kill fenced-a\n")
            await _until(lambda: _acts(client, urls[1]))
            assert await _asleep(client, urls[1:]) == sleeper
            body = {"cluster": "c1", "hosts": 1, "reason": "a test"}
            cluster = (await _get(client, urls[1], f"hosts/{sleeper}"))["cluster"]
            async with client.post(f"{urls[1]}/api/v1/saving/wake", json={**body, "cluster": cluster}) as answer:
                told_back = await answer.json()
            assert told_back.get("hosts") == [sleeper], told_back
            await _until(lambda: _is_healthy(client, urls[1], sleeper))
            fences = await _get(client, urls[1], "operations?action=restart&action=off")
            assert fences["items"] == []
    finally:
        process.stdin.write(b"quit\n")
        await process.communicate()


async def _get(client: aiohttp.ClientSession, url: str, path: str) -> dict[str, Any]:
    async with client.get(f"{url}/api/v1/{path}") as response:
        return cast(dict[str, Any], await response.json())


async def _asleep(client: aiohttp.ClientSession, urls: list[str]) -> str:
    """Return the first sleeper, or ""."""
    items = (await _get(client, urls[0], "hosts?state=sleeping"))["items"]
    return str(items[0]["name"]) if items else ""


async def _acts(client: aiohttp.ClientSession, url: str) -> bool:
    fleet = await _get(client, url, "fleet")
    return bool(fleet["active"] and not fleet["standby"])


async def _is_healthy(client: aiohttp.ClientSession, url: str, host: str) -> bool:
    return bool((await _get(client, url, f"hosts/{host}"))["state"] == "healthy")


async def _until(look: Callable[[], Awaitable[Any]]) -> Any:
    """Return what is found, once something is."""
    async with asyncio.timeout(100):
        while not (found := await look()):  # noqa: ASYNC110 - nothing here sets an event
            await asyncio.sleep(0.5)
    return found


class Bench:
    """A story of three hosts that do not run. `work`: what it gave them."""

    def __init__(self, path: Path) -> None:
        self.said: list[str] = []
        self.work: dict[str, int] = {}
        files = HostFiles(oracle=path / "oracle", console=path / "console")
        self.names = ("node-1", "node-2", "node-3")
        hosts = {name: _Host(files, self.work, name) for name in self.names}
        lab = SimpleNamespace(hosts=_Hosts(hosts), url="http://127.0.0.1:9")
        self.hosts = hosts
        self.story = SavingStory(cast(Lab, lab), host="node-1", say=self.said.append, waterfall=None)
        self.story._idle_at = 0.0


class _Host:
    def __init__(self, files: HostFiles, work: dict[str, int], name: str) -> None:
        self.files, self.boot, self.name = files, "b1", name
        self._work = work

    def give_work(self, workloads: int) -> None:
        self._work[self.name] = workloads


class _Hosts:
    def __init__(self, hosts: Mapping[str, _Host]) -> None:
        self._hosts = hosts
        self.names = tuple(hosts)

    def __getitem__(self, name: str) -> _Host:
        return self._hosts[name]


def event(host: str, word: str, **data: Any) -> dict[str, Any]:
    return {"id": f"{host} {word}", "type": f"io.fenced.host.{word}", "subject": host, "time": AT, "data": data}


@pytest.mark.parametrize("word", ["sleep_failed", "wake_failed", "fencing"])
def test_what_may_happen_to_nobody_but_the_victim_ends_the_story(tmp_path: Path, word: str) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(LabError, match=r"node-2: .*\(so it is\)"):
        bench.story._note(event("node-2", word, reason="so it is"))


async def test_the_victim_is_one_that_is_awake(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.story._note(event("node-1", "sleeping", devices=["bmc"]))
    async with asyncio.timeout(10):
        await bench.story._let_work_arrive()
    assert bench.said[1] == "node-1 sleeps, so node-3 is struck instead"
    assert bench.work == {"node-3": 2}


def test_a_run_that_goes_on_while_it_is_said_to_sleep_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    story, oracle = bench.story, bench.hosts["node-1"].files.oracle
    story._note(event("node-1", "sleeping", devices=["bmc"]))
    oracle.write_text("5.0 b1\n")
    with pytest.raises(LabError, match="went on while the host was said to sleep"):
        story._check_sleep("node-1", 4.0)
    with pytest.raises(LabError, match="did not start again"):
        story._check_sleep("node-1", 6.0)
    bench.hosts["node-1"].boot = "b2"
    story._check_sleep("node-1", 6.0)


def test_who_waits_for_a_sleeper_is_told_what_keeps_the_others_awake(tmp_path: Path) -> None:
    story = Bench(tmp_path).story
    bars = [{"rule": "reserve", "why": "0 other idle hosts would stay on"}]
    others = [{"host": "node-1", "bars": bars}, {"host": "node-2", "bars": []}]
    story._note_why_awake({"items": [{"cluster": "c1", "others": others}]})
    story._note_why_awake(None)
    assert story._not_begun() == "a host asleep (node-1: 0 other idle hosts would stay on)"


def test_the_spare_is_part_of_the_story() -> None:
    seen = SavingSeen(struck_at=0.0, old_boot="b1", fenced_at=1.0, healthy_at=2.0)
    assert seen.missing() == ["a sleeper awake as the spare"]
    seen.woken_at = 3.0
    assert seen.missing() == []
