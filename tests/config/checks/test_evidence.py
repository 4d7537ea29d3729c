"""Kinds of evidence that no gate knows are told, and allowed."""

from pathlib import Path

from tests.config.files import CLUSTERS, load_files
from tests.config.pieces import host, pdu


def warned(directory: Path, kinds: str) -> list[str]:
    main = f"[gates]\nlive_evidence = {kinds}\n" + CLUSTERS + host("h1", pdu("a"))
    loaded = load_files(directory, main)
    return [warning.reason for warning in loaded.warnings if warning.path.startswith("gates.live_evidence")]


def test_a_kind_of_ones_own_is_a_warning(tmp_path: Path) -> None:
    found = warned(tmp_path, '["storage_lease", "maintenence"]')
    assert len(found) == 1 and "is none of storage_lease, maintenance, drained, shutting_down" in found[0]


def test_what_speaks_of_sleep_alone_is_a_warning(tmp_path: Path) -> None:
    found = warned(tmp_path, '["storage_lease", "busy", "idle"]')
    assert len(found) == 2
    assert all("whether the host may sleep" in reason for reason in found)


def test_the_known_ones_are_none(tmp_path: Path) -> None:
    assert not warned(tmp_path, '["storage_lease", "maintenance", "drained", "shutting_down"]')
