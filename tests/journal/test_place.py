"""The place from which a lease may be taken back at once (S20)."""

import shutil
from pathlib import Path

from fenced.journal.postgres.place import instance_of, place


def test_a_place_is_the_same_at_each_start_and_another_in_each_boot(tmp_path: Path) -> None:
    assert place(tmp_path, boot="b1") == place(tmp_path, boot="b1") != place(tmp_path, boot="b2")


def test_a_copied_state_directory_is_another_place(tmp_path: Path) -> None:
    """Two containers on one machine: their lock files exclude each other as little as those of two machines."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    here = place(first, boot="b1")
    shutil.copytree(first, second)
    there = place(second, boot="b1")
    assert instance_of(here) == instance_of(there)
    assert here != there
