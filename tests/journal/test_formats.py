"""Formats of the stored texts: a newer program writes what an older one reads, and refuses to write anything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenced.core.durable.records import Disarmed, Record
from fenced.core.durable.state import HostState, Operation
from fenced.core.heard.own import NEWEST_FORMAT
from fenced.journal import codec
from tests.journal.strategies import RECORDS, host_state, whole


def program_of_format_2(patch: pytest.MonkeyPatch, *new: str) -> None:
    """Let names of today be new ones."""
    patch.setattr(codec, "FORMAT", 2)
    patch.setattr(codec, "SINCE", dict.fromkeys(new, 2))


def test_the_core_knows_the_newest_format() -> None:
    assert NEWEST_FORMAT == codec.FORMAT


def test_a_field_of_a_newer_format_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    program_of_format_2(monkeypatch, "HostState.token")
    state = host_state()
    assert state.token is None
    assert '"token"' in codec.dump_host(state, 2)
    older = codec.dump_host(state, 1)
    assert '"token"' not in older
    assert codec.load_host(older) == state


@pytest.mark.parametrize("new", ["Disarmed.reason", "Disarmed"])
def test_what_an_older_program_could_not_read_is_never_written(new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program_of_format_2(monkeypatch, new)
    record = Disarmed(by="x", reason="y")
    assert codec.load_record(codec.dump_record(record, 2)) == record
    with pytest.raises(AssertionError, match=f"{new} is newer than format 1"):
        codec.dump_record(record, 1)


def test_a_state_of_a_newer_format_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    state = host_state()
    program_of_format_2(monkeypatch, f"State.{state.state.value}")
    with pytest.raises(AssertionError, match="is newer than format 1"):
        codec.dump_host(state, 1)


# -- a text in an older format loses nothing that the format knows -----------------------------------------------------


@given(whole(HostState))
def test_hosts(host: HostState) -> None:
    with pytest.MonkeyPatch.context() as patch:
        program_of_format_2(patch)
        assert codec.load_host(codec.dump_host(host, 1)) == codec.load_host(codec.dump_host(host, 2))


@given(whole(Operation))
def test_operations(of: Operation) -> None:
    with pytest.MonkeyPatch.context() as patch:
        program_of_format_2(patch)
        assert codec.load_operation(codec.dump_operation(of, 1)) == codec.load_operation(codec.dump_operation(of, 2))


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@settings(max_examples=5)
@given(data=st.data())
def test_records(kind: type, data: st.DataObject) -> None:
    written: Record = data.draw(whole(kind))
    with pytest.MonkeyPatch.context() as patch:
        program_of_format_2(patch)
        assert codec.load_record(codec.dump_record(written, 1)) == written
