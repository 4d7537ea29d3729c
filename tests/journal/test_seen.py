"""The memory beside the lock: its file, and what it shows about an SQLite store that was put back (S22)."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fenced.core.durable.fleet_state import Pause
from fenced.journal.following import Mark
from fenced.journal.seen import NAME, Seen, SeenFile, Server
from fenced.model.names import HostName
from fenced.ports.journal import Batch, StoreError, Words
from tests.journal.rigs import SqlRig
from tests.journal.strategies import entry

WORDS = Words(
    is_disarmed=True,
    pauses=(Pause(id="p", match="*", by="a person", reason="bad \udcff text", since=1.0, until=float("inf")),),
    maintenance=((HostName("node-1"), "a person", "disk", None), (HostName("node-2"), "a person", "fan", 9.5)),
)
SEEN = Seen(
    store="s", shard="main", epoch=7, floor=9, mark=Mark(sequence=3, epoch=7, digest="d"), went_back="x",
    server=Server(system="1", timeline=2), words=WORDS,
)  # fmt: skip


def test_the_file_is_read_as_it_was_written_and_private(tmp_path: Path) -> None:
    file = SeenFile(tmp_path)
    assert file.read() is None
    for seen in (SEEN, Seen()):
        file.write(seen)
        assert file.read() == seen
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"epoch": "x"}', b"\xff\x00", b'{"mark": null}'])
def test_a_damaged_file_counts_as_nothing_and_is_logged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with capture_logs() as logs:
        assert SeenFile(tmp_path).read() is None
    assert [line["event"] for line in logs] == ["seen_file_damaged"]


def test_a_newer_programs_file_is_read(tmp_path: Path) -> None:
    """After a step back to this program the memory still counts."""
    SeenFile(tmp_path).write(SEEN)
    path = tmp_path / NAME
    path.write_text(path.read_text().replace("{", '{"colour":"red",', 1))
    assert SeenFile(tmp_path).read() == SEEN


async def test_a_restored_file_is_noticed(sql: SqlRig) -> None:
    await sql.open()
    await sql.journal.append(Batch(entries=[entry(number=1)]))
    await sql.reopen()
    await sql.journal.close()
    shutil.copy(sql.path, sql.directory / "backup")
    await sql.reopen()
    await sql.journal.append(Batch(entries=[entry(number=2)]))
    await sql.journal.remember(WORDS)
    await sql.journal.close()
    shutil.copy(sql.directory / "backup", sql.path)
    loaded = await sql.reopen()
    assert "this controller saw" in loaded.went_back
    assert loaded.words == WORDS
    assert sql.taken.epoch > 3, "above the epoch of the lost past"
    await sql.journal.accept_store()
    assert (await sql.reopen()).went_back == ""


async def test_a_snapshot_of_the_whole_state_directory_is_not_noticed(sql: SqlRig) -> None:
    """File and store are restored together: only the tokens at the proxies show it."""
    await sql.open()
    await sql.journal.close()
    shutil.copytree(sql.directory, sql.directory.parent / "snapshot")
    await sql.reopen()
    await sql.journal.append(Batch(entries=[entry(number=2)]))
    await sql.journal.close()
    sql.directory = sql.directory.parent / "snapshot"
    assert (await sql.reopen()).went_back == ""


async def test_another_store_does_not_replace_the_memory_before_a_person_accepts_it(sql: SqlRig) -> None:
    """The old store may be put back, in an older state."""
    await sql.open()
    await sql.journal.append(Batch(entries=[entry(number=1)]))
    await sql.journal.remember(WORDS)
    await sql.journal.close()
    before = SeenFile(sql.directory).read()
    assert before is not None
    sql.path.rename(sql.directory / "old")
    loaded = await sql.reopen()
    assert (loaded.expected_store, loaded.went_back) == (before.store, "")
    await sql.journal.append(Batch(entries=[entry(number=5)]))
    await sql.journal.close()
    assert SeenFile(sql.directory).read() == before
    await sql.reopen()
    await sql.journal.accept_store()
    await sql.journal.close()
    after = SeenFile(sql.directory).read()
    assert after is not None
    assert after.store == loaded.store_id
    assert after == replace(after, words=WORDS)


async def test_a_file_that_cannot_be_written_stops_only_what_must_be_kept(sql: SqlRig) -> None:
    await sql.open()
    (sql.directory / NAME).unlink()
    (sql.directory / NAME).mkdir()
    with pytest.raises(StoreError, match=NAME):
        await sql.journal.remember(WORDS)
    with capture_logs() as logs:
        await sql.journal.append(Batch(entries=[entry()]))
        await sql.journal.release(to="")
    assert [line["event"] for line in logs] == ["seen_file_not_written"]


async def test_the_file_is_not_written_again_without_a_change(sql: SqlRig) -> None:
    await sql.open()
    await sql.journal.remember(WORDS)
    before = (sql.directory / NAME).stat().st_ino
    await sql.journal.remember(WORDS)
    assert (sql.directory / NAME).stat().st_ino == before
