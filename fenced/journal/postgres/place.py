"""The place of a daemon: its state directory in one boot of its machine.

A daemon that was killed may take its own lease back at once: the lock file shows that no other process of this state
directory runs. After a reboot, or on another machine, that is no proof, so the boot is part of the place (S20).
"""

import uuid
from pathlib import Path
from typing import Final

from fenced.journal.files import translated
from fenced.journal.store_id import IdFile

NAME: Final = "fenced.instance"


def place(state_dir: Path, *, boot: str) -> str:
    """Return the place, and give the directory an id if it has none. Raises StoreError."""
    file = IdFile(state_dir, NAME)
    with translated():
        known = file.read()
        if known is None:
            known = str(uuid.uuid4())
            file.write(known)
    return f"{known}/{boot}"


def instance(place: str) -> str:
    """Return the state directory's part of a place, which a reboot does not change."""
    return place.partition("/")[0]
