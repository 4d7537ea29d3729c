"""The place of a daemon: its state directory in one boot of its machine.

A daemon that was killed may take its own lease back at once: the lock file shows that no other process of this state
directory runs. After a reboot, or on another machine, that is no proof, so the boot is part of the place (S20).
"""

from pathlib import Path

from fenced.journal.instance import instance


def place(state_dir: Path, *, boot: str) -> str:
    """Return the place, and give the directory an id if it has none. Raises StoreError."""
    return f"{instance(state_dir)}/{boot}"


def instance_of(place: str) -> str:
    """Return the state directory's part of a place, which a reboot does not change."""
    return place.partition("/")[0]
