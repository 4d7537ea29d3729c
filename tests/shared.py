"""What is made once in a run of the tests, also if several workers share it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def shared_folder(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """Yield a folder of the whole run. Whoever comes first makes something in it; the others wait for the lock."""
    base = factory.getbasetemp()
    if base.name.startswith("popen-"):  # a worker's own folder, in that of the run
        base = base.parent
    folder = base / name
    folder.mkdir(exist_ok=True)
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
