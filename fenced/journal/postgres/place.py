"""The place of a daemon: its state directory in one boot of its machine.

A daemon that was killed may take its own lease back at once: the lock file shows that no other process of this state
directory runs. After a reboot, or on another machine, that is no proof, so the boot is part of the place (S20). So is
the file itself: a copy of the directory has the same id and another lock, and containers share a boot.
"""

from pathlib import Path

from fenced.journal.files import translated
from fenced.journal.instance import NAME, instance


def place(state_dir: Path, *, boot: str) -> str:
    """Return the place, and give the directory an id if it has none. Raises StoreError."""
    known = instance(state_dir)
    with translated():
        file = (state_dir / NAME).stat()
    return f"{known}/{boot}/{file.st_dev:x}.{file.st_ino:x}"


def instance_of(place: str) -> str:
    """Return the state directory's part of a place, which a reboot does not change."""
    return place.partition("/")[0]
