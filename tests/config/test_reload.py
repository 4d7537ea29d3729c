"""The reload itself, with a reading that a test controls: every caller gets a verdict, and nothing ends the daemon."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from fenced.app import reload
from fenced.app.reload import Judge, OneEngine, Reloader
from fenced.config.configuration import Configuration
from fenced.config.load import Loaded
from fenced.core import events as e
from fenced.host.notify import Notify
from fenced.ports.control import Unavailable
from fenced.ports.reloading import OtherFile
from tests.config.files import load_files, load_ok
from tests.config.pieces import host, pdu


class Reactor:
    """Accepts every inventory, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def ask(self, event: e.InventoryRead) -> None:
        self.told.append(event)

    def deliver(self, event: e.ReloadEnded) -> None:
        self.told.append(event)


@contextlib.asynccontextmanager
async def running(
    configuration: Configuration, read: Callable[[], Loaded], taken: list[Configuration], *, judge: Judge | None = None
) -> AsyncIterator[Reloader]:
    """A reloader that runs. Its end is the daemon's."""
    fleet = SimpleNamespace(hosts={}, is_armed_durably=False)
    reloader = Reloader(configuration, read)
    engine: Any = SimpleNamespace(reactor=Reactor(), fleet=fleet)  # all that it asks of an engine
    reloader.connect(OneEngine(engine), taken.append, judge=judge)
    task = asyncio.create_task(reloader.run(Notify({})), name="reloader")
    try:
        yield reloader
    finally:
        assert not task.done(), "no reload may end the daemon"
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), RecursionError(), MemoryError(), SystemExit(3), ExceptionGroup("g", [OSError("x")]), KeyError(1)],
    ids=repr,
)
async def test_whatever_reading_raises_is_a_refused_reload_and_the_daemon_goes_on(
    tmp_path: Path, error: BaseException
) -> None:
    old = load_ok(tmp_path, host("n", pdu()))
    more = load_files(tmp_path, host("n", pdu()) + host("m"))
    errors = [error]

    def read() -> Loaded:
        if errors:
            raise errors.pop()
        return more

    taken: list[Configuration] = []
    with capture_logs() as logs:
        async with running(old, read, taken) as reloader:
            verdict = await reloader.reload()
            assert "unexpectedly" in verdict.refused
            assert not reloader.last.outcome()[0]
            assert taken == []
            assert (await reloader.reload()).refused == ""
            assert reloader.last.outcome()[0]
            assert len(taken) == 1
    failed = [entry for entry in logs if entry["event"] == "reload_failed"]
    assert [bool(entry["exc_info"]) for entry in failed] == [True]  # the traceback goes to the log


async def test_the_verdict_has_every_mistake_and_every_key_that_needs_a_restart(tmp_path: Path) -> None:
    old = load_ok(tmp_path, host("n", pdu()))
    texts = [
        '[detection]\ngrace = "5"\n[race]\nparallel = 0\n' + host("n", pdu()),
        '[bus]\nurl = "mqtt://127.0.0.1:1884"\n[api]\nlisten = "127.0.0.1:1"\n' + host("n", pdu()),
        "[power]\nagent_processes = 3\n" + host("n", pdu()) + host("m"),
    ]
    taken: list[Configuration] = []
    async with running(old, lambda: load_files(tmp_path, texts.pop(0)), taken) as reloader:
        mistakes = await reloader.reload()
        assert [flaw.place.rpartition(": ")[2] for flaw in mistakes.flaws] == [
            "detection.grace = 5",
            "race.parallel = 0",
        ]
        assert str(tmp_path / "fenced.toml") in mistakes.flaws[0].place
        restart = await reloader.reload()
        assert restart.restart == ("bus.url", "api.listen")
        assert "bus.url" in restart.refused
        assert taken == []
        accepted = await reloader.reload(str(tmp_path / "fenced.toml"))
        assert (accepted.refused, accepted.restart) == ("", ("power.agent_processes",))
        assert "hosts.m: added" in accepted.changes


async def test_requests_that_come_during_a_reload_get_a_verdict_on_a_later_reading(tmp_path: Path) -> None:
    """What was written before a request is always read for it, and a caller that leaves spoils nothing."""
    old = load_ok(tmp_path, host("n", pdu()))
    loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    count = 0

    def read() -> Loaded:
        nonlocal count
        count += 1
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)
        return load_files(tmp_path, host("n", pdu(), more=f'address = "10.0.0.{count}"'))

    async with running(old, read, []) as reloader, asyncio.TaskGroup() as group:
        first, leaving = group.create_task(reloader.reload()), group.create_task(reloader.reload())
        await begun.wait()
        later = [group.create_task(reloader.reload()) for _ in range(3)]
        await asyncio.sleep(0)
        leaving.cancel()
        go_on.set()
        await asyncio.wait(later)
        assert "10.0.0.1" in first.result().changes[0]
        assert {each.result().changes for each in later} == {("hosts.n.address: 10.0.0.1 -> 10.0.0.2",)}
        assert count == 2


async def test_a_caller_learns_that_the_daemon_stops(tmp_path: Path) -> None:
    old = load_ok(tmp_path, host("n", pdu()))
    begun, loop = asyncio.Event(), asyncio.get_running_loop()

    def read() -> Loaded:
        loop.call_soon_threadsafe(begun.set)
        return load_files(tmp_path, "[")

    async with running(old, read, []) as reloader:
        asked = asyncio.create_task(reloader.reload(), name="asked")
        await begun.wait()
    with pytest.raises(Unavailable):
        await asked
    with pytest.raises(Unavailable):
        await reloader.reload()


async def test_a_file_on_a_disk_that_does_not_answer_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, ticked = threading.Event(), threading.Event()

    def same(one: str, other: str) -> bool:
        answers.wait(2)
        return ticked.is_set()

    monkeypatch.setattr(reload, "_are_same", same)
    async with running(load_ok(tmp_path, host("n", pdu())), lambda: load_files(tmp_path, host("n", pdu())), []) as it:
        asked = asyncio.create_task(it.reload("/net/hangs/fenced.toml"), name="asked")
        await asyncio.sleep(0)
        ticked.set()
        answers.set()
        assert (await asked).refused == ""


async def test_a_daemon_that_reads_another_file_reloads_nothing(tmp_path: Path) -> None:
    old = load_ok(tmp_path, host("n", pdu()))
    (tmp_path / "link.toml").symlink_to(tmp_path / "fenced.toml")
    async with running(old, lambda: load_files(tmp_path, host("n", pdu())), []) as reloader:
        for other in ("/etc/fenced/other.toml", "x" * 5000, str(tmp_path)):
            with pytest.raises(OtherFile, match=r"fenced\.toml"):
                await reloader.reload(other)
        assert (await reloader.reload(str(tmp_path / "link.toml"))).refused == ""
