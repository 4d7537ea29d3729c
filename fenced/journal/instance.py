"""The id of a state directory: it tells daemons apart that share one store, or one machine.

It is part of the place from which a lease may be taken back at once, and the marker of every program that a daemon
starts (S16, S20). The id of the store would not do: several controllers have the same.
"""

import uuid
from pathlib import Path
from typing import Final

from fenced.journal.files import translated
from fenced.journal.store_id import IdFile

NAME: Final = "fenced.instance"


def instance(state_dir: Path) -> str:
    """Return the id, and give the directory a new one if it has none, or one that is damaged.

    A new id is safe: the daemon then waits for its former lease as for another's. Raises StoreError.
    """
    file = IdFile(state_dir, NAME)
    with translated():
        known = _valid(file.read())
        if known is None:
            known = str(uuid.uuid4())
            file.write(known)
    return known


def _valid(text: str | None) -> str | None:
    try:
        return None if text is None else str(uuid.UUID(text))
    except ValueError:
        return None
