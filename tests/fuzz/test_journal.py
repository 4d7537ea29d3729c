"""Stored texts and rows that were changed: read whole, or rejected by name; what was written is read back equal."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Record
from fenced.core.durable.state import HostState, Operation
from fenced.journal import codec
from fenced.ports.hosts import OperationsLike
from fenced.ports.journal import Batch, StoreError
from tests.fuzz.given import changed, fuzz, hostile
from tests.journal.rigs import SqlRig
from tests.journal.strategies import RECORDS, entry, host_state, message, operation, record, whole

CODECS: Final[tuple[tuple[Callable[[str], Any], Callable[[Any], str], Any], ...]] = (
    (codec.load_record, codec.dump_record, record()),
    (codec.load_host, codec.dump_host, host_state()),
    (codec.load_fleet, codec.dump_fleet, FleetState()),
    (codec.load_operation, codec.dump_operation, operation(1)),
)
SAMPLES: Final = [dump(value).encode() for _, dump, value in CODECS]
FAULT_CHARACTERS_MAX: Final = 2000


@fuzz(100)
@given(data=st.data())
def test_what_was_changed_is_refused_or_comes_back_equal_for_ever(data: st.DataObject) -> None:
    load, dump, sample = data.draw(st.sampled_from(CODECS))
    if load is codec.load_record:
        sample = data.draw(st.sampled_from(RECORDS).flatmap(whole))
    good = dump(sample)
    text = data.draw(changed(json.loads(good)) | hostile([good.encode(), *SAMPLES]))
    try:
        read: Record | HostState | FleetState | Operation = load(text.decode("utf-8", "surrogateescape"))
    except codec.CodecError as exc:
        assert 0 < len(str(exc)) < FAULT_CHARACTERS_MAX
        return
    again = load(dump(read))
    assert repr(again) == repr(read), "what was read can be written, and means the same"


COLUMNS: Final = (
    ("records", "body"), ("records", "at"), ("records", "host"), ("records", "sequence"), ("snapshots", "body"),
    ("snapshots", "host"), ("snapshots", "sequence"), ("operations", "body"), ("outbox", "payload"),
    ("outbox", "topic"),
    ("outbox", "host"), ("outbox", "is_retained"), ("lease", "epoch"), ("lease", "until"), ("lease", "anchor_boottime"),
    ("store", "id"), ("store", "created"),
)  # fmt: skip
VALUES: Final[st.SearchStrategy[Any]] = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=8), st.binary(max_size=8),
    st.sampled_from([sample.decode() for sample in SAMPLES]), st.just("[" * 5000), st.just('{"kind":"bus_back"}'),
)  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a store with a row of every kind."""

    async def make() -> bytes:
        rig = SqlRig(tmp_path_factory.mktemp("store"))
        await rig.open()
        await rig.journal.append(
            Batch(
                entries=[entry(), entry(number=2)],
                outbox=[message(1), message(2, is_retained=True)],
                operations=[operation(1)],
                snapshots=[host_state("node-2")],
                fleet=FleetState(),
            )
        )
        await rig.close()
        return rig.path.read_bytes()

    return asyncio.run(make())


@fuzz(40)
@given(column=st.sampled_from(COLUMNS), value=VALUES)
@example(("records", "body"), b"\xff")
@example(("records", "at"), "soon")
@example(("records", "host"), 5)
@example(("outbox", "payload"), "text")
@example(("lease", "epoch"), "x")
def test_a_changed_row_is_read_whole_or_refused(
    good: bytes, tmp_path_factory: pytest.TempPathFactory, column: tuple[str, str], value: Any
) -> None:
    rig = SqlRig(tmp_path_factory.mktemp("changed"))
    rig.path.write_bytes(good)
    _change(rig.path, column, value)
    asyncio.run(_look(rig))


def _change(path: Path, column: tuple[str, str], value: Any) -> None:
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute(f"UPDATE {column[0]} SET {column[1]} = ?", (value,))
    except (sqlite3.IntegrityError, OverflowError, UnicodeEncodeError):
        pass  # the schema itself rejects it
    finally:
        connection.close()


async def _look(rig: SqlRig) -> None:
    """Read everything that a start and the API read; each whole, or a StoreError."""
    try:
        loaded = await rig.open()
        assert all(isinstance(each.at, float) for each in loaded.tail)
        assert all(isinstance(each.host, str | None) for each in loaded.tail)
        assert isinstance(rig.taken.epoch, int)
        for told in await rig.journal.outbox(limit=10, each=10):
            assert isinstance(told.payload, bytes)
            assert isinstance(told.topic, str)
        await rig.journal.operations(OperationsLike(), limit=10, after=None)
        await rig.journal.entries(host=None, limit=10, before=None)
    except StoreError as exc:
        assert str(rig.path) in str(exc)
    finally:
        await rig.close()
