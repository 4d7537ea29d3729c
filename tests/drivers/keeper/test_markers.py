"""A starting daemon kills the programs of its own earlier run, and none of another one with the same store (S16)."""

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fenced.app.store import markers_of
from fenced.config.configuration import StoreConfiguration
from fenced.drivers.processes import MARKER_NAME, kill_survivors, started_of
from fenced.journal.instance import NAME, instance
from fenced.journal.postgres.place import instance_of, place
from fenced.model.store_urls import PostgresUrl

SQLITE = StoreConfiguration(url="sqlite:///fenced.db", path=Path("fenced.db"))
POSTGRES_URL = "postgresql://fenced@db.example.org/fenced"
POSTGRES = StoreConfiguration(url=POSTGRES_URL, postgres=PostgresUrl.parse(POSTGRES_URL))

Marked = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def marked() -> Iterator[Marked]:
    """Start processes that carry a marker, as an agent does."""
    running: list[subprocess.Popen[bytes]] = []

    def start(marker: str) -> "subprocess.Popen[bytes]":
        running.append(subprocess.Popen(["/bin/sleep", "300"], env={MARKER_NAME: f"{marker}/0a1b2c3d/1"}))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def two_state_dirs(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    return tmp_path / "own", tmp_path / "other"


@pytest.mark.parametrize("store", [SQLITE, POSTGRES], ids=["sqlite", "postgresql"])
async def test_programs_of_another_daemon_with_the_same_store_live_on(
    store: StoreConfiguration, tmp_path: Path, marked: Marked
) -> None:
    own_dir, other_dir = two_state_dirs(tmp_path)
    own, others = marked(instance(own_dir)), marked(instance(other_dir))
    markers = markers_of(store, state_dir=own_dir, store_id=str(uuid.uuid4()))
    assert [survivor.pid for survivor in await kill_survivors(markers=markers)] == [own.pid]
    assert own.wait(timeout=5) < 0 and others.poll() is None


@pytest.mark.parametrize(("store", "is_killed"), [(SQLITE, True), (POSTGRES, False)], ids=["sqlite", "postgresql"])
async def test_the_marker_of_earlier_versions_counts_where_the_store_is_the_daemon_s_own(
    store: StoreConfiguration, is_killed: bool, tmp_path: Path, marked: Marked
) -> None:
    store_id = str(uuid.uuid4())
    process = marked(store_id)
    killed = await kill_survivors(markers=markers_of(store, state_dir=tmp_path, store_id=store_id))
    assert [survivor.pid for survivor in killed] == ([process.pid] if is_killed else [])


async def test_processes_alone_are_killed_after_the_first_agent_runs(tmp_path: Path, marked: Marked) -> None:
    """A daemon that takes over in its own directory has agents of its own by then."""
    marker = instance(tmp_path)
    running, recorded = marked(marker), marked("another")
    started = started_of(recorded.pid)
    assert started is not None
    assert await kill_survivors(processes=[(running.pid, "1@00000000")]) == ()
    killed = await kill_survivors(processes=[(recorded.pid, started)])
    assert [survivor.pid for survivor in killed] == [recorded.pid]
    assert running.poll() is None


def test_a_state_directory_keeps_its_id_and_replaces_a_damaged_one(tmp_path: Path) -> None:
    own_dir, other_dir = two_state_dirs(tmp_path)
    first = instance(own_dir)
    assert instance(own_dir) == first != instance(other_dir)
    assert instance_of(place(own_dir, boot="boot-1")) == first
    for damage in ("", "no id", "a=b", f"{first}x"):
        (own_dir / NAME).write_text(damage)
        (other_dir / NAME).write_text(damage)
        assert instance(own_dir) != instance(other_dir), "a damaged id would be everyone's"
        assert instance(own_dir) == instance(own_dir) != first
